import { expect, it } from 'vitest';
import { containerdInventory } from '../../../../agent/docker/containerd/inventory.ts';
import type { Engine } from '../../../../agent/docker/engine.ts';
import type { Digest } from '../../../../agent/model/image.ts';
import { digestOf, manifestFor } from '../../../../agent/oci/metadata.ts';
import { testImage } from '../../../memory.ts';
import { layerTar } from '../../../rig/layers.ts';

/** Which of these blobs stand for layers where a manifest of an image in the list calls them layers. */
async function layersAmong(...blobs: readonly Buffer[]): Promise<readonly boolean[]> {
  const config = Buffer.from('{}');
  const manifest = manifestFor(
    config,
    blobs.map((bytes) => ({ digest: digestOf(bytes), size: bytes.length })),
  );
  const held = new Map([...blobs, config, manifest].map((bytes) => [digestOf(bytes), bytes]));
  const read = async (digest: Digest) => held.get(digest) as Buffer;
  const content = {
    list: async () => [...held].map(([digest, { length: size }]) => ({ digest, size })),
    readAll: read,
    readHead: async (digest: Digest, bytes: number) => (await read(digest)).subarray(0, bytes),
  };
  const root = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digestOf(manifest) };
  const engine = { content: async () => content } as unknown as Engine;
  const inventory = await containerdInventory(engine, async () => [
    { Id: root.digest, Descriptor: root, RepoTags: [], RepoDigests: [], Labels: {}, Created: 0, Size: 0 },
  ]);
  const { image } = await testImage({ store: 'containerd' });
  const layers = blobs.map((bytes) => ({ digest: digestOf(bytes), size: bytes.length }));
  const { here } = await inventory.lacking({ ...image, layers }, new Set());
  return layers.map(({ digest }) => here.includes(digest));
}

it('takes a tar for a layer, and not a config whose texts put the mark of a tar where a tar has it', async () => {
  const begin = '{"config":{"Env":["';
  const config = (space: string) =>
    Buffer.from(`${space}${begin.padEnd(257 - space.length, 'x')}ustar${'x'.repeat(500)}"]}}`);
  const layer = await layerTar({ 'srv/data': 'data' });
  expect(await layersAmong(layer, config(''), config('\n\t '))).toEqual([true, false, false]);
});
