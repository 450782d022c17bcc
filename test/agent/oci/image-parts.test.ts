/** The pieces of one image, which have to hang together before an engine is told what they mean. */
import { describe, expect, it } from 'vitest';
import type { Blob, BlobKind, Digest } from '../../../agent/model/image.ts';
import { ImageParts } from '../../../agent/oci/image-parts.ts';
import { digestOf } from '../../../agent/oci/metadata.ts';
import { IMAGE_METADATA_MAX_BYTES, METADATA_MAX_BYTES } from '../../../proto/limits.ts';
import { type MemoryImage, testImage } from '../../memory.ts';

const OTHER: Digest = `sha256:${'0'.repeat(64)}`;

function blob(kind: BlobKind, bytes: Buffer, digest = digestOf(bytes)): Blob {
  const body = (async function* () {
    yield bytes;
  })();
  return { kind, digest, size: bytes.length, body };
}

/** All blobs of an image, given to `parts` as they are. */
async function give(parts: ImageParts, { blobs }: MemoryImage): Promise<void> {
  for (const { kind, digest, bytes } of blobs)
    if (kind === 'layer') parts.addLayer(digest, { path: digest, size: bytes.length });
    else await parts.addMetadata(blob(kind, bytes));
}

describe.each(['classic', 'containerd'] as const)('an image of a %s store', (store) => {
  it('is whole when all of it has come', async () => {
    const image = await testImage({ store });
    const parts = new ImageParts(image.image, undefined);
    await give(parts, image);
    parts.checkWhole();
    expect(parts.root().digest).toBe(image.image.root.digest);
  });

  it('takes no layer that was not offered, and none twice', async () => {
    const image = await testImage({ store });
    const parts = new ImageParts(image.image, undefined);
    expect(() => parts.expectLayer(OTHER)).toThrow(/was not offered, or came twice/);
    expect(() => parts.addLayer(OTHER, { path: 'x', size: 1 })).toThrow(/was not offered/);
    await give(parts, image);
    expect(() => parts.expectLayer(image.image.diffIds[0] as Digest)).toThrow(/came twice/);
  });

  it('takes no metadata under another digest', async () => {
    const image = await testImage({ store });
    const parts = new ImageParts(image.image, undefined);
    await expect(parts.addMetadata(blob('config', Buffer.from('{}'), OTHER))).rejects.toMatchObject({
      code: 'integrity',
      message: expect.stringContaining(`config ${OTHER} came as`),
    });
  });

  it('is not whole with a config that nothing names', async () => {
    const image = await testImage({ store });
    const parts = new ImageParts(image.image, undefined);
    await give(parts, image);
    await parts.addMetadata(blob('config', Buffer.from('{"more":1}')));
    expect(() => parts.checkWhole()).toThrow(/came, but is not a part of the image/);
  });

  it('is not whole without one of its layers', async () => {
    const image = await testImage({ store });
    const parts = new ImageParts(image.image, undefined);
    await give(parts, { ...image, blobs: image.blobs.slice(1) });
    expect(() => parts.checkWhole()).toThrow(/layer sha256:[0-9a-f]{64} did not come/);
  });

  it('has 32 MiB of metadata at most, counted while they come', async () => {
    const image = await testImage({ store });
    const parts = new ImageParts(image.image, undefined);
    const bytes = Buffer.alloc(METADATA_MAX_BYTES);
    for (let came = 0; came + bytes.length <= IMAGE_METADATA_MAX_BYTES; came += bytes.length)
      await parts.addMetadata(blob('config', bytes));
    await expect(parts.addMetadata(blob('config', Buffer.alloc(1)))).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining(`more than ${IMAGE_METADATA_MAX_BYTES} bytes of metadata`),
    });
  });
});

it('of a classic store has the layers that its config names, in that order', async () => {
  const image = await testImage();
  const diffIds = image.image.diffIds.toReversed();
  const parts = new ImageParts({ ...image.image, diffIds }, undefined);
  await give(parts, image);
  expect(() => parts.checkWhole()).toThrow(/are not those that were offered/);
});

it('of a containerd store has no layer that was offered as another one', async () => {
  const { image, blobs } = await testImage({ store: 'containerd' });
  const layers = image.layers?.map((layer) => ({ ...layer, diffId: OTHER }));
  const parts = new ImageParts({ ...image, layers }, undefined);
  await give(parts, { image, blobs });
  parts.checkWhole();
  expect(() => parts.classicView()).toThrow(/was offered as sha256:0+, but the config names/);
});

it('gives podman all layers of one diffID as the same blob', async () => {
  const { image, blobs } = await testImage({ store: 'containerd' });
  const [diffId] = image.diffIds;
  const parts = new ImageParts({ ...image, layers: undefined }, undefined);
  for (const digest of [diffId, OTHER] as Digest[])
    parts.addLayer(digest, { path: digest, size: 1, ...(diffId && { diffId }) });
  const [first, second] = parts.podmanLayers({
    config: blobs.at(-1)?.digest as Digest,
    layerPaths: [],
    layers: [diffId, OTHER] as Digest[],
    diffIds: [diffId, diffId] as Digest[],
  });
  expect(second).toEqual(first);
});
