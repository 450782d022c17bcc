/** Whatever a sink of files writes the source of the same place reads, image by image and byte by byte. */

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EachSink, FORMATS, type Format } from '../../../agent/archive/each-sink.ts';
import type { ArchiveEndpoint } from '../../../agent/archive/endpoint.ts';
import { openArchives } from '../../../agent/archive/open-archives.ts';
import { openSink, type WriteOptions } from '../../../agent/archive/open-store.ts';
import { parseEndpoint } from '../../../agent/ends/endpoint.ts';
import type { Digest, Store } from '../../../agent/model/image.ts';
import type { Sink } from '../../../agent/model/sink.ts';
import { move } from '../../../agent/move/move.ts';
import { digestOf } from '../../../agent/oci/metadata.ts';
import { Compressor } from '../../../proto/compression.ts';
import { checkedSource } from '../../checked-source.ts';
import { SEED } from '../../fuzz/seed.ts';
import { zstdZeros } from '../../hostile/raw-tar.ts';
import { type MemoryBlob, type MemoryImage, MemorySource } from '../../memory.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';

const RUNS = 15;
const MIB = 2 ** 20;
const OCI = 'application/vnd.oci.image';
const DOCKER = 'application/vnd.docker';

const { signal } = new AbortController();
let scratch: ScratchDirectory;
let places = 0;

