/** PROTOCOL.md section 2 below the preamble: what is on the socket, in bytes, and what is refused there. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { ImgmvError } from '../../proto/errors.ts';
import { NOISE_MESSAGE_MAX_BYTES } from '../../proto/limits.ts';
import { dial, errorOfClose, versionOffered } from '../../proto/websocket.ts';
import { NOBODY_PORT } from '../nobody.ts';
import { codeOf, pause, sockets, tcpServer, until, webSocketServer } from './wire.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** An opening handshake, byte for byte; the answer to this key is in RFC 6455 section 1.3. */
function opening(path: string, protocols: string | undefined): string {
  return [
    `GET ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${KEY}`,
    ...(protocols === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocols}`]),
    '\r\n',
  ].join('\r\n');
}

/** A client frame (RFC 6455 section 5.2) with a mask of zeros. */
function frame(firstByte: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.of(firstByte, 0x80 | length)
      : length < 65_536
        ? Buffer.of(firstByte, 0x80 | 126, length >> 8, length & 0xff)
        : Buffer.of(firstByte, 0x80 | 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff);
  return Buffer.concat([head, Buffer.alloc(4), payload]);
}

const BINARY = 0x82;
const TEXT = 0x81;
const PING = 0x89;
const FIRST_FRAGMENT = 0x02;
const NEXT_FRAGMENT = 0x00;

/** An upgraded connection of ours, its client a plain TCP socket. */
async function rawClient(protocols = 'imgmv.2') {
  const server = await webSocketServer();
  const client = connect(server.port, '127.0.0.1');
  client.on('error', () => {});
  const received: Buffer[] = [];
  client.on('data', (bytes: Buffer) => received.push(bytes));
  const closed = once(client, 'close');
  client.write(opening('/any/path?and=query', protocols));
  const socket = await server.next();
  await until(() => Buffer.concat(received).includes('\r\n\r\n'));
  const answer = Buffer.concat(received.splice(0)).toString('latin1');
  return {
    client,
    closed,
    socket,
    answer,
    hex: () => Buffer.concat(received).toString('hex'),
    async [Symbol.asyncDispose]() {
      client.destroy();
      await server[Symbol.asyncDispose]();
    },
  };
}

describe('a listener’s socket', () => {
  test('takes the version, no extension, and any path', async () => {
    await using raw = await rawClient();
    expect(raw.answer).toContain('HTTP/1.1 101');
    expect(raw.answer).toContain('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n');
    expect(raw.answer).toContain('Sec-WebSocket-Protocol: imgmv.2\r\n');
    expect(raw.answer).not.toContain('Extensions');
  });

  test.each([
    ['imgmv.2', ['imgmv.2']],
    ['imgmv.9, imgmv.2', ['imgmv.9', 'imgmv.2']],
    [' chat ,imgmv.2', ['chat', 'imgmv.2']],
    ['imgmv.9\r\nSec-WebSocket-Protocol: imgmv.2', ['imgmv.9', 'imgmv.2']],
  ])('knows the whole offer %j, for the prologue', async (protocols, offered) => {
    await using raw = await rawClient(protocols);
    expect(raw.socket.negotiation).toEqual({ offered, selected: 'imgmv.2' });
  });

  test('messages are single binary frames, unmasked, with no extension bit', async () => {
    await using raw = await rawClient();
    raw.socket.send(Buffer.from('abc'));
    raw.socket.send(Buffer.alloc(NOISE_MESSAGE_MAX_BYTES, 0x78));
    await until(() => raw.hex().length === 2 * (2 + 3 + 4 + NOISE_MESSAGE_MAX_BYTES));
    expect(raw.hex().slice(0, 18)).toBe(`8203616263${'827effff'}`);
  });

  test('takes a message in fragments, and one of 65,535 bytes', async () => {
    await using raw = await rawClient();
    raw.client.write(
      Buffer.concat([
        frame(FIRST_FRAGMENT, Buffer.from('a')),
        frame(NEXT_FRAGMENT, Buffer.from('b')),
        frame(0x80, Buffer.from('c')),
        frame(BINARY, Buffer.alloc(NOISE_MESSAGE_MAX_BYTES)),
      ]),
    );
    expect((await raw.socket.next())?.toString()).toBe('abc');
    expect((await raw.socket.next())?.length).toBe(NOISE_MESSAGE_MAX_BYTES);
  });

  test.each([
    ['a text message', frame(TEXT, Buffer.from('hello')), '03eb'],
    ['a message of 65,536 bytes', frame(BINARY, Buffer.alloc(NOISE_MESSAGE_MAX_BYTES + 1)), '03f1'],
    [
      'a message of fragments that add up to 65,536 bytes',
      Buffer.concat([frame(FIRST_FRAGMENT, Buffer.alloc(40_000)), frame(0x80, Buffer.alloc(25_536))]),
      '03f1',
    ],
    [
      'a message in 65 fragments',
      Buffer.concat([
        frame(FIRST_FRAGMENT, Buffer.alloc(1)),
        ...Array.from({ length: 64 }, () => frame(NEXT_FRAGMENT, Buffer.alloc(1))),
      ]),
      '03f0',
    ],
    ['an unmasked frame', Buffer.from('8203616263', 'hex'), '03ea'],
    ['a frame with an extension bit', frame(0xc2, Buffer.from('a')), '03ea'],
    ['a frame of an unknown type', frame(0x83, Buffer.from('a')), '03ea'],
  ])('refuses %s', async (_name, bytes, closeCode) => {
    await using raw = await rawClient();
    raw.client.write(bytes);
    await until(() => raw.hex().startsWith('88'));
    expect(raw.hex().slice(4, 8)).toBe(closeCode);
    raw.client.write(frame(0x88, Buffer.from(closeCode, 'hex')));
    const close = await raw.socket.closed;
    expect(errorOfClose(close).code).toBe('peer-lost');
    expect(await raw.socket.next()).toBeUndefined();
  });

  test('what comes behind a text message is not taken', async () => {
    await using raw = await rawClient();
    const taken: string[] = [];
    raw.socket.consume((message) => taken.push(message.toString()));
    raw.client.write(Buffer.concat([frame(TEXT, Buffer.from('a')), frame(BINARY, Buffer.from('b'))]));
    await until(() => raw.hex().startsWith('88'));
    await pause(50);
    expect(taken).toEqual([]);
  });

  test('answers 20 pings in ten seconds and drops who sends more', async () => {
    await using raw = await rawClient();
    raw.client.write(Buffer.concat(Array.from({ length: 20 }, () => frame(PING, Buffer.from('p')))));
    await until(() => raw.hex() === '8a0170'.repeat(20));
    expect(raw.socket.open).toBe(true);
    raw.client.write(frame(PING, Buffer.from('p')));
    expect(await raw.socket.closed).toMatchObject({ code: 1006 });
    await raw.closed;
  });

  test('one that does not answer the closing handshake is dropped all the same', async () => {
    await using raw = await rawClient();
    const started = performance.now();
    raw.socket.close(4012, 'wrong-code');
    await raw.socket.closed;
    expect(raw.hex()).toBe(`880c0fac${Buffer.from('wrong-code').toString('hex')}`);
    // Left to itself, ws waits for 30 s.
    expect(performance.now() - started).toBeLessThan(25_000);
  });

  test('a reason is cut to 123 bytes, between characters', async () => {
    await using ends = await sockets();
    ends.listener.close(4001, 'é'.repeat(100));
    expect((await ends.dialler.closed).reason).toBe('é'.repeat(61));
  });

  test('sending on a closed socket does nothing', async () => {
    await using ends = await sockets();
    ends.dialler.destroy();
    await ends.dialler.closed;
    ends.dialler.send(Buffer.from('x'));
    ends.dialler.close(1000);
    await ends.dialler.drainedBelow(1);
    expect(ends.dialler.backlog).toBe(0);
  });

  test('a handler gets what waited first, in order', async () => {
    await using ends = await sockets();
    for (const word of ['one', 'two']) ends.dialler.send(Buffer.from(word));
    expect((await ends.listener.next())?.toString()).toBe('one');
    await pause(20);
    const taken: string[] = [];
    ends.listener.consume((message) => taken.push(message.toString()));
    ends.dialler.send(Buffer.from('three'));
    await until(() => taken.length === 2);
    expect(taken).toEqual(['two', 'three']);
  });
});

describe('the version', () => {
  const request = (protocols?: string) =>
    ({
      headers: protocols === undefined ? {} : { 'sec-websocket-protocol': protocols },
    }) as Parameters<typeof versionOffered>[0];

  test.each([
    ['imgmv.2', 'ours'],
    ['imgmv.9, imgmv.2', 'ours'],
    ['chat,imgmv.2', 'ours'],
    ['imgmv.9', 'other'],
    ['imgmv.20', 'other'],
    ['chat', 'none'],
    ['', 'none'],
    [undefined, 'none'],
  ])('%s is %s', (protocols, want) => {
    expect(versionOffered(request(protocols))).toBe(want);
  });
});

describe('dialling', () => {
  /** Answers every connection with `answer` once its request is whole, and tells what was asked. */
  async function answering(answer: string) {
    let asked = '';
    const server = await tcpServer((socket) => {
      socket.on('data', (bytes: Buffer) => {
        asked += bytes.toString('latin1');
        if (asked.includes('\r\n\r\n')) socket.end(answer);
      });
    });
    return { ...server, asked: () => asked, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  }

  /** The answer that opens a WebSocket (RFC 6455 section 4.2.2). */
  function accepting(key: string): string {
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    return (
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept.digest('base64')}\r\nSec-WebSocket-Protocol: imgmv.2\r\n\r\n`
    );
  }

  const dialPort = (port: number, timeoutMs = 30_000) => dial(`ws://127.0.0.1:${port}/path`, { timeoutMs });

  test('asks for the version, offers no extension, and masks with zeros', async () => {
    const seen: Buffer[] = [];
    await using server = await tcpServer((socket) => {
      socket.on('data', (bytes: Buffer) => {
        seen.push(bytes);
        const asked = bytes.toString('latin1');
        const key = /Sec-WebSocket-Key: (\S+)/.exec(asked)?.[1];
        if (key === undefined) return;
        socket.write(accepting(key));
      });
    });
    const socket = await dialPort(server.port);
    const asked = seen.map((bytes) => bytes.toString('latin1')).join('');
    expect(asked).toMatch(/^GET \/path HTTP\/1\.1\r\n/);
    expect(asked).toContain('Sec-WebSocket-Protocol: imgmv.2\r\n');
    expect(asked).not.toMatch(/Sec-WebSocket-Extensions|Origin/i);
    seen.length = 0;
    socket.send(Buffer.from('abc'));
    await until(() => seen.length > 0);
    expect(Buffer.concat(seen).toString('hex')).toBe('828300000000616263');
    socket.destroy();
  });

  test('a server that closes its half and reads no more has gone', async () => {
    await using server = await tcpServer((socket) => {
      socket.once('data', (bytes: Buffer) => {
        socket.pause();
        socket.write(accepting(/Sec-WebSocket-Key: (\S+)/.exec(bytes.toString('latin1'))?.[1] ?? ''));
      });
    });
    const socket = await dialPort(server.port);
    // More than both kernels hold.
    for (let sent = 0; sent < 32 * 2 ** 20; sent += NOISE_MESSAGE_MAX_BYTES)
      socket.send(Buffer.alloc(NOISE_MESSAGE_MAX_BYTES));
    await expect.poll(() => server.sockets[0]?.isPaused()).toBe(true);
    expect(socket.backlog).toBeGreaterThan(0);
    server.sockets[0]?.end();
    expect(errorOfClose(await socket.closed).code).toBe('peer-lost');
  });

  test.each([
    [
      '426 of another version',
      'HTTP/1.1 426 X\r\nSec-WebSocket-Protocol: imgmv.9\r\n\r\n',
      'version-mismatch',
      'imgmv.9',
    ],
    ['426 of something else', 'HTTP/1.1 426 X\r\nUpgrade: h2c\r\n\r\n', 'not-imgmv', '426'],
    ['404', 'HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n', 'not-imgmv', '404'],
    ['a redirect', 'HTTP/1.1 302 X\r\nLocation: ws://127.0.0.1:1/\r\n\r\n', 'not-imgmv', '302'],
    ['200 and a page', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', 'not-imgmv', '200'],
    ['503', 'HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n', 'not-imgmv', '503'],
    ['garbage', '220 mail.example ESMTP\r\n', 'not-imgmv', 'does not answer as'],
    ['nothing, and hangs up', '', 'not-imgmv', 'does not answer as'],
    [
      '101 with a wrong key',
      'HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n',
      'not-imgmv',
      'Sec-WebSocket-Accept',
    ],
  ] as const)('a server that answers %s', async (_name, answer, code, words) => {
    await using server = await answering(answer);
    const error = await dialPort(server.port).catch((reason: unknown) => reason);
    if (!(error instanceof ImgmvError)) throw error;
    expect(error.code).toBe(code);
    expect(error.message).toContain(words);
    expect(server.asked().match(/GET /g)).toHaveLength(1);
  });

  test('another version’s name is quoted and cut: it comes from a stranger', async () => {
    await using server = await answering(
      `HTTP/1.1 426 X\r\nSec-WebSocket-Protocol: imgmv.\x1b[31m${'9'.repeat(500)}\r\n\r\n`,
    );
    const error = await dialPort(server.port).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ImgmvError);
    expect(String(error)).not.toContain('\x1b');
    expect(String(error).length).toBeLessThan(250);
  });

  test('a silent server', async () => {
    await using server = await tcpServer(() => {});
    await expect(dialPort(server.port, 1_000)).rejects.toMatchObject({
      code: 'no-answer',
      about: 'silent-port',
      message: `127.0.0.1:${server.port} takes the connection, but says nothing for 1 s`,
    });
  });

  test('an ssh server, which speaks first', async () => {
    await using server = await tcpServer((socket) => void socket.write('SSH-2.0-OpenSSH_9.2\r\n'));
    await expect(dialPort(server.port)).rejects.toMatchObject({
      code: 'not-imgmv',
      message: `127.0.0.1:${server.port} is an ssh server, not imgmv`,
    });
  });

  test('a server that drips its answer for ever', async () => {
    await using server = await tcpServer((socket) => {
      socket.write('HTTP/1.1 101 X\r\nX-Long: ');
      const drip = setInterval(() => socket.write('x'), 20);
      socket.on('close', () => clearInterval(drip));
    });
    await expect(dialPort(server.port, 1_000)).rejects.toMatchObject({
      code: 'no-answer',
      message: expect.stringMatching(/does not answer as an imgmv receiver does for 1 s$/),
    });
  });

  test('a port where nobody listens', async () => {
    expect(await codeOf(dialPort(NOBODY_PORT))).toBe('connection-refused');
  });

  test('a name that nobody has', async () => {
    expect(await codeOf(dial('ws://no-such-host.invalid:1', { timeoutMs: 30_000 }))).toBe('host-not-found');
  });

  test('a stop while it waits, and one before', async () => {
    await using server = await tcpServer(() => {});
    const stop = new AbortController();
    const reason = new ImgmvError('sigint', 'stopped');
    const dialling = dial(`ws://127.0.0.1:${server.port}`, { timeoutMs: 30_000, signal: stop.signal });
    setTimeout(() => stop.abort(reason), 50);
    await expect(dialling).rejects.toBe(reason);
    const late = dial(`ws://127.0.0.1:${server.port}`, { timeoutMs: 30_000, signal: stop.signal });
    await expect(late).rejects.toBe(reason);
  });

  test('a real web server', async () => {
    const server = createServer((_request, response) => response.end('hello'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    expect(await codeOf(dialPort((server.address() as AddressInfo).port))).toBe('not-imgmv');
    server.close();
    server.closeAllConnections();
  });
});
