/** An engine that answers `docker load`, a list of images, a push, or what else is about one image as a test wants, on a unix socket of its own. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { Engine } from '../../../agent/docker/engine.ts';
import { scratchDirectory } from '../../rig/scratch.ts';

/** What the engine does with a request: reads what it brings or does not, answers or does not. */
export type Script = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export interface FakeEngine extends AsyncDisposable {
  readonly engine: Engine;
  readonly dockerHost: string;
}

export async function fakeEngine(
  onLoad: Script,
  onList?: Script,
  onPush?: Script,
  onImage?: Script,
  says: object = {},
): Promise<FakeEngine> {
  const directory = await scratchDirectory();
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    if (path.startsWith('/images/load')) return void onLoad(request, response);
    if (path.startsWith('/images/json') && onList) return void onList(request, response);
    if (path.includes('/push?') && onPush) return void onPush(request, response);
    if (path.startsWith('/images/') && onImage) return void onImage(request, response);
    const os = { Version: '20.10.24', Os: 'linux', Arch: 'amd64', ...says };
    response.end(JSON.stringify(path.includes('/version') ? os : { DriverStatus: [] }));
  });
  server.on('connection', (socket: Socket) => sockets.add(socket));
  const path = join(directory.path, 'docker.sock');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const dockerHost = `unix://${path}`;
  const engine = await Engine.connect({ dockerHost, env: {} });
  return {
    engine,
    dockerHost,
    async [Symbol.asyncDispose]() {
      await closed(server, sockets);
      await directory[Symbol.asyncDispose]();
    },
  };
}

function closed(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy();
  return new Promise((resolve) => server.close(() => resolve()));
}
