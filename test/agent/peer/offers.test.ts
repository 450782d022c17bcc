/** Images that no offer has room for, beside others, over a real session: each is refused by itself, and the rest arrives. */
import { describe, expect, it, vi } from 'vitest';
import type { Image } from '../../../agent/model/image.ts';
import { whyNotOffered } from '../../../agent/peer/wire-images.ts';
import {
  LAYERS_MAX,
  LAYERS_OFFERED_MAX,
  NAMES_PER_IMAGE_MAX,
  OFFER_IMAGES_MAX,
  OFFER_PARTS_MAX,
  REFERENCE_MAX_BYTES,
} from '../../../proto/limits.ts';
import { receiver, ScriptedReceiver, sender, stage, statuses } from '../../hostile/hosts.ts';
import { type MemoryImage, MemorySink, MemorySource, testImage } from '../../memory.ts';

vi.mock(import('../../../proto/code.ts'), async (original) => ({
  ...(await original()),
  ...(await import('../../proto/cheap-stretching.ts')),
}));

const digest = (n: number) => `sha256:${n.toString(16).padStart(64, '0')}` as const;
const many = <T>(length: number, one: (n: number) => T) => Array.from({ length }, (_, n) => one(n));
const named = (n: number, name = 'a:') => ({ source: `${name}${n}`, target: `${name}${n}` });

const ODD: readonly (readonly [string, Partial<Image>, RegExp])[] = [
  [
    'a platform that is too long',
    { platform: { os: 'x'.repeat(101), architecture: 'amd64' } },
    /cannot be sent: platform\.os$/,
  ],
  ['a name with a digest', { names: [{ source: 'a:1', target: `a@${digest(1)}` }] }, /is not NAME:TAG/],
  [
    'a name that is too long',
    { names: [{ source: 'a:1', target: `${'a'.repeat(REFERENCE_MAX_BYTES)}:1` }] },
    /cannot be sent: names\.0\.wanted$/,
  ],
  [
    'too many names',
    { names: many(NAMES_PER_IMAGE_MAX + 1, (n) => named(n)) },
    /101 names, and at most 100 can be sent/,
  ],
  ['too many layers', { diffIds: many(LAYERS_MAX + 1, digest) }, /501 layers, and at most 500 can be sent/],
  [
    'too many layers of all platforms',
    { layers: many(LAYERS_OFFERED_MAX + 1, (n) => ({ digest: digest(n), size: 1 })) },
    /1001 layers in all, and at most 1000 can be sent/,
  ],
  [
    'a layer of a classic store under a digest that is not its diffID',
    { store: 'classic', layers: [{ digest: digest(1), size: 1, diffId: digest(2) }] },
    /cannot be sent: .*not called by its diffID/,
  ],
  ['a size that is none', { bytes: -1 }, /cannot be sent: bytes$/],
  [
    'more than a message holds',
    {
      diffIds: many(LAYERS_MAX, digest),
      layers: many(LAYERS_OFFERED_MAX, (n) => ({ digest: digest(n), size: 2 ** 40, diffId: digest(n) })),
      names: many(NAMES_PER_IMAGE_MAX, (n) => named(n, `${'a'.repeat(230)}:${'1'.repeat(120)}`)),
    },
    /cannot be sent: the whole, which has \d{6} bytes$/,
  ],
];

/** All of its layers, and nothing else that counts. */
const large = { ...(await testImage()).image, diffIds: many(LAYERS_MAX, digest), layers: [], names: [] };

async function odd(change: Partial<Image>): Promise<MemoryImage> {
  const image = await testImage({ name: 'odd:1' });
  return { ...image, image: { ...image.image, ...change } };
}

describe.each(ODD)('an image with %s', (_what, change, why) => {
  it('is refused alone', async () => {
    const sink = new MemorySink();
    await using host = await receiver(sink);
    const images = [
      await testImage({ name: 'one:1' }),
      await odd(change),
      await testImage({ name: 'two:1' }),
    ];
    const run = await sender(host.port, host.code, new MemorySource(images));
    expect(statuses(run)).toEqual(['loaded', 'refused refused', 'loaded']);
    expect(run.ledger?.outcomes[1]?.error?.message).toMatch(why);
    expect(run.ledger?.exit).toBe(17);
    expect(statuses(await host.run)).toEqual(['loaded', 'loaded']);
    expect([...sink.names.keys()].sort()).toEqual(['one:1', 'two:1']);
  });
});

it('an image without a platform, as docker allows it, arrives', async () => {
  const sink = new MemorySink();
  await using host = await receiver(sink);
  const run = await sender(
    host.port,
    host.code,
    new MemorySource([await odd({ platform: { os: '', architecture: '' } })]),
  );
  expect(statuses(run)).toEqual(['loaded']);
  expect([...sink.images.values()][0]?.image.platform).toEqual({ os: '', architecture: '' });
});

it.each<readonly [string, readonly Image[], RegExp]>([
  ['more images', new Array(OFFER_IMAGES_MAX + 1), /^10001 images: a session takes at most 10000$/],
  [
    'more names and layers',
    many(OFFER_PARTS_MAX / 500 + 1, () => large),
    /^250500 names and layers: a session takes at most/,
  ],
])('%s than an offer has room for are refused before one is offered', async (_what, images, why) => {
  await using scene = await stage();
  const source = Object.assign(new MemorySource([]), {
    images: async () => Array.from(images, (image = large) => ({ image })),
  });
  const run = sender(scene.server.port, scene.code, source);
  await ScriptedReceiver.pair(scene.server, scene.code);
  expect((await run).error).toMatchObject({ code: 'refused', message: expect.stringMatching(why) });
});

it('a kind that the other side does not take is refused here, and not offered', async () => {
  await using scene = await stage();
  const run = sender(scene.server.port, scene.code, new MemorySource([await testImage()]));
  const far = await ScriptedReceiver.pair(scene.server, scene.code, { capabilities: ['volume'] });
  expect(await far.hear('offer')).toEqual({ type: 'offer', items: [], last: true });
  await far.say({ type: 'answer', items: [], last: true });
  await far.hear('finish');
  await far.end();
  const { ledger } = await run;
  expect(ledger?.outcomes[0]?.error?.message).toBe('test host takes no images');
  expect(ledger?.outcomes[0]?.status).toBe('refused');
});

it('an image that can be offered has no reason against it', async () => {
  expect(whyNotOffered((await testImage()).image)).toBeUndefined();
});
