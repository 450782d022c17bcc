/** Two ends on loopback for the wire tests, at each height of the stack, and a scripted peer for one of them. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket as TcpSocket } from 'node:net';
import {
  acceptChannel,
  type Channel,
  type Credentials,
  dialChannel,
  emptyBytes16,
  newSessionId,
  type Preamble,
} from '../../proto/channel.ts';
import { type ErrorCode, ImgmvError } from '../../proto/errors.ts';
import { Lane } from '../../proto/lane.ts';
import { generateKeyPair } from '../../proto/noise.ts';
import { dial, type Socket, upgrade } from '../../proto/websocket.ts';

/** How a prologue begins where one version was offered and selected, as PROTOCOL.md section 3.1 has it. */
export const NEGOTIATED = Buffer.from('imgmv.2\nimgmv.2\n');

export interface Ends<T> extends AsyncDisposable {
  readonly dialler: T;
  readonly listener: T;
}

/** The code of the ImgmvError that `action` fails with; anything else fails the test. */
export async function codeOf(action: Promise<unknown> | (() => unknown)): Promise<ErrorCode> {
  try {
    await (typeof action === 'function' ? action() : action);
  } catch (error) {
    if (error instanceof ImgmvError) return error.code;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** Resolves when `met` is true; fails the test after `timeoutMs`. */
export async function until(met: () => boolean, timeoutMs = 60_000): Promise<void> {
  const late = performance.now() + timeoutMs;
  while (!met()) {
    if (performance.now() > late) throw new Error(`not met within ${timeoutMs} ms: ${met}`);
    await pause(5);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export interface TcpServer extends AsyncDisposable {
  readonly port: number;
  readonly sockets: readonly TcpSocket[];
}

/** A TCP server that does what it is told to every connection; errors of sockets are not its matter. */
export async function tcpServer(onConnection: (socket: TcpSocket) => void): Promise<TcpServer> {
  const sockets: TcpSocket[] = [];
  const server = createTcpServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

export interface WebSocketServer extends AsyncDisposable {
  readonly port: number;
  /** The next socket that was upgraded. */
  next(): Promise<Socket>;
}

export async function webSocketServer(): Promise<WebSocketServer> {
  const ready: Socket[] = [];
  const all: Socket[] = [];
  let wake: () => void = () => {};
  const server = createServer();
  server.on('upgrade', (request, duplex, head) => {
    upgrade(request, duplex, head).then(
      (socket) => {
        ready.push(socket);
        all.push(socket);
        wake();
      },
      () => {},
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async next() {
      for (;;) {
        const socket = ready.shift();
        if (socket) return socket;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    async [Symbol.asyncDispose]() {
      for (const socket of all) socket.destroy();
      server.close();
      server.closeAllConnections();
    },
  };
}

export async function sockets(): Promise<Ends<Socket>> {
  const server = await webSocketServer();
  const [dialler, listener] = await Promise.all([
    dial(`ws://127.0.0.1:${server.port}`, { timeoutMs: 30_000 }),
    server.next(),
  ]);
  return {
    dialler,
    listener,
    async [Symbol.asyncDispose]() {
      dialler.destroy();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** What the dialler of blob lane 1 says. */
export function lanePreamble(change: Partial<Preamble> = {}): Preamble {
  return {
    kind: 'lane',
    role: 'sender',
    lane: 1,
    generation: 0,
    sessionId: newSessionId(),
    salt: emptyBytes16(),
    ...change,
  };
}

/** Two open channels of kind `lane`, each with the other's key pinned. */
export async function channels(): Promise<Ends<Channel>> {
  const ends = await sockets();
  const preamble = lanePreamble();
  const [ours, theirs] = [generateKeyPair(), generateKeyPair()];
  const credentials: Credentials = { s: theirs, rs: ours.publicKey };
  const [dialler, listener] = await Promise.all([
    dialChannel(ends.dialler, { preamble, credentials: async () => ({ s: ours, rs: theirs.publicKey }) }),
    acceptChannel(ends.listener, {
      admit: (dialled) => ({ preamble: { ...dialled, role: 'receiver' }, credentials }),
    }),
  ]);
  return { dialler, listener, [Symbol.asyncDispose]: () => ends[Symbol.asyncDispose]() };
}

/** Two lanes that have told each other where they begin. */
export async function lanes(windowBytes: number): Promise<Ends<Lane>> {
  const ends = await channels();
  const dialler = new Lane(ends.dialler, { windowBytes, dialled: true });
  const listener = new Lane(ends.listener, { windowBytes, dialled: false });
  await Promise.all([dialler.ready, listener.ready]);
  return { dialler, listener, [Symbol.asyncDispose]: () => ends[Symbol.asyncDispose]() };
}

/** A peer that says exactly what the test tells it: records in hex. */
export class Script {
  readonly channel: Channel;
  /** All records that came, in hex. */
  readonly received: string[] = [];
  #read = 0;

  constructor(channel: Channel) {
    this.channel = channel;
    channel.consume((record) => this.received.push(record.toString('hex')));
  }

  send(...hex: readonly string[]): void {
    for (const record of hex) this.channel.send(Buffer.from(record.replaceAll(/\s/g, ''), 'hex'));
  }

  /** The next record, in hex. */
  async next(): Promise<string> {
    await until(() => this.received.length > this.#read);
    return this.received[this.#read++] ?? '';
  }

  /** The close code and reason that the other side gives. */
  async closed(): Promise<string> {
    const { code, reason } = await this.channel.closed;
    return `${code} ${reason}`;
  }
}

/** A lane at the listener, and a script in place of its dialler. */
export async function scriptedLane(
  windowBytes: number,
): Promise<AsyncDisposable & { readonly lane: Lane; readonly peer: Script }> {
  const ends = await channels();
  return {
    lane: new Lane(ends.listener, { windowBytes, dialled: false }),
    peer: new Script(ends.dialler),
    [Symbol.asyncDispose]: () => ends[Symbol.asyncDispose](),
  };
}

/** The rest of what a lane gives, to its end. */
export async function readAll(lane: Lane): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let bytes = await lane.read(); bytes; bytes = await lane.read()) parts.push(Buffer.from(bytes));
  return Buffer.concat(parts);
}
