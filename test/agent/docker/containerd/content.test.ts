/** The blobs of a containerd store through the engine's API: what comes, and what is made of what should not. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ContentStore } from '../../../../agent/docker/containerd/content.ts';
import { encodeString, fieldsOf } from '../../../../agent/docker/containerd/protobuf.ts';
import { Engine as AgentEngine } from '../../../../agent/docker/engine.ts';
import type { Digest } from '../../../../agent/model/image.ts';
import { deferred } from '../../../../proto/deferred.ts';
import { failureOf } from '../../../conformance/conformance.ts';
import { isAlive } from '../../../rig/cleanup.ts';
import { run } from '../../../rig/command.ts';
import { type Engine, engineSupport, startEngine } from '../../../rig/engine.ts';
import { type LoadedImage, loadImage, loadIndexImage } from '../../../rig/images.ts';
import { scratchDirectory } from '../../../rig/scratch.ts';
import { sshHost } from '../../../rig/ssh.ts';
import { describeOn } from '../../../rig/suite.ts';
import { answer, type CallScript, engineAt, fakeContent, framed, refuse } from '../fake-content.ts';

const MIB = 2 ** 20;
const DIGEST: Digest = `sha256:${'a'.repeat(64)}`;
const OTHER: Digest = `sha256:${'b'.repeat(64)}`;

/** Opens the store of an engine that answers so, and closes both. */
async function withStore<T>(script: CallScript, use: (store: ContentStore) => Promise<T>): Promise<T> {
  await using fake = await fakeContent(script);
  const store = await ContentStore.open(fake.engine);
  if (store === undefined) throw new Error('it did not open');
  try {
    return await use(store);
  } finally {
    store.close();
  }
}

const answering =
  (...parts: readonly Buffer[]): CallScript =>
  (stream) =>
    answer(stream, Buffer.concat(parts));

function bytesField(number: number, bytes: Buffer): Buffer {
  // A length below 2^14 as a varint of two bytes, so that it need not be the shortest.
  return Buffer.concat([
    Buffer.from([(number << 3) | 2, (bytes.length & 0x7f) | 0x80, bytes.length >> 7]),
    bytes,
  ]);
}

function info(digest: string, labels: Readonly<Record<string, string>> = {}): Buffer {
  const entries = Object.entries(labels).map(([key, value]) =>
    bytesField(5, Buffer.concat([encodeString(1, key), encodeString(2, value)])),
  );
  // 300 bytes; created at the year 1, whose seconds are negative.
  const size = Buffer.from('10ac02', 'hex');
  const created = bytesField(3, Buffer.from('08808092b8c398feffff01', 'hex'));
  return bytesField(1, Buffer.concat([encodeString(1, digest), size, created, ...entries]));
}

/** A `ReadContentResponse`; the offset in one byte. */
function piece(offset: number, data: string): Buffer {
  const head = offset === 0 ? Buffer.alloc(0) : Buffer.from([0x08, offset]);
  return framed(Buffer.concat([head, encodeString(2, data)]));
}

async function textOf(pieces: AsyncIterable<Buffer>): Promise<string> {
  let text = '';
  for await (const bytes of pieces) text += bytes;
  return text;
}

async function sha256Of(pieces: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of pieces) hash.update(bytes);
  return `sha256:${hash.digest('hex')}`;
}