beforeAll(async () => {
  scratch = await scratchDirectory();
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

/** A text as many times as it fits: of a large one a failure would be shown for ever. */
interface Content {
  readonly of: string;
  readonly bytes: number;
}

/** What a layer is when it is not compressed: mostly no tar, since nobody here looks into one. */
const content: fc.Arbitrary<Content> = fc.record({
  // Among them what looks like metadata.
  of: fc.constantFrom('x', '{}', '[', ' ', '{"schemaVersion":2}', 'Directory', '\0', 'BZh9'),
  // Around a block of a tar, and nothing at all.
  bytes: fc.oneof(fc.constantFrom(0, 1, 511, 512, 513, 1_024, 70_000), fc.nat(2_000)),
});
const packing = fc.constantFrom(
  'none',
  'gzip',
  'gzip in gzip',
  'zstd',
  'zstd, a large window',
  'zstd behind a skippable frame',
);
const layerType = fc.constantFrom(
  `${OCI}.layer.v1.tar`,
  `${OCI}.layer.v1.tar+gzip`,
  `${OCI}.layer.v1.tar+zstd`,
  `${OCI}.layer.nondistributable.v1.tar+gzip`,
  `${DOCKER}.image.rootfs.diff.tar`,
  `${DOCKER}.image.rootfs.diff.tar.gzip`,
  'application/vnd.example.layer+encrypted',
  'text/plain',
);
const name = fc.constantFrom(
  'web:1.0',
  'team/web_app:2',
  'registry.example:5000/a/b/c:latest',
  'localhost/x__y/z-9.d:V1.0_a-b',
  '[2001:db8::1]:5000/six:1',
  `${'long/'.repeat(30)}name:${'t'.repeat(128)}`,
);
const platform = fc.constantFrom(
  { os: 'linux', architecture: 'amd64' },
  { os: 'linux', architecture: 'arm', variant: 'v7' },
  { os: 'windows', architecture: 'amd64' },
  { os: 'wasip1', architecture: 'wasm' },
);

interface Recipe {
  readonly store: Store;
  readonly layers: readonly { content: Content; packing: string; mediaType: string }[];
  readonly platform: { os: string; architecture: string; variant?: string };
  readonly names: readonly string[];
  readonly docker: boolean;
}

const recipe: fc.Arbitrary<Recipe> = fc.record({
  store: fc.constantFrom('classic', 'containerd'),
  layers: fc.array(fc.record({ content, packing, mediaType: layerType }), { maxLength: 3 }),
  platform,
  names: fc.uniqueArray(name, { maxLength: 2 }),
  docker: fc.boolean(),
});

/** An engine that does not unpack it keeps it, for another platform than its own. */
const TWICE: Recipe = {
  store: 'containerd',
  layers: [
    { content: { of: 'x', bytes: 513 }, packing: 'gzip in gzip', mediaType: `${OCI}.layer.v1.tar+gzip` },
  ],
  platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
  names: [],
  docker: false,
};

/** A file of zeros, such as the lastlog of useradd, shrinks to less than a two-hundredth. */
const ZEROS: Recipe = {
  store: 'containerd',
  layers: [
    { content: { of: '\0', bytes: 66 * MIB }, packing: 'zstd', mediaType: `${OCI}.layer.v1.tar+zstd` },
  ],
  platform: { os: 'linux', architecture: 'amd64' },
  names: ['zeros:1'],
  docker: false,
};

const CLASSIC_ZEROS: Recipe = { ...ZEROS, store: 'classic' };

/** What an engine has when it has decompressed it. */
function unpackedOnce(plain: Buffer, how: string): Buffer {
  if (how === 'gzip in gzip') return gzipSync(plain);
  return how === 'zstd, a large window' ? Buffer.concat([Buffer.alloc(1), plain]) : plain;
}

async function packed(bytes: Buffer, how: string): Promise<Buffer> {
  const zstd = () => buffer(new Compressor().compress(Readable.from([bytes]), () => 3));
  switch (how) {
    case 'none':
      return bytes;
    case 'gzip':
      return gzipSync(bytes);
    case 'gzip in gzip':
      return gzipSync(gzipSync(bytes));
    case 'zstd, a large window':
      // An empty frame that says so, in front.
      return Buffer.concat([zstdZeros(1, 27), await zstd()]);
    case 'zstd behind a skippable frame':
      return Buffer.concat([Buffer.from('502a4d180400000001020304', 'hex'), await zstd()]);
    default:
      return zstd();
  }
}

const blob = (kind: MemoryBlob['kind'], bytes: Buffer): MemoryBlob => ({
  kind,
  digest: digestOf(bytes),
  bytes,
});

const made = new Map<Recipe, Promise<MemoryImage>>();
/** One image for each recipe: the large ones of all ways are the same. */
function imageOf(of: Recipe): Promise<MemoryImage> {
  const image = made.get(of) ?? makeImage(of);
  made.set(of, image);
  return image;
}

/** An image as a store of this kind has it: whatever its media types say, what is in it is what its config says. */
async function makeImage({ store, layers, platform: made, names, docker }: Recipe): Promise<MemoryImage> {
  const isClassic = store === 'classic';
  const stored = await Promise.all(
    layers.map(async ({ content: { of, bytes }, packing: how, mediaType }) => {
      const plain = Buffer.alloc(bytes, of);
      const inside = unpackedOnce(plain, how);
      return {
        diffId: digestOf(isClassic ? plain : inside),
        mediaType,
        made: blob('layer', isClassic ? plain : await packed(plain, how)),
      };
    }),
  );
  const diffIds = stored.map(({ diffId }) => diffId);
  const config = blob(
    'config',
    Buffer.from(JSON.stringify({ ...made, rootfs: { type: 'layers', diff_ids: diffIds } })),
  );
  const rootType = docker ? `${DOCKER}.distribution.manifest.v2+json` : `${OCI}.manifest.v1+json`;
  const described = ({ digest, bytes }: MemoryBlob, mediaType: string) => ({
    mediaType,
    digest,
    size: bytes.length,
  });
  const configType = docker ? `${DOCKER}.container.image.v1+json` : `${OCI}.config.v1+json`;
  const manifest = blob(
    'manifest',
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: rootType,
        config: described(config, configType),
        layers: stored.map(({ made: layer, mediaType }) => described(layer, mediaType)),
      }),
    ),
  );
  const root = isClassic
    ? described(config, `${DOCKER}.container.image.v1+json`)
    : described(manifest, rootType);
  const unique = [...new Map(stored.map((one) => [one.made.digest, one])).values()];
  return {
    blobs: [...unique.map((one) => one.made), config, ...(isClassic ? [] : [manifest])],
    image: {
      id: root.digest,
      root,
      store,
      platform: made,
      names: names.map((one) => ({ source: one, target: one })),
      diffIds,
      config: config.digest,
      layers: unique.map(({ made: { digest, bytes }, diffId }) => ({
        digest,
        size: bytes.length,
        ...(!isClassic && { diffId }),
      })),
      bytes: unique.reduce((sum, { made: { bytes } }) => sum + bytes.length, 0),
    },
  };
}

