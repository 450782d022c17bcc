/** How the layers of images were read, in a sentence for all that were read alike. */
import { expect, it } from 'vitest';
import { readings } from '../../cli/readings.ts';

const image = (source: string, read?: 'store' | 'save', readReason?: string) => ({
  id: 'sha256:1',
  refs: [{ source, target: source }],
  ...(read && { read, readReason: readReason ?? null }),
});

it('is one for all, or names those of which it is true', () => {
  expect(readings([image('a:1', 'store'), image('b:1', 'store')])).toEqual([
    'Layers are read where the engine keeps them.',
  ]);
  expect(readings([image('a:1', 'store'), image('b:1', 'save', 'a link'), image('c:1', 'store')])).toEqual([
    'Layers of a:1, c:1 are read where the engine keeps them.',
    'Layers of b:1 are read by docker save: a link.',
  ]);
});

it('is none where nothing is told, as of archives and of another host', () => {
  expect(readings([image('a:1'), { ...image('b:1'), read: null, readReason: null }])).toEqual([]);
});