describe('protobuf', () => {
  it.each([
    ['nothing', '', []],
    ['a varint', '08ac02', [{ number: 1, wireType: 0, value: 300 }]],
    [
      'all that there is',
      '100109000000000000000018021a0161250000000028ffffffff0f',
      [
        { number: 2, wireType: 0, value: 1 },
        { number: 1, wireType: 1, value: Buffer.alloc(8) },
        { number: 3, wireType: 0, value: 2 },
        { number: 3, wireType: 2, value: Buffer.from('a') },
        { number: 4, wireType: 5, value: Buffer.alloc(4) },
        { number: 5, wireType: 0, value: 2 ** 32 - 1 },
      ],
    ],
    ['a field without a value', '08', undefined],
    ['a varint without an end', `08${'ff'.repeat(11)}`, undefined],
    ['a length beyond the message', '0a0561', undefined],
    ['a length beyond all bounds', '0affffffffffffffffff01', undefined],
    ['field 0', '0000', undefined],
    ['a group', '0b0c', undefined],
    ['a fixed number cut short', '0d000000', undefined],
  ])('%s', (_what, hex, fields) => {
    expect(fieldsOf(Buffer.from(hex, 'hex'))).toEqual(fields);
  });

  it('writes a string', () => {
    expect(encodeString(1, 'ab').toString('hex')).toBe('0a026162');
    expect(encodeString(2, 'a'.repeat(200)).subarray(0, 3).toString('hex')).toBe('12c801');
  });
});

