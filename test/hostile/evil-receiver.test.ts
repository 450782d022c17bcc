/** A receiver that lies, one that only pretends to be one, and what a real sender lets out to either. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { acceptChannel } from '../../proto/channel.ts';
import { generateCode } from '../../proto/code.ts';
import type { EntryReader } from '../../proto/entry-reader.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { generateKeyPair } from '../../proto/noise.ts';
import { type MemoryImage, MemorySource, testImage } from '../memory.ts';
import { pause, until, webSocketServer } from '../proto/wire.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { HELLO, ScriptedReceiver, sender, stage, statuses, wireNames } from './hosts.ts';

vi.mock(import('../../proto/code.ts'), async (original) => ({
  ...(await original()),
  ...(await import('../proto/cheap-stretching.ts')),
}));

const MIB = 1024 * 1024;
const OTHER = `sha256:${'ab'.repeat(32)}`;

/** A sender that has paired with a script, its images offered. */
async function paired(
  images: readonly MemoryImage[],
  source = new MemorySource(images),
  retries = 0,
  pushes = false,
) {
  const scene = await stage();
  const run = sender(scene.server.port, scene.code, source, retries, pushes);
  const evil = await ScriptedReceiver.pair(scene.server, scene.code);
  return { run, evil, source, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
}

/** Reads entries to the end of an image. */
async function takeImage(entries: EntryReader): Promise<{ kinds: string[]; complete: boolean }> {
  const kinds: string[] = [];
  for (;;) {
    const item = await entries.next();
    if (!item) throw new Error('the lane ended');
    if ('type' in item) return { kinds, complete: item.complete };
    for await (const _ of item.body);
    kinds.push(item.kind);
  }
}

test('the script itself is sound: told to be honest, it is sent two images', async () => {
  const images = [
    await testImage({ name: 'one:1' }),
    await testImage({ name: 'two:2', store: 'containerd' }),
  ];
  await using scene = await paired(images);
  const { evil, run } = scene;
  await evil.answerAll();
  const { entries, lane } = await evil.lane();
  const kinds: string[][] = [];
  for (const [item, { image: one }] of images.entries()) {
    kinds.push((await takeImage(entries)).kinds);
    await evil.say({ type: 'result', item, status: 'loaded', targetId: one.id, names: wireNames(one) });
  }
  await evil.hear('finish');
  await Promise.all([evil.end(), lane.end()]);
  expect(statuses(await run)).toEqual(['loaded', 'loaded']);
  expect(kinds).toEqual([
    ['layer', 'layer', 'config'],
    ['layer', 'layer', 'config', 'manifest'],
  ]);
});

describe('answers that end the session before a byte of an image is sent', () => {
  const good = { item: 0, action: 'send', names: [{ wanted: 'web:1.0' }] };
  test.each<readonly [string, readonly object[]]>([
    ['for another name', [{ ...good, names: [{ wanted: 'alpine:latest' }] }]],
    ['for a name more', [{ ...good, names: [...good.names, { wanted: 'alpine:latest' }] }]],
    ['for a name less', [{ ...good, names: [] }]],
    ['with another number', [{ ...good, item: 1 }]],
    ['more than offers', [good, good]],
    ['fewer than offers', []],
    ['that asks for a layer that was not offered', [{ ...good, missing: [OTHER] }]],
    ['with an unknown action', [{ ...good, action: 'everything' }]],
    ['with an error to what is wanted', [{ ...good, error: { code: 'integrity', message: 'm' } }]],
    ['with a digest that is none', [{ ...good, names: [{ ...good.names[0], replaces: 'x' }] }]],
  ])('%s', async (_name, images) => {
    await using scene = await paired([await testImage()]);
    await scene.evil.hear('offer');
    await scene.evil.say({ type: 'answer', items: images, last: true });
    const { error } = await scene.run;
    expect(error?.code).toBe('protocol-violation');
    expect(await scene.evil.closed()).toBe('4213 protocol-violation');
    expect(scene.source.expected).toEqual([]);
  });

  test.each<readonly [string, readonly object[]]>([
    ['that leaves out a name and renames none', [{ wanted: 'a:1' }]],
    [
      'that gives one name for two',
      [
        { wanted: 'a:1', target: 'x:1' },
        { wanted: 'b:1', target: 'x:1' },
      ],
    ],
    ['in another order', [{ wanted: 'b:1', target: 'x:1' }, { wanted: 'a:1' }]],
    ['that renames to no name', [{ wanted: 'a:1', target: 'x' }, { wanted: 'b:1' }]],
  ])('of an image with two names, %s', async (_name, refs) => {
    const names = ['a:1', 'b:1'].map((name) => ({ source: name, target: name }));
    await using scene = await paired([await testImage({ names })]);
    await scene.evil.hear('offer');
    const images = [{ item: 0, action: 'send', names: refs }];
    await scene.evil.say({ type: 'answer', items: images, last: true });
    expect((await scene.run).error?.code).toBe('protocol-violation');
    expect(scene.source.expected).toEqual([]);
  });

  test('swapped between two images without names', async () => {
    const images = [await testImage({ name: 'a:1', names: [] }), await testImage({ name: 'b:1', names: [] })];
    await using scene = await paired(images);
    await scene.evil.hear('offer');
    const answers = [1, 0].map((item) => ({ item, action: item === 1 ? 'refuse' : 'send', names: [] }));
    await scene.evil.say({ type: 'answer', items: answers, last: true });
    expect((await scene.run).error?.code).toBe('protocol-violation');
  });
});

test('nothing that it says is run', async () => {
  await using scratch = await scratchDirectory();
  const mark = join(scratch.path, 'mark');
  const image = await testImage();
  await using scene = await paired([image]);
  await scene.evil.hear('offer');
  const words = [`touch ${mark}`, `$(touch ${mark})`, `'; touch ${mark} #`];
  const error = { code: 'engine-refused', message: words[1], hint: words[0] };
  const answer = {
    item: 0,
    action: 'refuse',
    reason: words[2],
    warning: words[0],
    names: wireNames(image.image),
    error,
  };
  await scene.evil.say({ type: 'answer', items: [answer], last: true });
  await scene.evil.hear('finish');
  await scene.evil.end();
  expect(statuses(await scene.run)).toEqual(['failed engine-refused']);
  expect(await readdir(scratch.path)).toEqual([]);
});

describe('messages that end the session', () => {
  test.each<readonly [string, readonly object[]]>([
    ['hello again', [{ type: 'hello', role: 'receiver', ...HELLO }]],
    ['an offer', [{ type: 'offer', items: [], last: true }]],
    ['a failure', [{ type: 'failed', item: 0, error: { code: 'internal', message: 'm' } }]],
    ['finish', [{ type: 'finish' }]],
    [
      'a result for what was not offered',
      [{ type: 'result', item: 1, status: 'present', targetId: OTHER, names: [] }],
    ],
    [
      'a result twice',
      Array(2).fill({
        type: 'result',
        item: 0,
        status: 'failed',
        names: [],
        error: { code: 'refused', message: 'm' },
      }),
    ],
    [
      'a result under a name that was not offered',
      [
        {
          type: 'result',
          item: 0,
          status: 'loaded',
          targetId: OTHER,
          names: [{ wanted: 'x:1' }],
        },
      ],
    ],
    ['a probe', [{ type: 'probe', padding: 'x' }]],
    ['placed, and nothing is to be', [{ type: 'placed' }]],
    ['layers again, before the image has ended', [{ type: 'again', item: 0, missing: [] }]],
    ['layers again of what was not offered', [{ type: 'again', item: 1, missing: [] }]],
    ['an answer more', [{ type: 'answer', items: [{ item: 0, action: 'send', names: [] }], last: true }]],
  ])('%s', async (_name, messages) => {
    await using scene = await paired([await testImage()]);
    await scene.evil.answerAll();
    for (const message of messages) await scene.evil.say(message);
    expect(await scene.evil.closed()).toBe('4213 protocol-violation');
    const { ledger, error } = await scene.run;
    expect(ledger?.exit ?? error?.exit).toBe(13);
  });

  const web = { wanted: 'web:1.0' };
  const loaded = { type: 'result', item: 0, status: 'loaded', targetId: OTHER, names: [web] };
  const why = { code: 'push-failed', message: 'm' };
  const pushes = { ...loaded, pushes: true };
  const pushed = (...pushed: readonly object[]) => ({ type: 'pushed', item: 0, pushed });
  const good = { target: 'web:1.0', digest: OTHER };
  test.each<readonly [string, readonly object[]]>([
    ['of a name that was not offered', [pushes, pushed({ ...good, target: 'x:1' })]],
    ['of one name twice', [pushes, pushed(good, good)]],
    ['that both failed and has a digest', [pushes, pushed({ ...good, problem: 'denied' })]],
    ['that neither failed nor has a digest', [pushes, pushed({ target: 'web:1.0' })]],
    ['with a digest that is none', [pushes, pushed({ ...good, digest: 'sha256:x' })]],
    ['that is not announced, and was asked for', [loaded]],
    ['of no name', [pushes, pushed()]],
    ['of an image that failed', [{ ...pushes, status: 'failed', error: why }]],
    ['of an image that has no result', [pushed(good)]],
    ['of an image that was not offered', [pushes, { ...pushed(good), item: 1 }]],
  ])('a push %s', async (_name, said) => {
    await using scene = await paired([await testImage()], undefined, 0, true);
    await scene.evil.answerAll();
    for (const message of said) await scene.evil.say(message);
    expect(await scene.evil.closed()).toBe('4213 protocol-violation');
    const { ledger, error } = await scene.run;
    expect(ledger?.exit ?? error?.exit).toBe(13);
  });

  test('word of a push that comes twice, or that is never announced, while others are owed', async () => {
    const images = [await testImage({ name: 'web:1.0' }), await testImage({ name: 'other:1' })];
    for (const said of [
      [pushes, pushed(good), pushed(good)],
      [{ ...pushes, pushes: undefined }, pushed(good)],
    ]) {
      await using scene = await paired(images, undefined, 0, said.length === 3);
      await scene.evil.answerAll();
      for (const message of said) await scene.evil.say(message);
      expect(await scene.evil.closed()).toBe('4213 protocol-violation');
      expect((await scene.run).ledger?.exit).toBe(13);
    }
  });

  test('END, with word of a push still owed: the image is there, and its push is not known', async () => {
    await using scene = await paired([await testImage()], undefined, 0, true);
    await scene.evil.hear('offer');
    const images = [{ item: 0, action: 'present', names: [web] }];
    await scene.evil.say({ type: 'answer', items: images, last: true });
    await scene.evil.say({ ...pushes, status: 'present' });
    await scene.evil.control.lane.end();
    expect(await scene.evil.closed()).toBe('4213 protocol-violation');
    expect((await scene.run).ledger?.outcomes).toMatchObject([
      { status: 'present', pushed: [{ target: 'web:1.0', error: { code: 'protocol-violation' } }] },
    ]);
  });

  test('END, with results still owed: no hang', async () => {
    await using scene = await paired([await testImage()]);
    await scene.evil.answerAll();
    await scene.evil.control.lane.end();
    expect(await scene.evil.closed()).toBe('4213 protocol-violation');
    expect((await scene.run).ledger?.exit).toBe(13);
  });

  test('END in place of an answer: no hang', async () => {
    await using scene = await paired([await testImage()]);
    await scene.evil.control.lane.end();
    expect((await scene.run).error?.code).toBe('protocol-violation');
  });
});

describe('an image that it says has failed, and may be tried again', () => {
  const names = [{ wanted: 'bad:1' }];
  const failed = {
    type: 'result',
    item: 1,
    status: 'failed',
    names,
    error: { code: 'engine-unavailable', message: 'away' },
  };

  /** The second of two images has failed, and is asked for once more. */
  async function asked() {
    const images = [await testImage({ name: 'good:1' }), await testImage({ name: 'bad:1' })];
    const scene = await paired(images, new MemorySource(images), 1);
    const { evil } = scene;
    await evil.answerAll();
    const { entries, lane } = await evil.lane();
    await takeImage(entries);
    const [{ image: good }] = images as [MemoryImage, MemoryImage];
    await evil.say({ type: 'result', item: 0, status: 'loaded', targetId: good.id, names: wireNames(good) });
    await takeImage(entries);
    await evil.say(failed);
    expect(await evil.hear('retry')).toMatchObject({ items: [1], attempt: 1, waitMs: 2_000 });
    return { ...scene, entries, lane };
  }

  test('the script itself is sound: it comes whole, once, and is failed when it fails again', async () => {
    await using scene = await asked();
    const { evil, entries, lane, run } = scene;
    await evil.say({ type: 'answer', items: [{ item: 1, action: 'send', names }], last: true });
    expect(await takeImage(entries)).toEqual({ kinds: ['layer', 'layer', 'config'], complete: true });
    await evil.say(failed);
    await evil.hear('finish');
    await Promise.all([evil.end(), lane.end()]);
    expect(statuses(await run)).toEqual(['loaded', 'failed engine-unavailable']);
  });

  test.each<readonly [string, object]>([
    ['an answer for the other image', { items: [{ item: 0, action: 'send', names: [] }] }],
    ['an answer under another name', { items: [{ item: 1, action: 'send', names: [] }] }],
    ['an answer more', { items: Array(2).fill({ item: 1, action: 'send', names }) }],
    ['no answer', { items: [] }],
  ])('%s ends the session', async (_name, answer) => {
    await using scene = await asked();
    await scene.evil.say({ type: 'answer', last: true, ...answer });
    expect(await scene.evil.closed()).toBe('4213 protocol-violation');
    expect((await scene.run).ledger?.exit ?? (await scene.run).error?.exit).toBe(13);
  });
});

describe('a sender gives no more than was asked for', () => {
  const large = () => testImage({ layers: [{ data: { bytes: 24 * MIB, seed: 1 } }] });

  test('nothing for images that are present or refused, and no lane', async () => {
    const [there, unwanted] = [await testImage({ name: 'there:1' }), await testImage({ name: 'unwanted:1' })];
    await using scene = await paired([there, unwanted]);
    const { evil } = scene;
    await evil.hear('offer');
    const answers = ['present', 'refuse'].map((action, item) => ({
      item,
      action,
      names: wireNames(([there, unwanted][item] as MemoryImage).image),
    }));
    await evil.say({ type: 'answer', items: answers, last: true });
    await evil.say({ type: 'result', item: 0, status: 'present', targetId: there.image.id, names: [] });
    await evil.say({
      type: 'result',
      item: 1,
      status: 'refused',
      names: [],
      error: { code: 'refused', message: 'm' },
    });
    await evil.hear('finish');
    const { lane } = evil.control;
    expect(lane.bytesReceived).toBeLessThan(4_000);
    await evil.end();
    expect(statuses(await scene.run)).toEqual(['present', 'refused refused']);
  });

  test('one layer to a receiver that wants one', async () => {
    const image = await testImage();
    await using scene = await paired([image]);
    const { evil } = scene;
    await evil.hear('offer');
    const { diffIds } = image.image;
    const names = wireNames(image.image);
    const missing = diffIds.slice(1);
    await evil.say({ type: 'answer', items: [{ item: 0, action: 'send', names, missing }], last: true });
    const { entries, lane } = await evil.lane();
    expect(await takeImage(entries)).toEqual({ kinds: ['layer', 'config'], complete: true });
    await evil.say({ type: 'result', item: 0, status: 'loaded', targetId: image.image.id, names });
    await evil.hear('finish');
    await Promise.all([evil.end(), lane.end()]);
    expect(statuses(await scene.run)).toEqual(['loaded']);
  });

  test('nothing more to a receiver that asks again behind its result', async () => {
    const image = await testImage();
    await using scene = await paired([image]);
    const { evil } = scene;
    await evil.answerAll();
    const { entries } = await evil.lane();
    await takeImage(entries);
    const { id, diffIds } = image.image;
    const names = wireNames(image.image);
    await evil.say({ type: 'result', item: 0, status: 'loaded', targetId: id, names });
    await evil.say({ type: 'again', item: 0, missing: diffIds });
    expect(await evil.closed()).toBe('4213 protocol-violation');
  });

  test('one window to a receiver that takes nothing', async () => {
    await using scene = await paired([await large()]);
    await scene.evil.answerAll();
    const { lane } = await scene.evil.lane();
    await until(() => lane.bytesReceived === MIB);
    await pause(200);
    expect(lane.bytesReceived).toBe(MIB);
    lane.fail(new ImgmvError('sigterm', 'enough'));
    expect((await scene.run).ledger?.exit).toBe(11);
  });

  test('it stops at a result that says failed, and the next image moves', async () => {
    const [first, second] = [await large(), await testImage({ name: 'two:2' })];
    await using scene = await paired([first, second]);
    const { evil } = scene;
    await evil.answerAll();
    const { lane, entries } = await evil.lane();
    await until(() => lane.bytesReceived > 0);
    const error = { code: 'refused', message: 'no room' };
    await evil.say({ type: 'result', item: 0, status: 'failed', names: [], error });
    const item = await entries.next();
    expect(item).toMatchObject({ kind: 'layer', item: 0 });
    expect(await entries.next()).toMatchObject({ type: 'end', item: 0, complete: false });
    expect(lane.bytesReceived).toBeLessThan(8 * MIB);
    expect((await takeImage(entries)).complete).toBe(true);
    await evil.say({ type: 'result', item: 1, status: 'loaded', targetId: second.image.id, names: [] });
    await evil.hear('finish');
    await Promise.all([evil.end(), lane.end()]);
    expect(statuses(await scene.run)).toEqual(['failed refused', 'loaded']);
  });

  test('what the result says is the outcome, whatever the receiver does', async () => {
    await using scene = await paired([await testImage()]);
    const { evil } = scene;
    await evil.answerAll();
    const { lane, entries } = await evil.lane();
    await takeImage(entries);
    await evil.say({ type: 'result', item: 0, status: 'loaded', names: [] });
    await evil.hear('finish');
    await Promise.all([evil.end(), lane.end()]);
    expect(statuses(await scene.run)).toEqual(['failed protocol-violation']);
  });
});

describe('who pretends to be the receiver and does not know the code', () => {
  /** All that a dialler sends to a listener with another code, and how its run ends. */
  async function fake(afterwards: (server: Awaited<ReturnType<typeof webSocketServer>>) => Promise<void>) {
    await using server = await webSocketServer();
    const run = sender(server.port, generateCode(), new MemorySource([await testImage()]));
    await afterwards(server);
    return run;
  }

  test('gets a preamble and two handshake messages, 160 bytes, and not one record', async () => {
    const received: Buffer[] = [];
    const run = await fake(async (server) => {
      const socket = await server.next();
      const next = socket.next.bind(socket);
      socket.next = async () => {
        const message = await next();
        if (message) received.push(message);
        return message;
      };
      const credentials = { s: generateKeyPair(), psk: Buffer.alloc(32) };
      await acceptChannel(socket, {
        admit: (dialler) => ({ preamble: { ...dialler, role: 'receiver' }, credentials }),
      }).catch(() => {});
      await socket.closed;
      expect(socket.bytesReceived).toBe(160);
    });
    expect(received.map(({ length }) => length)).toEqual([48, 48, 64]);
    expect(run.error?.code).toBe('wrong-code');
  });

  test('may go on after message 3 with bytes of its own: nothing more comes', async () => {
    const run = await fake(async (server) => {
      const socket = await server.next();
      const close = socket.close.bind(socket);
      // It does not tell that message 3 was wrong, and sends what could be a RESUME.
      socket.close = () => socket.send(Buffer.alloc(33, 1));
      const credentials = { s: generateKeyPair(), psk: Buffer.alloc(32) };
      await acceptChannel(socket, {
        admit: (dialler) => ({ preamble: { ...dialler, role: 'receiver' }, credentials }),
      }).catch(() => {});
      expect(await socket.closed).toMatchObject({ code: 4113, reason: 'channel-corrupt' });
      close(1000);
      expect(socket.bytesReceived).toBe(160);
    });
    expect(run.error?.code).toBe('channel-corrupt');
  });

  test('and replays what a true receiver once said: the dialler stops at message 2', async () => {
    const recorded: Buffer[] = [];
    await using record = await webSocketServer();
    const honest = generateCode();
    const first = sender(record.port, honest, new MemorySource([await testImage()]));
    const socket = await record.next();
    const send = socket.send.bind(socket);
    socket.send = (message) => {
      recorded.push(Buffer.from(message));
      send(message);
    };
    const credentials = { s: generateKeyPair(), psk: Buffer.alloc(32) };
    await acceptChannel(socket, {
      admit: (dialler) => ({ preamble: { ...dialler, role: 'receiver' }, credentials }),
    }).catch(() => {});
    await first;
    expect(recorded.map(({ length }) => length)).toEqual([48, 96]);

    await using replay = await webSocketServer();
    const again = sender(replay.port, honest, new MemorySource([await testImage()]));
    const replayed = await replay.next();
    await replayed.next();
    for (const message of recorded) replayed.send(message);
    expect((await again).error?.code).toBe('handshake-failed');
    await replayed.closed;
    expect(replayed.bytesReceived).toBe(96);
  });
});
