/** What may stand between two hosts: passes TCP on, and holds, alters or disguises it as a test asks. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { deferred } from '../../proto/deferred.ts';

export interface RelayOptions {
  readonly port: number;
  /** Its own port; a free one when left out. */
  readonly at?: number;
  /** Address to dial from; any when left out. */
  readonly from?: string;
  /** Holds a connection once this many bytes went from the dialler to the listener. */
  readonly holdAfterBytes?: number;
  /** Flips one bit of the byte at this offset of what a dialler sends. */
  readonly flipBitAt?: number;
  /**
   * Breaks a connection in place of passing on a chunk that its dialler sent, both counted from 0; in a handshake
   * each chunk is a message.
   */
  readonly cutAt?: { readonly connection: number; readonly chunk: number };
  /** How late an end comes from the dialler to the listener, on every connection but the first (control). */
  readonly endAfterMs?: number;
}

export interface Relay extends AsyncDisposable {
  /** On 127.0.0.1. */
  readonly port: number;
  /** Resolves when a connection is held. */
  readonly held: Promise<void>;
  /** Lets what is held go on, and holds nothing any more. */
  release(): void;
  /** Bytes that diallers have sent so far. */
  readonly bytes: number;
  /** Breaks every connection; new ones are taken. */
  cut(): void;
  /** A black hole from now on, for connections that are open and new ones: nothing passes, nothing ends. */
  swallow(): void;
  /** The end of the black hole. What was swallowed is lost, so the connections that it hit end in time. */
  flow(): void;
}

export async function startRelay(options: RelayOptions): Promise<Relay> {
  const sockets = new Set<Socket>();
  const kept: Socket[] = [];
  let holding = options.holdAfterBytes !== undefined;
  let swallowing = false;
  let passed = 0;
  const held = deferred<void>();
  let connections = 0;
  const server = createServer({ allowHalfOpen: true }, (dialler) => {
    const number = connections++;
    const late = number > 0 ? (options.endAfterMs ?? 0) : 0;
    const listener = connect({
      port: options.port,
      host: '127.0.0.1',
      allowHalfOpen: true,
      ...(options.from !== undefined && { localAddress: options.from }),
    });
    const pair = [dialler, listener] as const;
    for (const [socket, other] of [pair, [listener, dialler] as const]) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        if (socket === dialler && late > 0) setTimeout(() => other.destroy(), late);
        else other.destroy();
      });
    }
    let lost = swallowing;
    listener.on('data', (chunk: Buffer) => {
      lost ||= swallowing;
      if (!lost && !dialler.write(chunk)) listener.pause();
    });
    dialler.on('drain', () => listener.resume());
    listener.on('end', () => lost || dialler.end());
    let bytes = 0;
    let chunks = 0;
    dialler.on('data', (chunk: Buffer) => {
      lost ||= swallowing;
      if (lost) return;
      if (number === options.cutAt?.connection && chunks++ === options.cutAt.chunk) {
        for (const socket of pair) socket.resetAndDestroy();
        return;
      }
      passed += chunk.length;
      const at = (options.flipBitAt ?? -1) - bytes;
      if (at >= 0 && at < chunk.length) chunk.writeUInt8(chunk.readUInt8(at) ^ 1, at);
      bytes += chunk.length;
      if (!listener.write(chunk)) dialler.pause();
      if (!holding || bytes < (options.holdAfterBytes ?? 0)) return;
      dialler.pause();
      kept.push(dialler);
      held.resolve();
    });
    listener.on('drain', () => {
      if (!kept.includes(dialler)) dialler.resume();
    });
    dialler.on('end', () =>
      lost ? undefined : late > 0 ? setTimeout(() => listener.end(), late) : listener.end(),
    );
  });
  server.listen(options.at ?? 0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    held: held.promise,
    get bytes() {
      return passed;
    },
    cut() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    swallow() {
      swallowing = true;
    },
    flow() {
      swallowing = false;
    },
    release() {
      holding = false;
      for (const dialler of kept.splice(0)) dialler.resume();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      if (!server.listening) return;
      server.close();
      await once(server, 'close');
    },
  };
}
