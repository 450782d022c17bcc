/** A proxy in front of a registry, by which a thief follows what an engine pushes, and holds or fails it. */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { deferred } from '../../proto/deferred.ts';
import type { Registry } from '../rig/registry.ts';

type Manner = 'pass' | 'hold' | 'fail';

export interface Front extends AsyncDisposable {
  /** What names in it begin with. */
  readonly address: string;
  /** What was asked so far, with what came along. */
  readonly heard: string;
  /** Resolves when something is asked for the first time. */
  readonly asked: Promise<void>;
  /** What becomes of requests from now on, those that are held included. */
  turn(manner: Manner): void;
}

export async function inFrontOf(registry: Registry, first: Manner): Promise<Front> {
  const [host, port] = registry.address.split(':');
  const heard: Buffer[] = [];
  const asked = deferred<void>();
  let manner = first;
  let held: (() => void)[] = [];

  const treat = (from: IncomingMessage, to: ServerResponse) => {
    if (manner === 'hold') return void held.push(() => treat(from, to));
    if (manner === 'fail') return void to.writeHead(503).end();
    const { method, url, headers } = from;
    const on = request({ host, port, method, path: url, headers }, (answer) => {
      to.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(to);
    });
    on.on('error', () => to.destroy());
    from.on('data', (bytes: Buffer) => heard.push(bytes));
    from.pipe(on);
  };
  const server = createServer((from, to) => {
    heard.push(Buffer.from(`${from.method} ${from.url}\n`));
    asked.resolve();
    treat(from, to);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get heard() {
      return Buffer.concat(heard).toString('latin1');
    },
    asked: asked.promise,
    turn(next) {
      manner = next;
      const waiting = held;
      held = [];
      for (const go of waiting) go();
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
