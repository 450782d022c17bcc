/** What may stand between imgmv and its docker engine: passes a socket on, and stops where a test asks. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { deferred } from '../../proto/deferred.ts';

export interface EngineRelayOptions {
  /** Of the engine. */
  readonly socketPath: string;
  /** Where to listen in its place. */
  readonly path: string;
  /** Holds the first connection whose client writes this text, from the chunk that brings it to its end. */
  readonly holdAt: string;
}

export interface EngineRelay extends AsyncDisposable {
  readonly dockerHost: string;
  /** Resolves when a connection is held. */
  readonly held: Promise<void>;
  /** Lets what is held go on, and holds nothing any more. */
  release(): void;
  /** Breaks the connection that is held, and holds nothing any more. */
  cut(): void;
}

export async function startEngineRelay({
  socketPath,
  path,
  holdAt,
}: EngineRelayOptions): Promise<EngineRelay> {
  const sockets = new Set<Socket>();
  const held = deferred<void>();
  let holding = true;
  let goOn = () => {};
  let end = () => {};
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const engine = connect({ path: socketPath, allowHalfOpen: true });
    for (const [socket, other] of [[client, engine] as const, [engine, client] as const]) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    engine.pipe(client);
    let tail = '';
    client.on('data', (chunk: Buffer) => {
      const seen = tail + chunk.toString('latin1');
      tail = seen.slice(-holdAt.length);
      if (holding && seen.includes(holdAt)) {
        holding = false;
        client.pause();
        goOn = () => {
          engine.write(chunk);
          client.resume();
        };
        end = () => client.destroy();
        held.resolve();
      } else if (!engine.write(chunk)) {
        client.pause();
        engine.once('drain', () => client.resume());
      }
    });
    client.on('end', () => engine.end());
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    dockerHost: `unix://${path}`,
    held: held.promise,
    release: () => goOn(),
    cut: () => end(),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
