/** An image may bring four times what it was offered with and a GiB, into an engine and into files; not a byte more. */
import { describe, expect, it } from 'vitest';
import type { BlobStore } from '../../../agent/archive/blob-store.ts';
import { BlobWriter } from '../../../agent/archive/blob-writer.ts';
import type { Engine } from '../../../agent/docker/engine.ts';
import { EngineWriter } from '../../../agent/docker/engine-writer.ts';
import type { Helpers } from '../../../agent/docker/helpers.ts';
import { imageStoreOf } from '../../../agent/docker/stores.ts';
import type { Blob, BlobKind } from '../../../agent/model/image.ts';
import type { Answer } from '../../../agent/model/sink.ts';
import { ImageParts } from '../../../agent/oci/image-parts.ts';
import { digestOf } from '../../../agent/oci/metadata.ts';
import { BLOBS_PER_IMAGE_MAX } from '../../../proto/limits.ts';
import { Stopwatch } from '../../../proto/stopwatch.ts';
import { testImage } from '../../memory.ts';

const { signal } = new AbortController();
const { image, blobs } = await testImage({ store: 'containerd' });
const answer: Answer = { image, action: 'send', refs: [] };
const MOST = 4 * image.bytes + 2 ** 30;
const TAKEN = new Error('it was taken');

/** Whoever reads it has taken the blob. */
function body(): AsyncIterable<Buffer> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(TAKEN) }) };
}

const blobOf = (kind: BlobKind, size: number): Blob => {
  const digest = (blobs.find((one) => one.kind === kind) ?? blobs[0])?.digest;
  return { kind, size, ...(digest && { digest }), body: body() };
};

const store = {
  put: async (_digest: string, _size: number, given: AsyncIterable<Buffer>) => {
    for await (const _ of given);
  },
} as unknown as BlobStore;

const engine = {
  info: { kind: 'docker', version: '28.0.0', store: 'containerd' },
  get transport(): never {
    throw TAKEN;
  },
} as unknown as Engine;

const WRITERS = {
  'an engine': () =>
    new EngineWriter(engine, answer, {
      store: imageStoreOf(engine),
      helpers: { nextName: () => 'imgmv-incoming:x' } as unknown as Helpers,
      below: 0,
      knownLayers: new Set(),
      helpersThere: () => false,
      layerwiseMinBytes: Number.MAX_SAFE_INTEGER,
      ready: async () => {},
      signal,
      setNames: async () => [],
      waited: new Stopwatch(),
    }),
  files: () => new BlobWriter(store, answer, new Stopwatch(), signal),
};

describe.each(Object.entries(WRITERS))('into %s', (_where, writer) => {
  const refusal = (bytes: number) => ({
    code: 'refused',
    exit: 16,
    message: `the image has ${bytes} bytes, but was offered with ${image.bytes}`,
  });

  it.each(['layer', 'config'] as const)('a %s of as much is taken, and of more is not', async (kind) => {
    await expect(writer().write(blobOf(kind, MOST))).rejects.toBe(TAKEN);
    await expect(writer().write(blobOf(kind, MOST + 1))).rejects.toMatchObject(refusal(MOST + 1));
  });

  it('blobs count together, those that fail included', async () => {
    const one = writer();
    for (const size of [MOST - 5, 5]) await expect(one.write(blobOf('layer', size))).rejects.toBe(TAKEN);
    await expect(one.write(blobOf('manifest', 1))).rejects.toMatchObject(refusal(MOST + 1));
  });

  it('as many blobs as are allowed are taken, however small, and no more', async () => {
    const one = writer();
    for (let n = 0; n < BLOBS_PER_IMAGE_MAX; n++)
      await expect(one.write(blobOf('layer', 0))).rejects.toBe(TAKEN);
    const message = `the image has more than ${BLOBS_PER_IMAGE_MAX} blobs`;
    await expect(one.write(blobOf('layer', 0))).rejects.toMatchObject({ code: 'refused', message });
  });
});

it('a config is looked at for two readings whatever its type, and wherever it goes', async () => {
  const change = (text: string) => Buffer.from(text.replace('{', '{"os":"windows",'));
  const config = change(String(blobs.find(({ kind }) => kind === 'config')?.bytes));
  const text = String(blobs.find(({ kind }) => kind === 'manifest')?.bytes);
  const manifest = Buffer.from(
    text.replace(
      /"config":\{[^}]*\}/,
      () =>
        `"config":${JSON.stringify({ mediaType: 'application/x', digest: digestOf(config), size: config.length })}`,
    ),
  );
  const root = { ...image.root, digest: digestOf(manifest), size: manifest.length };
  const parts = new ImageParts({ ...image, id: root.digest, root }, []);
  for (const [kind, bytes] of [
    ['config', config],
    ['manifest', manifest],
  ] as const)
    await parts.addMetadata({ kind, size: bytes.length, body: once(bytes) });
  expect(() => parts.checkWhole()).toThrow(/^a config has the key "os" twice$/);
});

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
