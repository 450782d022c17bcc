/** Images that no offer has room for, beside others, over a real session: each is refused by itself, and the rest arrives. */
import { describe, expect, it, vi } from 'vitest';
import type { Image } from '../../../agent/model/image.ts';
import { whyNotOffered } from '../../../agent/peer/wire-images.ts';
import {
  LAYERS_MAX,
  LAYERS_OFFERED_MAX,
  NAMES_PER_IMAGE_MAX,
  REFERENCE_MAX_BYTES,
} from '../../../proto/limits.ts';
import { receiver, sender, statuses } from '../../hostile/hosts.ts';
import { type MemoryImage, MemorySink, MemorySource, testImage } from '../../memory.ts';

vi.mock(import('../../../proto/code.ts'), async (original) => ({
  ...(await original()),
  ...(await import('../../proto/cheap-stretching.ts')),
}));

const digest = (n: number) => `sha256:${n.toString(16).padStart(64, '0')}` as const;
const many = <T>(length: number, one: (n: number) => T) => Array.from({ length }, (_, n) => one(n));
const named = (n: number) => ({ source: `a:${n}`, target: `a:${n}` });

const ODD: readonly (readonly [string, Partial<Image>, RegExp])[] = [
  ['no platform', { platform: { os: '', architecture: 'amd64' } }, /cannot be sent: platform\.os$/],
  ['a name with a digest', { names: [{ source: 'a:1', target: `a@${digest(1)}` }] }, /no NAME:TAG/],
  [
    'a name that is too long',
    { names: [{ source: 'a:1', target: `${'a'.repeat(REFERENCE_MAX_BYTES)}:1` }] },
    /cannot be sent: names\.0\.target$/,
  ],
  ['too many names', { names: many(NAMES_PER_IMAGE_MAX + 1, named) }, /101 names, and 100 is the most/],
  ['too many layers', { diffIds: many(LAYERS_MAX + 1, digest) }, /501 layers, and 500 are the most/],
  [
    'too many layers of all platforms',
    { layers: many(LAYERS_OFFERED_MAX + 1, (n) => ({ digest: digest(n), size: 1 })) },
    /1001 layers together, and 1000 are the most/,
  ],
  ['a size that is none', { bytes: -1 }, /cannot be sent: bytes$/],
];

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

it('an image that can be offered has no reason against it', async () => {
  expect(whyNotOffered((await testImage()).image)).toBeUndefined();
});