describe('opening', () => {
  const opened = async (script: CallScript, onUpgrade?: (socket: Socket) => void) => {
    await using fake = await fakeContent(script, { everyCall: true, ...(onUpgrade && { onUpgrade }) });
    const store = await ContentStore.open(fake.engine);
    store?.close();
    if (store === undefined && !onUpgrade)
      for (const socket of fake.sockets)
        if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
    return store !== undefined;
  };

  it('takes an engine that knows the service', async () => {
    expect(await opened((stream) => refuse(stream, 5))).toBe(true);
  });

  it.each<readonly [string, CallScript]>([
    ['without the service', (stream) => refuse(stream, 12)],
    ['that has a blob which nobody has', answering(framed(info(`sha256:${'0'.repeat(64)}`)))],
    ['that resets the call', (stream) => stream.close(2)],
    ['that dies in the call', (stream) => stream.session?.destroy()],
  ])('leaves one %s, and closes the connection', async (_what, script) => {
    expect(await opened(script)).toBe(false);
  });

  it.each<readonly [string, (socket: Socket) => void]>([
    ['has no such page', (socket) => socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')],
    ['hangs up', (socket) => socket.destroy()],
    ['upgrades to something else', (socket) => socket.end(`${UPGRADED}220 welcome\r\n`)],
  ])('leaves one that %s', async (_what, onUpgrade) => {
    expect(await opened(() => {}, onUpgrade)).toBe(false);
  });

  it('leaves one that is not there', async () => {
    expect(await ContentStore.open(engineAt('unix:///nonexistent/docker.sock'))).toBeUndefined();
  });

  it('leaves those that are silent, after 5 s', async () => {
    const started = performance.now();
    const silent = [
      opened(() => {}),
      opened(
        () => {},
        () => {},
      ),
      opened(
        () => {},
        (socket) => socket.write(UPGRADED),
      ),
    ];
    expect(await Promise.all(silent)).toEqual([false, false, false]);
    expect(performance.now() - started).toBeGreaterThan(4_500);
  });
});

const UPGRADED = 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n';

describe('info and list', () => {
  const label = { 'containerd.io/uncompressed': OTHER, 'containerd.io/gc.ref': 'x' };

  it('decodes a blob', async () => {
    const got = await withStore(answering(framed(info(DIGEST, label))), (store) => store.info(DIGEST));
    expect(got).toEqual({ digest: DIGEST, size: 300, uncompressed: OTHER });
  });

  it('says that a blob is not there', async () => {
    expect(
      await withStore(
        (stream) => refuse(stream, 5),
        (store) => store.info(DIGEST),
      ),
    ).toBe(undefined);
  });

  it('takes a status in the trailers as well', async () => {
    const got = withStore(
      (stream) => answer(stream, Buffer.alloc(0), 5),
      (store) => store.info(DIGEST),
    );
    expect(await got).toBe(undefined);
  });

  it('takes no note of a label that is no digest', async () => {
    const odd = framed(info(DIGEST, { 'containerd.io/uncompressed': 'yes' }));
    expect(await withStore(answering(odd), (store) => store.info(DIGEST))).toEqual({
      digest: DIGEST,
      size: 300,
    });
  });

  it('lists what comes in several messages, cut at every byte', async () => {
    const all = Buffer.concat([
      framed(Buffer.concat([info(DIGEST), info(OTHER, label)])),
      framed(info(`sha512:${'c'.repeat(128)}`)),
      framed(info(OTHER)),
    ]);
    const cut: CallScript = async (stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      for (const byte of all) await new Promise((done) => stream.write(Buffer.from([byte]), done));
      stream.end();
    };
    expect(await withStore(cut, (store) => store.list())).toEqual([
      { digest: DIGEST, size: 300 },
      { digest: OTHER, size: 300, uncompressed: OTHER },
      { digest: OTHER, size: 300 },
    ]);
  });

  it('lists an empty store', async () => {
    expect(await withStore(answering(), (store) => store.list())).toEqual([]);
  });

  it.each<readonly [string, CallScript, RegExp]>([
    [
      'a refusal',
      (stream) => refuse(stream, 13),
      /refused to look for blob .*: no such thing \(gRPC status 13\)/,
    ],
    ['an answer for another blob', answering(framed(info(OTHER))), /malformed: it is of sha256:bb/],
    ['two answers', answering(framed(info(DIGEST)), framed(info(DIGEST))), /more than one answer/],
    ['success without an answer', answering(), /it is empty/],
    ['no protobuf', answering(framed(Buffer.from('ff', 'hex'))), /is not protobuf/],
    ['a number for a digest', answering(framed(Buffer.from('0a020801', 'hex'))), /field 1 is a number/],
    ['a text for a size', answering(framed(Buffer.from('0a03120161', 'hex'))), /field 2 is not a number/],
    [
      'a size beyond bounds',
      answering(framed(Buffer.from('0a0b10ffffffffffffffffff01', 'hex'))),
      /field 2 is out of bounds/,
    ],
    ['compression', answering(framed(info(DIGEST), { flag: 1 })), /compressed/],
    [
      'a message that is too large',
      answering(framed(info(DIGEST), { length: 16 * MIB + 1 })),
      /16777217 bytes/,
    ],
    ['a message cut short', answering(framed(info(DIGEST), { length: 1_000 })), /ends within a message/],
    ['a prefix cut short', answering(Buffer.alloc(3)), /ends within a message/],
    ['HTTP 500', (stream) => stream.respond({ ':status': 500 }, { endStream: true }), /HTTP 500/],
  ])('fails at %s', async (_what, script, says) => {
    const failure = await withStore(script, (store) => failureOf(store.info(DIGEST)));
    expect([failure.code, failure.message]).toEqual(['engine-refused', expect.stringMatching(says)]);
  });

  it.each<readonly [string, CallScript]>([
    ['resets the call', (stream) => stream.close(2)],
    ['dies before its answer', (stream) => stream.session?.destroy()],
    [
      'dies within its answer',
      (stream) => {
        stream.respond({ ':status': 200 });
        stream.write(framed(info(DIGEST), { length: 1_000 }), () => stream.session?.destroy());
      },
    ],
    ['ends without a status', (stream) => stream.respond({ ':status': 200 }, { endStream: true })],
  ])('fails when the engine %s', async (_what, script) => {
    const failure = await withStore(script, (store) => failureOf(store.info(DIGEST)));
    expect(failure.code).toBe('engine-unavailable');
  });

  it('fails when the engine is silent for 15 s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const reached = deferred<void>();
      await withStore(
        () => reached.resolve(),
        async (store) => {
          const failing = failureOf(store.list());
          await reached.promise;
          vi.advanceTimersByTime(15_000);
          expect(await failing).toMatchObject({
            code: 'engine-unavailable',
            message: expect.stringContaining('no answer within 15 s'),
          });
        },
      );
    } finally {
      vi.useRealTimers();
    }
  });

  it.each<readonly [string, CallScript]>([
    ['is silent, down to the socket', (_stream, _method, socket) => void socket.pause()],
    [
      'speaks no HTTP/2 any more',
      (_stream, _method, socket) => void socket.write('HTTP/1.1 500 Oops\r\n\r\n'),
    ],
  ])('fails to read when the engine %s, after two pings', async (_what, script) => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const reached = deferred<void>();
      const silent: CallScript = (stream, method, socket) => {
        void script(stream, method, socket);
        reached.resolve();
      };
      await withStore(silent, async (store) => {
        const failing = failureOf(store.readAll(DIGEST, 1));
        await reached.promise;
        await new Promise((resolve) => setTimeout(resolve, 50));
        vi.advanceTimersByTime(60_000);
        expect(await failing).toMatchObject({
          code: 'engine-unavailable',
          message: expect.stringContaining('no sign of life for 30 s'),
        });
      });
    } finally {
      vi.useRealTimers();
    }
  });

  it('waits for a slow read as long as the engine answers pings', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const reached = deferred<ServerHttp2Stream>();
      await withStore(
        (stream) => reached.resolve(stream),
        async (store) => {
          const reading = store.readAll(DIGEST, 5);
          const stream = await reached.promise;
          for (let round = 0; round < 5; round++) {
            vi.advanceTimersByTime(30_000);
            // Our ping is behind the one before, and its answer before the second one.
            for (const _ of ['sent', 'answered']) await answeredPing(stream);
          }
          answer(stream, piece(0, 'hello'));
          expect((await reading).toString()).toBe('hello');
        },
      );
    } finally {
      vi.useRealTimers();
    }
  });

  it('fails when the store is closed, meanwhile or before', async () => {
    await withStore(
      () => {},
      async (store) => {
        const meanwhile = failureOf(store.list());
        setTimeout(() => store.close(), 50);
        expect((await meanwhile).message).toContain('the connection was closed');
        expect((await failureOf(store.list())).code).toBe('engine-unavailable');
        store.close();
      },
    );
  });
});

