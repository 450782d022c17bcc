import { describe, expect, it } from 'vitest';
import type { ContentInfo } from '../../../../agent/docker/containerd/content.ts';
import { LayerBlobs } from '../../../../agent/docker/containerd/store-graph.ts';
import type { Digest } from '../../../../agent/model/image.ts';

const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;
const [UNPACKED, NAMED, CONFIG, BOTH, STRAY, DIFF_ID] = ['1', '2', '3', '4', '5', '6'].map(digest) as [
  Digest,
  Digest,
  Digest,
  Digest,
  Digest,
  Digest,
];
const blobs: readonly ContentInfo[] = [
  { digest: UNPACKED, size: 1, uncompressed: DIFF_ID },
  { digest: NAMED, size: 1 },
  { digest: CONFIG, size: 1 },
  { digest: BOTH, size: 1, uncompressed: digest('7') },
  { digest: STRAY, size: 1 },
];

describe('what counts as a layer in a containerd store', () => {
  const layers = new LayerBlobs(blobs, { layers: new Set([NAMED, BOTH]), metadata: new Set([CONFIG, BOTH]) });

  it('is what containerd has unpacked, and what a manifest names', () => {
    expect([UNPACKED, NAMED].map((one) => layers.has(one))).toEqual([true, true]);
    expect(layers.hasDiffId(DIFF_ID)).toBe(true);
    expect(layers.hasDiffId(NAMED)).toBe(true);
  });

  it('is nothing that merely lies there, nor metadata, whatever else it is', () => {
    for (const one of [CONFIG, BOTH, STRAY, digest('8')]) {
      expect(layers.has(one)).toBe(false);
      expect(layers.hasDiffId(one)).toBe(false);
    }
    // Not even by what it becomes unpacked.
    expect(layers.hasDiffId(digest('7'))).toBe(false);
  });
});
