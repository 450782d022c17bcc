/** WebSocket frames and HTTP answers as strangers may send them: ws reads them, and our bounds hold. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { NOISE_MESSAGE_MAX_BYTES } from '../../proto/limits.ts';
import { dial, type SocketClose, SUBPROTOCOL, upgrade, versionOffered } from '../../proto/websocket.ts';
import { bytesLike, cut, rawBytes } from './bytes.ts';
import { decodedLater, holds } from './refusal.ts';
import { target } from './target.ts';
import { textLike } from './text.ts';

/** RFC 6455 section 5.2, from a client: masked. */
const frame = fc
  .record({
    opcode: fc.oneof({ weight: 6, arbitrary: fc.constant(2) }, fc.nat(15)),
    fin: fc.oneof({ weight: 6, arbitrary: fc.constant(true) }, fc.constant(false)),
    reserved: fc.oneof({ weight: 10, arbitrary: fc.constant(0) }, fc.nat(7)),
    payload: fc.oneof(
      { weight: 8, arbitrary: rawBytes(200) },
      { weight: 1, arbitrary: fc.constantFrom(65_535, 65_536).map((size) => Buffer.alloc(size, 1)) },
    ),
  })
  .map(({ opcode, fin, reserved, payload }) => {
    const { length } = payload;
    const head = Buffer.alloc(length < 126 ? 6 : length < 65_536 ? 8 : 14);
    head[0] = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
    head[1] = 0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127);
    if (length >= 65_536) head.writeUInt32BE(length, 6);
    else if (length >= 126) head.writeUInt16BE(length, 2);
    // A mask of zeros, as ours: the payload stands there as it is.
    return Buffer.concat([head, payload]);
  });

/** A connection that takes all and gives what it is told. */
class FakeConnection extends Duplex {
  override _read(): void {}

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

function requestOf(protocol: string): IncomingMessage {
  const headers = {
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'sec-websocket-version': '13',
    'sec-websocket-protocol': protocol,
  };
  return {
    method: 'GET',
    url: '/',
    headers,
    socket: { remoteAddress: '192.0.2.1' },
  } as unknown as IncomingMessage;
}

const frames = target<{ stream: Buffer; cutAt: readonly number[] }>({
  name: 'websocket/frames',
  share: 8,
  input: fc.record({
    stream: bytesLike(fc.array(frame, { maxLength: 6 }).map((all) => Buffer.concat(all))),
    // A message in more than 4,096 pieces is refused, as many as they are.
    cutAt: fc.array(fc.integer({ min: 32, max: 100_000 }), { minLength: 1, maxLength: 4 }),
  }),
  check: async ({ stream, cutAt }) => {
    const run = async (lengths: readonly number[]) => {
      const duplex = new FakeConnection();
      const socket = await upgrade(requestOf(SUBPROTOCOL), duplex, Buffer.alloc(0));
      const hash = createHash('sha256');
      let bytes = 0;
      socket.consume((message) => {
        holds(Buffer.isBuffer(message) && message.length <= NOISE_MESSAGE_MAX_BYTES, 'a message is bounded');
        bytes += message.length;
        hash.update(`${message.length}:`).update(message);
      });
      // ws takes the mask off in place.
      for (const piece of cut(Buffer.from(stream), lengths)) duplex.push(piece);
      duplex.push(null);
      const close: SocketClose = await socket.closed;
      holds(Number.isInteger(close.code), 'a close has a code');
      holds(bytes <= stream.length, 'nothing comes of nothing');
      return `${hash.digest('hex')} ${bytes}`;
    };
    const [cutUp, atOnce] = [await run(cutAt), await run([stream.length])];
    holds(cutUp === atOnce, `where it is cut does not matter: ${cutUp}, ${atOnce}`);
  },
});

const upgrades = target({
  name: 'websocket/upgrade',
  share: 2,
  input: textLike(fc.constantFrom('imgmv.2', 'imgmv.9', 'imgmv.9, imgmv.2', 'chat', 'imgmv.2,imgmv.2')),
  check: async (protocol) => {
    const request = requestOf(protocol);
    const version = versionOffered(request);
    holds(['ours', 'other', 'none'].includes(version), 'an offer is of one kind');
    if (version !== 'ours') return;
    const duplex = new FakeConnection();
    const socket = await decodedLater(['not-imgmv'], () => upgrade(request, duplex, Buffer.alloc(0)));
    socket?.destroy();
    duplex.destroy();
  },
});

/** One server for all cases of a process; it answers what the case at hand says. */
let server: Promise<Server> | undefined;
let answer = '';

function listening(): Promise<Server> {
  server ??= new Promise((resolve) => {
    const made = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (request) => {
        const key = /sec-websocket-key: (\S+)/i.exec(String(request))?.[1] ?? '';
        const accept = createHash('sha1')
          .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest('base64');
        socket.end(answer.replace('ACCEPT', accept), 'latin1');
      });
    });
    made.listen(0, '127.0.0.1', () => resolve(made)).unref();
  });
  return server;
}

const SWITCHING =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: imgmv.2\r\n\r\n';

/** What answers a dialler, which may be any server at all. */
const dialled = target({
  name: 'websocket/answers',
  share: 0.5,
  input: textLike(
    fc.constantFrom(
      SWITCHING,
      'HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Protocol: imgmv.9\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 301 Moved\r\nLocation: ws://192.0.2.1/\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi',
      'SSH-2.0-OpenSSH_9.2\r\n',
      '',
    ),
  ),
  check: async (text) => {
    const { port } = (await listening()).address() as AddressInfo;
    answer = text;
    const socket = await decodedLater(['not-imgmv', 'version-mismatch', 'no-answer'], () =>
      dial(`ws://127.0.0.1:${port}/`, { timeoutMs: 2_000 }),
    );
    if (!socket) return;
    await socket.closed;
  },
});

export const websocketTargets = [frames, upgrades, dialled];