describe('reading', () => {
  it.each<readonly [string, readonly Buffer[], string]>([
    ['in one message', [piece(0, 'hello')], 'hello'],
    ['in several', [piece(0, 'he'), piece(2, 'l'), piece(3, 'lo')], 'hello'],
    ['with nothing in them', [framed(Buffer.alloc(0)), piece(0, ''), piece(0, 'hello')], 'hello'],
    ['of an empty blob', [], ''],
  ])('gives the bytes %s', async (_how, messages, text) => {
    expect(await withStore(answering(...messages), (store) => textOf(store.read(DIGEST)))).toBe(text);
  });

  it('asks for the blob, and for all of it', async () => {
    let asked = '';
    const script: CallScript = async (stream) => {
      for await (const bytes of stream) asked += bytes.toString('latin1');
      answer(stream, Buffer.alloc(0));
    };
    await withStore(script, (store) => textOf(store.read(DIGEST)));
    expect(asked).toBe(framed(encodeString(1, DIGEST)).toString('latin1'));
  });

  it.each<readonly [string, readonly Buffer[], string]>([
    ['a gap', [piece(0, 'he'), piece(3, 'lo')], 'integrity'],
    ['a piece that comes again', [piece(0, 'he'), piece(0, 'he')], 'integrity'],
    ['a beginning that is missing', [piece(3, 'lo')], 'integrity'],
    ['data before its offset', [framed(Buffer.from('120161' + '0800', 'hex'))], 'engine-refused'],
    ['data longer than the message', [framed(Buffer.from('120561', 'hex'))], 'engine-refused'],
    ['another field', [framed(Buffer.from('1801', 'hex'))], 'engine-refused'],
    ['an offset without an end', [framed(Buffer.from(`08${'ff'.repeat(11)}`, 'hex'))], 'engine-refused'],
    ['a message cut short', [framed(Buffer.from('12056865', 'hex'), { length: 7 })], 'engine-refused'],
    ['an offset cut short', [framed(Buffer.from('08', 'hex'), { length: 7 })], 'engine-refused'],
    ['a message that is too large', [framed(Buffer.alloc(9), { length: 2 ** 32 - 1 })], 'engine-refused'],
  ])('fails at %s', async (_what, messages, code) => {
    const failure = await withStore(answering(...messages), (store) => failureOf(textOf(store.read(DIGEST))));
    expect(failure.code).toBe(code);
  });

  it('says that a blob is not there', async () => {
    const failure = await withStore(
      (stream) => refuse(stream, 5),
      (store) => failureOf(textOf(store.read(DIGEST))),
    );
    expect([failure.code, failure.message]).toEqual(['image-not-found', expect.stringContaining(DIGEST)]);
  });

  it('fails where the engine fails behind good bytes', async () => {
    const failing = withStore(
      (stream) => answer(stream, piece(0, 'hello'), 15),
      (store) => failureOf(textOf(store.read(DIGEST))),
    );
    expect((await failing).message).toContain('gRPC status 15');
  });

  it('fails when the engine dies within a message', async () => {
    const dying: CallScript = (stream, _method, socket) => {
      stream.respond({ ':status': 200 });
      stream.write(framed(Buffer.from('12056865', 'hex'), { length: 7 }), () => socket.destroy());
    };
    const failure = await withStore(dying, (store) => failureOf(textOf(store.read(DIGEST))));
    expect(failure.code).toBe('engine-unavailable');
  });

  it('bounds what is read as a whole', async () => {
    const script = answering(piece(0, 'hel'), piece(3, 'lo'));
    await withStore(script, async (store) => {
      expect((await store.readAll(DIGEST, 5)).toString()).toBe('hello');
      expect((await failureOf(store.readAll(DIGEST, 4))).code).toBe('integrity');
    });
  });

  /** Writes a blob that never ends, and tells how much of it the stream has taken and how it was ended. */
  function endless() {
    const ended = deferred<number>();
    const state = { bytes: 0, ended: ended.promise };
    const script: CallScript = (stream: ServerHttp2Stream) => {
      const data = Buffer.alloc(100_000);
      stream.respond({ ':status': 200 });
      stream.once('close', () => ended.resolve(stream.rstCode));
      const next = (position: number) => {
        const head = Buffer.concat([
          Buffer.from([0x08]),
          varintOf(position),
          Buffer.from([0x12]),
          varintOf(data.length),
        ]);
        stream.write(framed(Buffer.concat([head, data])), (error) => {
          if (error || stream.destroyed) return;
          state.bytes = position + data.length;
          next(state.bytes);
        });
      };
      next(0);
    };
    return { state, script };
  }

  it('ends the stream when it is left early', async () => {
    const { state, script } = endless();
    await withStore(script, async (store) => {
      for await (const bytes of store.read(DIGEST)) {
        expect(bytes.length).toBeGreaterThan(0);
        break;
      }
      expect(await state.ended).toBe(8);
    });
  });

  it('ends the stream when its signal says so, with the reason', async () => {
    const { state, script } = endless();
    await withStore(script, async (store) => {
      const stop = new AbortController();
      const reason = new Error('enough');
      let bytes = 0;
      const reading = (async () => {
        for await (const piece of store.read(DIGEST, stop.signal)) {
          bytes += piece.length;
          if (bytes > MIB) stop.abort(reason);
        }
      })();
      await expect(reading).rejects.toBe(reason);
      expect(await state.ended).toBe(8);
    });
  });

  it('ends a read that waits for a silent engine when its signal says so', async () => {
    await withStore(
      () => {},
      async (store) => {
        const reason = new Error('enough');
        const stop = new AbortController();
        const reading = textOf(store.read(DIGEST, stop.signal));
        setTimeout(() => stop.abort(reason), 50);
        await expect(reading).rejects.toBe(reason);
      },
    );
  });

  it('holds the engine back while nobody takes the bytes, and other calls go on', async () => {
    const { state, script } = endless();
    const both: CallScript = (stream, method, socket) =>
      method === 'Read' ? script(stream, method, socket) : answer(stream, framed(info(DIGEST)));
    await withStore(both, async (store) => {
      const reads = [store.read(DIGEST), store.read(DIGEST), store.read(DIGEST)];
      for (const read of reads) await read.next();
      await expect.poll(() => state.bytes).toBeGreaterThan(3 * MIB);
      expect((await store.info(DIGEST))?.size).toBe(300);
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(state.bytes).toBeLessThan(6 * MIB);
      for (const read of reads) await read.return(undefined);
    });
  });
});