const options = (): WriteOptions => ({
  overwrite: false,
  noReplace: false,
  ignoreSpace: true,
  stdout: async () => {},
  signal,
});

interface Way {
  readonly sink: (path: string) => Promise<Sink>;
  /** Where that is read. */
  readonly place: (path: string) => string;
  /** What of an image does not fit in there. */
  readonly loses?: 'names';
}

const file = (kind: string, ending: string): Way => {
  const place = (path: string) => `${kind}:${path}${ending}`;
  return { sink: (path) => openSink(parseEndpoint(place(path)) as ArchiveEndpoint, options()), place };
};
const each = (format: Format): Way => ({
  sink: async (path) => {
    await mkdir(path);
    return new EachSink(path, format, options());
  },
  place: (path) => `docker-archive:${path}`,
});

const WAYS: Readonly<Record<string, Way>> = {
  'docker-archive, .tar': file('docker-archive', '.tar'),
  'docker-archive, .tar.gz': file('docker-archive', '.tar.gz'),
  'docker-archive, .tar.zst': file('docker-archive', '.tar.zst'),
  'oci-archive, .tar': file('oci-archive', '.tar'),
  'oci-archive, .tar.gz': file('oci-archive', '.tar.gz'),
  'oci-archive, .tar.zst': file('oci-archive', '.tar.zst'),
  oci: file('oci', ''),
  dir: { ...file('dir', ''), loses: 'names' },
  ...Object.fromEntries(FORMATS.map((format) => [`--each, .${format}`, each(format)])),
};

describe.each(Object.entries(WAYS))('%s', (_what, { sink: openWay, place, loses }) => {
  it('reads what it has written', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(recipe, async (one) => {
        const whole = await imageOf(one);
        const path = join(scratch.path, `${++places}`);
        {
          await using sink = await openWay(path);
          const { outcomes } = await move(new MemorySource([whole]), sink, {
            signal,
            emit: () => {},
            wireBytes: () => 0,
            jobs: 1,
            retries: 0,
          });
          expect(outcomes.map(({ status, error }) => error ?? status)).toEqual(['loaded']);
        }
        const archives = await openArchives(parseEndpoint(place(path)) as ArchiveEndpoint, {
          signal,
          stdin: Readable.from([]),
        });
        await using source = await checkedSource(archives, signal);
        const [from, ...others] = await source.images();
        if (!from) throw new Error('there is no image in it');
        expect(others).toEqual([]);
        const { image } = from;
        const { image: want, blobs } = whole;
        expect(image.platform).toEqual(want.platform);
        expect(image.diffIds).toEqual(want.diffIds);
        if (loses !== 'names') {
          expect(image.id).toBe(want.id);
          expect(image.names.map(({ target }) => target)).toEqual(want.names.map(({ target }) => target));
        }
        const read = new Map<Digest, number>();
        for await (const { body } of from.blobs(undefined, signal)) {
          const bytes = await buffer(body);
          read.set(digestOf(bytes), bytes.length);
        }
        for (const { digest, bytes } of blobs)
          expect([digest, read.get(digest)]).toEqual([digest, bytes.length]);
        await rm(path, { recursive: true, force: true });
      }),
      { numRuns: RUNS, seed: SEED, examples: [[TWICE], [ZEROS], [CLASSIC_ZEROS]], endOnFailure: true },
    );
  });
});
