/** A sender that knows the code and lies: what a real receiver makes of it. PROTOCOL.md sections 6 to 9. */
import { describe, expect, test, vi } from 'vitest';
import { digestOf } from '../../agent/oci/metadata.ts';
import { type Digest, encodeHeader, encodeTrailer } from '../../proto/entry.ts';
import { Lane } from '../../proto/lane.ts';
import { JOBS_MAX, NAMES_PER_IMAGE_MAX, OFFER_PARTS_MAX } from '../../proto/limits.ts';
import { Control, type Message } from '../../proto/messages.ts';
import { generateKeyPair } from '../../proto/noise.ts';
import { type MemoryImage, MemorySink, testImage } from '../memory.ts';
import { codeOf, pause, Script } from '../proto/wire.ts';
import { HELLO, offered, pairWith, receiver, ScriptedSender, sendBlobs, statuses } from './hosts.ts';
import { bomb } from './lies.ts';

vi.mock(import('../../proto/code.ts'), async (original) => ({
  ...(await original()),
  ...(await import('../proto/cheap-stretching.ts')),
}));

const MIB = 1024 * 1024;
const OTHER = `sha256:${'ab'.repeat(32)}` as const;

/** A receiver and a sender that has paired with it. */
async function paired(sink = new MemorySink()) {
  const host = await receiver(sink);
  const evil = await ScriptedSender.pair(host);
  return { host, evil, sink, [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() };
}

/** The one violation of a session: both sides know, nothing is stored and nothing has a name. */
async function expectViolation({ host, evil, sink }: Awaited<ReturnType<typeof paired>>): Promise<void> {
  expect(await evil.closed()).toBe('4213 protocol-violation');
  const { error, ledger } = await host.run;
  const codes = ledger ? ledger.outcomes.map((outcome) => outcome.error?.code) : [error?.code];
  expect(new Set(codes)).toEqual(new Set(['protocol-violation']));
  expect(ledger?.exit ?? error?.exit).toBe(13);
  expect([sink.images.size, sink.names.size]).toEqual([0, 0]);
}

test('the script itself is sound: told to be honest, it moves two images', async () => {
  await using scene = await paired();
  const { host, evil, sink } = scene;
  const images = [await testImage({ name: 'one:1' }), await testImage({ name: 'two:2' })];
  expect((await evil.offer(images)).items.map(({ action }) => action)).toEqual(['send', 'send']);
  const lane = await evil.lane();
  for (const [number, { blobs }] of images.entries()) {
    await sendBlobs(lane, number, blobs);
    expect(await evil.hear('result')).toMatchObject({ item: number, status: 'loaded' });
  }
  await evil.say({ type: 'finish' });
  await Promise.all([evil.end(), lane.end()]);
  expect(statuses(await host.run)).toEqual(['loaded', 'loaded']);
  expect([...sink.names.keys()]).toEqual(['one:1', 'two:2']);
});

describe('one image is refused, the next one moves', () => {
  type Lie = (image: MemoryImage, other: MemoryImage) => MemoryImage['blobs'];
  test.each<readonly [string, Lie]>([
    ['a layer more than offered', ({ blobs }, other) => [...other.blobs.slice(1, 2), ...blobs]],
    ['a layer in place of another', ({ blobs }, other) => [...other.blobs.slice(1, 2), ...blobs.slice(1)]],
    ['a layer twice', ({ blobs }) => [...blobs.slice(0, 1), ...blobs]],
    ['a layer too few', ({ blobs }) => blobs.slice(1)],
    ['no config', ({ blobs }) => blobs.slice(0, -1)],
    ['the config of another image', ({ blobs }, other) => [...blobs.slice(0, -1), ...other.blobs.slice(-1)]],
    ['nothing at all', () => []],
  ])('%s', async (_name, lie) => {
    await using scene = await paired();
    const { host, evil, sink } = scene;
    const [bad, good] = [await testImage({ name: 'bad:1' }), await testImage({ name: 'good:1' })];
    await evil.offer([bad, good]);
    const lane = await evil.lane();
    await sendBlobs(lane, 0, lie(bad, good));
    expect(await evil.hear('result')).toMatchObject({ item: 0, status: 'failed' });
    await sendBlobs(lane, 1, good.blobs);
    expect(await evil.hear('result')).toMatchObject({ item: 1, status: 'loaded' });
    await evil.say({ type: 'finish' });
    await Promise.all([evil.end(), lane.end()]);
    expect(statuses(await host.run)).toEqual(['failed integrity', 'loaded']);
    expect([...sink.names.keys()]).toEqual(['good:1']);
  });

  test.each([
    ['a layer of unknown length', 'layer'],
    ['metadata of unknown length', 'config'],
  ] as const)('%s', async (_name, kind) => {
    await using scene = await paired();
    const { host, evil } = scene;
    const [bad, good] = [await testImage({ name: 'bad:1' }), await testImage({ name: 'good:1' })];
    await evil.offer([bad, good]);
    const lane = await evil.lane();
    const bytes = Buffer.from('hello');
    await lane.write(
      encodeHeader({ type: 'blob', kind, item: 0, encoding: 'identity', size: undefined, digest: undefined }),
      Buffer.from('00000005' + '68656c6c6f' + '00000000', 'hex'),
      encodeTrailer({ complete: true, size: 5, digest: digestOf(bytes) }),
      encodeHeader({ type: 'end', item: 0, blobs: 1, complete: true }),
    );
    expect(await evil.hear('result')).toMatchObject({ item: 0, status: 'failed' });
    await sendBlobs(lane, 1, good.blobs);
    expect(await evil.hear('result')).toMatchObject({ item: 1, status: 'loaded' });
    await evil.say({ type: 'finish' });
    await Promise.all([evil.end(), lane.end()]);
    expect(statuses(await host.run)).toEqual(['failed refused', 'loaded']);
  });

  test.each<readonly [string, number, Buffer]>([
    ['a body that is another', 5, Buffer.from('00000005' + '68656c6c6f' + '00000000', 'hex')],
    ['fewer bytes than declared', 1_000, Buffer.from('00000005' + '68656c6c6f' + '00000000', 'hex')],
    ['more bytes than declared', 2, Buffer.from('00000005' + '68656c6c6f' + '00000000', 'hex')],
    ['a bomb of a GiB', MIB, Buffer.concat([Buffer.from('00008006', 'hex'), bomb(), Buffer.alloc(4)])],
  ])('%s', async (_name, size, body) => {
    await using scene = await paired();
    const { host, evil, sink } = scene;
    const image = await testImage();
    await evil.offer([image]);
    const lane = await evil.lane();
    const encoding = size === MIB ? 'zstd' : 'identity';
    await lane.write(
      encodeHeader({ type: 'blob', kind: 'layer', item: 0, encoding, size, digest: image.blobs[0]?.digest }),
      body,
      encodeTrailer({ complete: true, size }),
      encodeHeader({ type: 'end', item: 0, blobs: 1, complete: true }),
    );
    expect(await evil.hear('result')).toMatchObject({ status: 'failed', error: { code: 'integrity' } });
    expect(sink.bytesTaken).toBeLessThanOrEqual(size);
    await evil.say({ type: 'finish' });
    await Promise.all([evil.end(), lane.end()]);
    expect(statuses(await host.run)).toEqual(['failed integrity']);
    expect(sink.names.size).toBe(0);
  });
});

describe('offers that end the session', () => {
  const names = (target: string, source = 'web:1.0') => ({ names: [{ source, wanted: target }] });
  test.each<readonly [string, object]>([
    ['a target without a tag', names('web')],
    ['a target with a digest', names(`web@${OTHER}`)],
    ['a target with tag and digest', names(`web:1.0@${OTHER}`)],
    ['a target that is an id', names(OTHER)],
    ['a target in upper case', names('Web:1.0')],
    ['a target that climbs', names('../../etc:1.0')],
    ['a target with a space', names('web :1.0')],
    ['a target with an escape', names('web\x1b[2J:1.0')],
    ['a target with a line break', names('web:1.0\n')],
    ['a target with a bidirectional control', names('web\u202e:1.0')],
    ['a target longer than 255', names(`${'a'.repeat(256)}:1.0`)],
    ['a tag longer than 128', names(`web:${'1'.repeat(129)}`)],
    ['a source that is no name', names('web:1.0', '--privileged')],
    ['another image number', { item: 1 }],
    ['a negative image number', { item: -1 }],
    ['an id that is no digest', { id: 'web:1.0' }],
    ['a size that is no number', { bytes: '1' }],
    ['an unknown store', { store: 'overlay2' }],
  ])('%s', async (_name, change) => {
    await using scene = await paired();
    await scene.evil.say({
      type: 'offer',
      items: [{ ...offered(await testImage(), 0), ...change }],
      last: true,
    });
    await expectViolation(scene);
  });

  test('more images than are allowed', async () => {
    await using scene = await paired();
    const image = offered(await testImage(), 0);
    const images = Array.from({ length: 101 }, () => image);
    for (let count = 0; count < 100; count++)
      void scene.evil.say({ type: 'offer', items: images, last: false }).catch(() => {});
    await expectViolation(scene);
  });

  test('an image twice, under two names', async () => {
    await using scene = await paired();
    const image = await testImage({ name: 'a:1' });
    const names = [{ source: 'b:1', wanted: 'b:1' }];
    await scene.evil.say({
      type: 'offer',
      items: [offered(image, 0), { ...offered(image, 1), names }],
      last: true,
    });
    await expectViolation(scene);
  });

  test('more names and layers than are allowed, of fewer images', async () => {
    await using scene = await paired();
    const names = Array.from({ length: NAMES_PER_IMAGE_MAX }, () => ({ source: 'a:1', wanted: 'a:1' }));
    const image = { ...offered(await testImage(), 0), names };
    const images = Array.from({ length: 60 }, () => image);
    for (let parts = 0; parts <= OFFER_PARTS_MAX; parts += images.length * names.length)
      void scene.evil.say({ type: 'offer', items: images, last: false }).catch(() => {});
    await expectViolation(scene);
  });

  test('another offer behind the last', async () => {
    await using scene = await paired();
    await scene.evil.offer([await testImage()]);
    await scene.evil.say({ type: 'offer', items: [], last: true });
    await expectViolation(scene);
  });
});

describe('messages that end the session', () => {
  test.each<readonly [string, object]>([
    ['hello again', { type: 'hello', role: 'sender', ...HELLO }],
    ['an answer', { type: 'answer', items: [], last: true }],
    ['a result', { type: 'result', item: 0, status: 'loaded', targetId: OTHER, names: [] }],
    [
      'a failure of what was not offered',
      { type: 'failed', item: 1, error: { code: 'internal', message: 'm' } },
    ],
    ['an unknown type', { type: 'exec', command: 'id' }],
    ['no type', {}],
  ])('%s', async (_name, message) => {
    await using scene = await paired();
    await scene.evil.offer([await testImage()]);
    await scene.evil.say(message);
    await expectViolation(scene);
  });

  test.each<readonly [string, Message | object]>([
    ['another message than hello', { type: 'finish' }],
    ['a hello of the same role', { type: 'hello', role: 'receiver', ...HELLO }],
    ['a hello that breaks the schema', { type: 'hello', role: 'sender' }],
  ])('%s first', async (_name, message) => {
    await using host = await receiver(new MemorySink());
    const { channel } = await pairWith(host.port, await host.pairing.psk);
    const lane = new Lane(channel, { windowBytes: MIB, dialled: true });
    await lane.ready;
    await new Control(lane).send(message as Message);
    expect(await channel.closed).toMatchObject({ code: 4213, reason: 'protocol-violation' });
    expect((await host.run).error?.code).toBe('protocol-violation');
  });
});

describe('images to be tried again', () => {
  /** One that fails and one that is loaded. */
  async function half() {
    const scene = await paired();
    const { evil } = scene;
    const [bad, good] = [await testImage({ name: 'bad:1' }), await testImage({ name: 'good:1' })];
    await evil.offer([bad, good]);
    const lane = await evil.lane();
    await sendBlobs(lane, 0, []);
    await sendBlobs(lane, 1, good.blobs);
    for (const status of ['failed', 'loaded']) expect(await evil.hear('result')).toMatchObject({ status });
    return { ...scene, bad, lane };
  }
  const retry = (images: readonly number[], attempt = 1) => ({
    type: 'retry',
    items: images,
    attempt,
    waitMs: 0,
  });

  test('the script itself is sound: an image that failed is taken the next time', async () => {
    await using scene = await half();
    const { host, evil, sink, bad, lane } = scene;
    await evil.say(retry([0]));
    expect(await evil.hear('answer')).toMatchObject({ items: [{ item: 0, action: 'send' }], last: true });
    await sendBlobs(lane, 0, bad.blobs);
    expect(await evil.hear('result')).toMatchObject({ item: 0, status: 'loaded' });
    await evil.say({ type: 'finish' });
    await Promise.all([evil.end(), lane.end()]);
    expect(statuses(await host.run)).toEqual(['loaded', 'loaded']);
    expect([...sink.names.keys()]).toEqual(['good:1', 'bad:1']);
  });

  test.each<readonly [string, readonly object[]]>([
    ['one that is there', [retry([1])]],
    ['one that was not offered', [retry([2])]],
    ['one twice', [retry([0, 0])]],
    ['one that failed and one that did not', [retry([0, 1])]],
    ['not for the first time', [retry([0], 2)]],
    ['twice for the first time', [retry([0]), retry([0])]],
    ['after the end', [{ type: 'finish' }, retry([0])]],
  ])('%s', async (_name, messages) => {
    await using scene = await half();
    const { host, evil } = scene;
    for (const message of messages) void evil.say(message).catch(() => {});
    expect(await evil.closed()).toBe('4213 protocol-violation');
    const { error, ledger } = await host.run;
    expect(ledger?.exit ?? error?.exit).not.toBe(0);
  });

  test('where none failed', async () => {
    await using scene = await paired();
    const { host, evil } = scene;
    const image = await testImage();
    await evil.offer([image]);
    await sendBlobs(await evil.lane(), 0, image.blobs);
    expect(await evil.hear('result')).toMatchObject({ status: 'loaded' });
    await evil.say(retry([0]));
    expect(await evil.closed()).toBe('4213 protocol-violation');
    await host.run;
  });

  test('before anything was offered', async () => {
    await using scene = await paired();
    await scene.evil.say(retry([0]));
    await scene.evil.say({ type: 'offer', items: [offered(await testImage(), 0)], last: true });
    await sendBlobs(await scene.evil.lane(), 0, (await testImage()).blobs);
    expect(await scene.evil.closed()).toBe('4213 protocol-violation');
    await scene.host.run;
  });
});

describe('a blob lane that ends the session', () => {
  const header = (image: number, size = 5, digest: Digest = OTHER) =>
    encodeHeader({ type: 'blob', kind: 'layer', item: image, encoding: 'identity', size, digest });
  const end = (image: number, blobs: number) =>
    encodeHeader({ type: 'end', item: image, blobs, complete: true });
  const hello = [
    header(0, 5, digestOf(Buffer.from('hello'))),
    Buffer.from('00000005' + '68656c6c6f' + '00000000', 'hex'),
    encodeTrailer({ complete: true, size: 5 }),
  ];

  test.each<readonly [string, readonly Buffer[]]>([
    ['a blob of another image within one', [...hello, header(1)]],
    ['the end of another image within one', [...hello, end(1, 0)]],
    ['a blob of an image that was not offered', [header(2)]],
    ['an end that counts other blobs', [end(0, 1)]],
    ['an entry of an unknown kind', [Buffer.alloc(48, 9)]],
    [
      'a layer of eight petabytes',
      [Buffer.from(`01000000${'00'.repeat(4)}001fffffffffffff${'00'.repeat(32)}`, 'hex')],
    ],
    ['a segment over the limit', [header(0, 2 * MIB), Buffer.from('00100001', 'hex')]],
    [
      'a body without an end',
      [header(0, 1), ...Array<Buffer>(300).fill(Buffer.from('000000046e65766572', 'hex').subarray(0, 8))],
    ],
  ])('%s', async (_name, wire) => {
    await using scene = await paired();
    await scene.evil.offer([await testImage(), await testImage({ name: 'two:2' })]);
    await (await scene.evil.lane()).write(...wire);
    await expectViolation(scene);
  });

  test('metadata of unknown length that never ends', async () => {
    await using scene = await paired();
    const { evil, host } = scene;
    await evil.offer([await testImage()]);
    const lane = await evil.lane();
    const segment = Buffer.concat([Buffer.from('00100000', 'hex'), Buffer.alloc(MIB)]);
    const endless = async () => {
      await lane.write(
        encodeHeader({
          type: 'blob',
          kind: 'config',
          item: 0,
          encoding: 'identity',
          size: undefined,
          digest: undefined,
        }),
      );
      for (;;) await lane.write(segment);
    };
    expect(await codeOf(endless())).toBe('protocol-violation');
    expect(await evil.closed()).toBe('4213 protocol-violation');
    expect(lane.bytesSent).toBeLessThan(16 * MIB);
    expect(statuses(await host.run)).toEqual(['failed refused']);
  });

  test('who says that more images are on their way than may be is heard of no more than these', async () => {
    await using scene = await paired();
    const { evil } = scene;
    const names = Array.from({ length: JOBS_MAX + 4 }, (_, at) => `image-${at}:1`);
    await evil.offer(await Promise.all(names.map((name) => testImage({ name }))));
    for (const item of names.keys()) await evil.say({ type: 'progress', item, phase: 'transfer', bytes: 0 });
    // Each that counts is told of every half second: among so many there is one of all of them.
    const heard = new Set<number>();
    for (let messages = 0; messages < 2 * names.length; messages++)
      heard.add((await evil.hear('progress')).item);
    expect([...heard].sort((a, b) => a - b)).toEqual([...names.keys()].slice(0, JOBS_MAX));
  });

  test('more images at once than the limit', async () => {
    await using scene = await paired();
    const { evil, sink } = scene;
    const open = sink.writer.bind(sink);
    let loading = 0;
    let over: Promise<never> | undefined;
    sink.writer = async (answer, signal) => ({
      ...(await open(answer, signal)),
      commit: () => {
        loading++;
        over ??= new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        return over;
      },
    });
    const names = Array.from({ length: JOBS_MAX + 1 }, (_, at) => `image-${at}:1`);
    await evil.offer(await Promise.all(names.map((name) => testImage({ name }))));
    const lane = await evil.lane();
    for (const at of names.keys()) await lane.write(end(at, 0));
    expect(await evil.closed()).toBe('4213 protocol-violation');
    expect(loading).toBe(JOBS_MAX);
  });

  test('an image once more that was not asked for again', async () => {
    await using scene = await paired();
    await scene.evil.offer([await testImage(), await testImage({ name: 'two:2' })]);
    const lane = await scene.evil.lane();
    for (const entry of [end(0, 0), end(0, 0)]) await lane.write(entry);
    expect(await scene.evil.closed()).toBe('4213 protocol-violation');
    expect(statuses(await scene.host.run)).toEqual(['failed integrity', 'failed protocol-violation']);
  });

  test('END in the middle of an image', async () => {
    await using scene = await paired();
    const image = await testImage();
    await scene.evil.offer([image]);
    const lane = await scene.evil.lane();
    await lane.write(header(0), Buffer.from('0000000568656c', 'hex'));
    await lane.end();
    await expectViolation(scene);
  });

  test('END between two images', async () => {
    await using scene = await paired();
    await scene.evil.offer([await testImage()]);
    await (await scene.evil.lane()).end();
    await expectViolation(scene);
  });

  test('blobs of an image that is present', async () => {
    const [there, missing] = [await testImage({ name: 'there:1' }), await testImage({ name: 'missing:1' })];
    const sink = new MemorySink();
    sink.images.set(there.image.id, there);
    await using scene = await paired(sink);
    const { items } = await scene.evil.offer([there, missing]);
    expect(items.map(({ action }) => action)).toEqual(['present', 'send']);
    await sendBlobs(await scene.evil.lane(), 0, there.blobs);
    expect(await scene.evil.closed()).toBe('4213 protocol-violation');
    expect(statuses(await scene.host.run)).toEqual(['present', 'failed protocol-violation']);
  });
});

describe('END on the control lane', () => {
  test('before an offer', async () => {
    await using scene = await paired();
    await scene.evil.control.lane.end();
    await expectViolation(scene);
  });

  test('inside an offer', async () => {
    await using scene = await paired();
    await scene.evil.control.lane.write(Buffer.from('000000ff7b', 'hex'));
    await scene.evil.control.lane.end();
    await expectViolation(scene);
  });

  test('with images still to come', async () => {
    await using scene = await paired();
    await scene.evil.offer([await testImage()]);
    await scene.evil.control.lane.end();
    await expectViolation(scene);
  });
});

describe('further connections', () => {
  test.each([
    ['a lane of another session', { sessionId: Buffer.alloc(16, 7) }, 'session-unknown'],
    ['lane 2', { lane: 2 }, 'session-unknown'],
    ['lane 0', { lane: 0 }, 'session-unknown'],
    ['generation 1', { generation: 1 }, 'session-unknown'],
    ['a reconnect of lane 2', { kind: 'reconnect', lane: 2, generation: 1 }, 'session-unknown'],
    ['a reconnect of generation 0', { kind: 'reconnect', lane: 0 }, 'session-unknown'],
    ['a reconnect of generation 0 that opens', { kind: 'reconnect' }, 'session-unknown'],
    [
      'a reconnect of another session',
      { kind: 'reconnect', lane: 0, generation: 1, sessionId: Buffer.alloc(16, 7) },
      'session-unknown',
    ],
    ['a trusted peer', { kind: 'trusted', lane: 0 }, 'session-unknown'],
    ['a lane in the receiver’s role', { role: 'receiver' }, 'role-mismatch'],
    ['a second pairing', { kind: 'pair', lane: 0 }, 'code-used'],
  ] as const)('%s is refused, and the session goes on', async (_name, change, code) => {
    await using scene = await paired();
    const { evil, host } = scene;
    expect(await codeOf(evil.connect(change))).toBe(code);
    const image = await testImage();
    await evil.offer([image]);
    const lane = await evil.lane();
    await sendBlobs(lane, 0, image.blobs);
    expect(await evil.hear('result')).toMatchObject({ status: 'loaded' });
    await evil.say({ type: 'finish' });
    await Promise.all([evil.end(), lane.end()]);
    expect(statuses(await host.run)).toEqual(['loaded']);
  });

  test('a lane by somebody who saw the session id and has not its key', async () => {
    await using scene = await paired();
    const channel = await scene.evil.connect({}, generateKeyPair());
    expect((await channel.ended()).code).toBe('handshake-failed');
    await scene.evil.lane();
  });

  test('a reconnect by somebody who has not the key: the lane stays with who has', async () => {
    await using scene = await paired();
    const { evil, host } = scene;
    const stolen = await evil.connect({ kind: 'reconnect', lane: 0, generation: 1 }, generateKeyPair());
    expect((await stolen.ended()).code).toBe('handshake-failed');
    await evil.offer([]);
    await evil.say({ type: 'finish' });
    await evil.end();
    expect(statuses(await host.run)).toEqual([]);
  });

  test('a reconnect that was there before, or is older', async () => {
    await using scene = await paired();
    const { evil } = scene;
    const again = { kind: 'reconnect', lane: 0, generation: 3 } as const;
    await evil.connect(again);
    expect(await codeOf(evil.connect(again))).toBe('session-unknown');
    expect(await codeOf(evil.connect({ ...again, generation: 2 }))).toBe('session-unknown');
    await evil.connect({ ...again, generation: 4 });
  });

  test('a reconnect that goes on where it never was', async () => {
    await using scene = await paired();
    const channel = await scene.evil.connect({ kind: 'reconnect', lane: 0, generation: 1 });
    const script = new Script(channel);
    await script.next();
    script.send('03 0000000000ffffff 0000000001000000');
    expect(await script.closed()).toBe('4213 protocol-violation');
    expect((await scene.host.run).error?.code).toBe('protocol-violation');
  });

  test('a lane a second time', async () => {
    await using scene = await paired();
    await scene.evil.lane();
    expect(await codeOf(scene.evil.connect())).toBe('session-unknown');
  });

  test('a lane a second time, after a reconnect that opened it', async () => {
    await using scene = await paired();
    const again = { kind: 'reconnect', generation: 2 } as const;
    await scene.evil.connect(again);
    for (const change of [{}, again, { ...again, generation: 1 }])
      expect(await codeOf(scene.evil.connect(change))).toBe('session-unknown');
    await scene.evil.connect({ ...again, generation: 3 });
  });

  test('two lanes 1 at once: one is taken', async () => {
    await using scene = await paired();
    const both = await Promise.all([
      scene.evil.connect().catch(() => undefined),
      scene.evil.connect().catch(() => undefined),
    ]);
    const open = () => both.filter((channel) => channel?.socket.open);
    await expect.poll(open).toHaveLength(1);
    await pause(100);
    expect(open()).toHaveLength(1);
  });
});

test('a sender that vanishes is lost, and nothing has a name', async () => {
  await using scene = await paired();
  const image = await testImage();
  await scene.evil.offer([image]);
  const lane = await scene.evil.lane();
  await sendBlobs(lane, 0, image.blobs.slice(0, 1)).catch(() => {});
  scene.evil.control.lane.channel.socket.destroy();
  const { ledger } = await scene.host.run;
  expect(ledger?.outcomes.map(({ error }) => error?.exit)).toEqual([
    expect.toSatisfy((exit) => exit === 11 || exit === 13),
  ]);
  expect(scene.sink.names.size).toBe(0);
});