/** Resolves once the client has answered a ping of the fake's, and so has read all that came before. */
function answeredPing({ session }: ServerHttp2Stream): Promise<void> {
  return new Promise((resolve, reject) => {
    session?.ping((error) => (error ? reject(error) : resolve()));
  });
}

function varintOf(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 0x80);
  }
}

describeOn('a containerd store', [await engineSupport('28c')], () => {
  let engine: Engine;
  let store: ContentStore;
  let plain: LoadedImage;
  let index: LoadedImage;

  beforeAll(async () => {
    engine = await startEngine({ flavour: '28c', tmpfsBytes: 2 ** 30 });
    const random = { 'data/random': { bytes: 24 * MIB, seed: 1 } };
    plain = await loadImage(engine, { name: 'web:1.0', layers: [random, { 'etc/a': 'a' }] });
    index = await loadIndexImage(engine, { name: 'web:index', layers: [{ 'etc/b': 'b' }], gzip: true });
    const opened = await ContentStore.open(
      await AgentEngine.connect({ dockerHost: engine.dockerHost, env: {} }),
    );
    if (opened === undefined) throw new Error('it did not open');
    store = opened;
  });
  afterAll(async () => {
    store?.close();
    await engine?.[Symbol.asyncDispose]();
  });

  it('lists all blobs of the images, and knows each', async () => {
    const blobs = await store.list();
    const wanted = blobsOf(plain, index);
    // The engine's own leftovers of a load may be among them, until it collects its garbage.
    const listed = new Map(blobs.map((blob) => [blob.digest, blob]));
    expect([...listed.keys()]).toEqual(expect.arrayContaining([...wanted]));
    for (const digest of wanted) expect(await store.info(digest)).toEqual(listed.get(digest));
    for (const { digest, bytes } of [...plain.layers, ...index.layers])
      expect(blobs).toContainEqual(expect.objectContaining({ digest, size: bytes }));
  });

  it('knows what a compressed layer was made of', async () => {
    const found = await store.info(index.layers[0]?.digest as Digest);
    expect(found?.uncompressed).toBe(index.diffIds[0]);
  });

  it('reads each blob, one after the other and all at once', async () => {
    const digests = blobsOf(plain, index);
    for (const digest of digests) expect(await sha256Of(store.read(digest))).toBe(digest);
    expect(await Promise.all(digests.map((digest) => sha256Of(store.read(digest))))).toEqual(digests);
  });

  it('reads metadata whole, within bounds', async () => {
    const manifest = await store.readAll(plain.manifest as Digest, MIB);
    expect(JSON.parse(manifest.toString())).toMatchObject({ config: { digest: plain.config } });
    expect((await failureOf(store.readAll(plain.layers[0]?.digest as Digest, MIB))).code).toBe('integrity');
  });

  it('has no blob that nobody has', async () => {
    expect(await store.info(DIGEST)).toBeUndefined();
    expect((await failureOf(textOf(store.read(DIGEST)))).code).toBe('image-not-found');
  });

  it('goes on after a read that was left early', async () => {
    const digest = plain.layers[0]?.digest as Digest;
    for (let round = 0; round < 20; round++) for await (const _bytes of store.read(digest)) break;
    expect(await sha256Of(store.read(digest))).toBe(digest);
  });

  it('works over TCP', async () => {
    await using relay = await relayTo(engine.socketPath, createServer());
    await expectReads(engineAt(`tcp://127.0.0.1:${relay.port}`));
  });

  it('works over TLS', async () => {
    await using directory = await scratchDirectory();
    const [key, cert] = [join(directory.path, 'key.pem'), join(directory.path, 'cert.pem')];
    const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-keyout', key, '-out', cert];
    await run(['openssl', 'req', '-x509', '-nodes', '-subj', '/CN=localhost', ...made]);
    const server = createTlsServer({ key: await readFile(key), cert: await readFile(cert) });
    await using relay = await relayTo(engine.socketPath, server, 'secureConnection');
    const tls = { skipVerify: true };
    await expectReads(engineAt(`tcp://127.0.0.1:${relay.port}`, { tls }));
  });

  it.each([
    ['a socket that is forwarded', 'yes'],
    ['a session', 'no'],
  ])('works over ssh, by %s', async (_what, AllowStreamLocalForwarding) => {
    await using directory = await scratchDirectory();
    const { env, starts } = await sshHost(directory.path, { daemon: { AllowStreamLocalForwarding } });
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    const over = engineAt(`ssh://root@localhost${engine.socketPath}`);
    try {
      await expectReads(over);
      expect((await starts()).some((line) => line.endsWith('dial-stdio'))).toBe(
        AllowStreamLocalForwarding === 'no',
      );
    } finally {
      over.transport.close();
      vi.unstubAllEnvs();
    }
  });

  it('lets the process end while it is idle, and not before', async () => {
    const script = `
      import { ContentStore } from './agent/docker/containerd/content.ts';
      import { engineAt } from './test/agent/docker/fake-content.ts';
      const store = await ContentStore.open(engineAt('${engine.dockerHost}'));
      console.log((await store.list()).length > 0);
    `;
    const tsx = ['node', '--import', 'tsx', '--input-type=module', '--eval', script];
    expect(await run(tsx, { env: { PATH: process.env.PATH } })).toBe('true\n');
  });

  it('fails when the engine dies while it is read', async () => {
    await using doomed = await startEngine({ flavour: '28c', tmpfsBytes: 2 ** 29 });
    const layers = [{ 'data/random': { bytes: 32 * MIB, seed: 2 } }];
    const image = await loadImage(doomed, { name: 'web:1.0', layers });
    const opened = await ContentStore.open(engineAt(doomed.dockerHost));
    if (opened === undefined) throw new Error('it did not open');
    const pieces = opened.read(image.layers[0]?.digest as Digest);
    await pieces.next();
    doomed.kill('SIGKILL');
    await expect.poll(() => isAlive(doomed.pid)).toBe(false);
    const failure = await failureOf(textOf(pieces));
    expect(failure.code).toBe('engine-unavailable');
    expect((await failureOf(opened.list())).code).toBe('engine-unavailable');
  });

  async function expectReads(over: Parameters<typeof ContentStore.open>[0]): Promise<void> {
    const opened = await ContentStore.open(over);
    if (opened === undefined) throw new Error('it did not open');
    const digest = plain.layers[0]?.digest as Digest;
    expect(await sha256Of(opened.read(digest))).toBe(digest);
    opened.close();
  }
});

describeOn('an engine of 20.10', [await engineSupport('20')], () => {
  it('has no such service', async () => {
    await using engine = await startEngine({ flavour: '20', tmpfsBytes: 2 ** 28 });
    expect(await ContentStore.open(engineAt(engine.dockerHost))).toBeUndefined();
  });
});

function blobsOf(...images: readonly LoadedImage[]): readonly Digest[] {
  const digests = images.flatMap(({ config, manifest, layers, index = manifest }) => [
    config,
    manifest,
    index,
    ...layers.map(({ digest }) => digest),
  ]);
  return digests as Digest[];
}

/** The engine's socket behind another kind of listener. */
async function relayTo(
  socketPath: string,
  server: ReturnType<typeof createServer>,
  event = 'connection',
): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>();
  server.on(event, (near: Socket) => {
    const far = connect(socketPath);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => {});
      from.once('close', () => to.destroy());
      from.pipe(to);
    }
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
