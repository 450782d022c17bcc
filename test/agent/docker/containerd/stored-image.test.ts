/** Blobs that are read one by one out of a store: what is opened is closed, be it read or not. */
import { expect, it } from 'vitest';
import type { ContentStore } from '../../../../agent/docker/containerd/content.ts';
import { StoredImage } from '../../../../agent/docker/containerd/stored-image.ts';
import { testImage } from '../../../memory.ts';

it('a layer that nobody reads is closed', async () => {
  const { image, blobs } = await testImage({ store: 'containerd', layers: [{ a: 'a' }, { b: 'b' }] });
  const bytes = new Map(blobs.map((blob) => [blob.digest, blob.bytes]));
  const open = new Set<string>();
  const content = {
    async *read(digest: string) {
      open.add(digest);
      try {
        yield bytes.get(digest as `sha256:${string}`) ?? Buffer.alloc(0);
      } finally {
        open.delete(digest);
      }
    },
    readAll: async (digest: `sha256:${string}`) => bytes.get(digest),
  } as unknown as ContentStore;
  const stored = await StoredImage.read(content, new Set(bytes.keys()), image.root, image.diffIds);
  for await (const { digest } of stored?.blobs(undefined, new AbortController().signal) ?? []) {
    expect([...open]).toEqual([digest]);
    break;
  }
  expect([...open]).toEqual([]);
});
