/** What may answer on a port in place of a receiver. All listen on 127.0.0.1. */
import { once } from 'node:events';
import { createServer as createHttpServer, type Server } from 'node:http';
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net';
import { WebSocketServer } from 'ws';

export interface FakeServer extends AsyncDisposable {
  readonly port: number;
}

/** Takes connections and never says a word. */
export function silentServer(): Promise<FakeServer> {
  return started(createServer());
}

/** Knows nothing of WebSockets. */
export function webServer(): Promise<FakeServer> {
  return started(createHttpServer((_request, response) => response.writeHead(404).end('no such page')));
}

/** Speaks WebSocket, and takes no subprotocol. */
export function chatServer(): Promise<FakeServer> {
  const server = createHttpServer();
  const chat = new WebSocketServer({ server, handleProtocols: () => false });
  chat.on('error', () => {});
  return started(server);
}

/** Answers as a receiver whose protocol has another version. */
export function receiverOfVersion(version: number): Promise<FakeServer> {
  const headers = { Connection: 'close', Upgrade: 'websocket', 'Sec-WebSocket-Protocol': `imgmv.${version}` };
  return started(createHttpServer((_request, response) => response.writeHead(426, headers).end()));
}

async function started(server: Server | NetServer): Promise<FakeServer> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
