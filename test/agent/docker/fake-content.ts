/** An engine whose `POST /grpc` answers as a test wants, faults that no real engine shows included. */
import { createServer, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { GrpcEngine } from '../../../agent/docker/containerd/grpc.ts';
import type { Endpoint } from '../../../agent/docker/endpoint.ts';
import { transportTo } from '../../../agent/docker/transport.ts';
import { ImgmvError } from '../../../proto/errors.ts';
import { scratchDirectory } from '../../rig/scratch.ts';

/** Answers one call; `method` is `Info`, `List` or `Read`. The probe of `open` is answered beforehand. */
export type CallScript = (stream: ServerHttp2Stream, method: string, socket: Socket) => void | Promise<void>;

export interface FakeContent extends AsyncDisposable {
  readonly engine: GrpcEngine;
  /** Of the connections so far. */
  readonly sockets: ReadonlySet<Socket>;
}

export interface FakeContentOptions {
  /** What becomes of the upgrade; it is accepted when left out. */
  readonly onUpgrade?: (socket: Socket) => void;
  /** Answers the probe too. */
  readonly everyCall?: boolean;
}

export async function fakeContent(
  script: CallScript,
  { onUpgrade, everyCall = false }: FakeContentOptions = {},
): Promise<FakeContent> {
  const directory = await scratchDirectory();
  const sockets = new Set<Socket>();
  const http2 = createHttp2Server();
  http2.on('error', () => {});
  http2.on('sessionError', () => {});
  let probed = everyCall;
  let upgraded: Socket;
  http2.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    const method = String(headers[':path']).split('/').at(-1) ?? '';
    if (probed) return void script(stream, method, upgraded);
    probed = true;
    refuse(stream, 5);
  });
  const server = createServer((_request, response) => response.writeHead(404).end('{"message":"no page"}'));
  server.on('upgrade', (_request, stream, head) => {
    const socket = stream as Socket;
    upgraded = socket;
    if (onUpgrade) return onUpgrade(socket);
    socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
    socket.unshift(head);
    http2.emit('connection', socket);
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  const path = join(directory.path, 'docker.sock');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    engine: engineAt(`unix://${path}`),
    sockets,
    async [Symbol.asyncDispose]() {
      await closed(server, http2, sockets);
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** What `ContentStore` needs of an engine, at any address. */
export function engineAt(address: string, keys: Pick<Endpoint, 'tls'> = {}): GrpcEngine {
  return {
    transport: transportTo({ address, foundBy: 'the test', ...keys }),
    lost: (what, cause) =>
      cause instanceof ImgmvError
        ? cause
        : new ImgmvError('engine-unavailable', `lost (${what}): ${(cause as Error).message}`, { cause }),
  };
}

/** A gRPC message as it stands on the wire. */
export function framed(message: Buffer, { flag = 0, length = message.length } = {}): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

/** Answers with these bytes, and with success. */
export function answer(stream: ServerHttp2Stream, bytes: Buffer, status = 0): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': String(status) }));
  stream.end(bytes);
}

/** Answers with nothing but a status, in the headers. */
export function refuse(stream: ServerHttp2Stream, status: number, message = 'no%20such%20thing'): void {
  const headers = { 'grpc-status': String(status), 'grpc-message': message };
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...headers }, { endStream: true });
}

function closed(server: Server, http2: Http2Server, sockets: ReadonlySet<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy();
  http2.close();
  return new Promise((resolve) => server.close(() => resolve()));
}
