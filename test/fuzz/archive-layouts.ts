/** Images as the files of archives and directories: good ones, and such as differ from them in a few places. */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { deflater } from '../../agent/archive/tar/deflater.ts';
import { digestOf, manifestFor } from '../../agent/oci/metadata.ts';
import type { Compression } from '../../agent/streams/compression.ts';
import { cut } from './bytes.ts';
import { file, tar } from './tar.ts';
import { type Json, type JsonChange, jsonChange, jsonChanged } from './text.ts';

const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar';
const NAMES = [
  'web:1.0',
  'web:latest',
  'h.example:5000/team/web:1.0',
  'docker.io/library/db:16',
  'Bad Name!',
] as const;

/** Files by their names. */
export type Files = readonly (readonly [name: string, bytes: Buffer])[];

const changes: fc.Arbitrary<readonly JsonChange[]> = fc.oneof(
  { weight: 5, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(jsonChange, { minLength: 1, maxLength: 2 }) },
);

interface LayerSpec {
  readonly content: number;
  /** As it is, gzip, zstd, gzip in gzip. */
  readonly packed: number;
  /** 0: what it is. */
  readonly type: number;
}

interface ImageSpec {
  readonly layers: readonly LayerSpec[];
  /** 0: a manifest; then indexes around it: with platforms that are not there, with another manifest, in an index. */
  readonly wrapped: number;
  readonly fromClassic: boolean;
  readonly names: readonly number[];
  readonly config: readonly JsonChange[];
  readonly manifest: readonly JsonChange[];
  readonly index: readonly JsonChange[];
}

const imageSpec: fc.Arbitrary<ImageSpec> = fc.record({
  layers: fc.array(
    fc.record({
      content: fc.nat(2),
      packed: fc.oneof(
        { weight: 4, arbitrary: fc.constant(0) },
        { weight: 3, arbitrary: fc.integer({ min: 1, max: 2 }) },
        { weight: 1, arbitrary: fc.constant(3) },
      ),
      type: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
    }),
    { maxLength: 3 },
  ),
  wrapped: fc.nat(4),
  fromClassic: fc.boolean(),
  names: fc.array(fc.oneof({ weight: 8, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.constant(4) }), {
    maxLength: 2,
  }),
  config: changes,
  manifest: changes,
  index: changes,
});

/** Which documents stand beside the blobs. */
const SHAPES = ['docker', 'oci', 'both', 'dir'] as const;
type Shape = (typeof SHAPES)[number];

export interface LayoutSpec {
  readonly shape: Shape;
  readonly images: readonly ImageSpec[];
  readonly top: readonly JsonChange[];
  readonly other: readonly JsonChange[];
  /** Files that are left out, doubled, or given what another one holds. */
  readonly moves: readonly (readonly [kind: number, at: number, other: number])[];
  /** A text that is far too long to be shown. */
  readonly long: number;
}

export const layoutSpec: fc.Arbitrary<LayoutSpec> = fc.record({
  shape: fc.constantFrom(...SHAPES),
  images: fc.array(imageSpec, { minLength: 1, maxLength: 2 }),
  top: changes,
  other: changes,
  moves: fc.oneof(
    { weight: 4, arbitrary: fc.constant([]) },
    {
      weight: 1,
      arbitrary: fc.array(fc.tuple(fc.nat(3), fc.nat(30), fc.nat(30)), { minLength: 1, maxLength: 2 }),
    },
  ),
  long: fc.oneof(
    { weight: 20, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 4 }) },
  ),
});

const CONTENTS = [
  tar([file('etc/base', Buffer.from('base'))]),
  tar([file('srv/web', Buffer.alloc(900, 'w'))]),
  tar([]),
];
export const collected = async (source: AsyncIterable<Buffer>) => {
  const parts: Buffer[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
};
const packedAs = (compression: Compression, bytes: Buffer) =>
  collected(deflater(compression).part(cut(bytes, [bytes.length]) as unknown as AsyncIterable<Buffer>));
const PACKED = await Promise.all(
  CONTENTS.map(async (plain) => {
    const gzip = gzipSync(plain);
    return [plain, gzip, await packedAs('zstd', plain), gzipSync(gzip)] as const;
  }),
);
const ENDINGS = ['', '+gzip', '+zstd', '+gzip'] as const;
const LONG = 'n'.repeat(100_000);

const bytesOf = (document: unknown, how: readonly JsonChange[]) =>
  Buffer.from(JSON.stringify(how.length === 0 ? document : jsonChanged(document as Json, how)));
const blobName = (bytes: Buffer) => `blobs/sha256/${digestOf(bytes).slice(7)}`;
const pointer = (mediaType: string, bytes: Buffer) => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
});

/** Indexes around a manifest, by `wrapped`. */
const LEVELS = [0, 1, 2, 3, 1];

/** An image's blobs, the one it begins with last, and its places in `manifest.json`. */
function imageOf(spec: ImageSpec, long: number) {
  const layers = spec.layers.map(({ content, packed, type }) => {
    const bytes = PACKED[content]?.[packed] ?? Buffer.alloc(0);
    const said = long === 1 ? LONG : `${LAYER_TYPE}${ENDINGS[(packed + type) % ENDINGS.length]}`;
    return { bytes, said, diffId: digestOf(CONTENTS[content] ?? Buffer.alloc(0)) };
  });
  const config = bytesOf(
    {
      architecture: 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    },
    spec.config,
  );
  const described = layers.map(({ bytes, said }) => ({ ...pointer(said, bytes) }));
  const made = JSON.parse(manifestFor(config, described).toString()) as Json;
  const manifest = bytesOf(made, spec.manifest);
  const blobs = [...layers.map(({ bytes }) => bytes), config, manifest];
  let root = pointer(MANIFEST_TYPE, manifest);
  const absent = {
    ...root,
    digest: `sha256:${'0'.repeat(64)}`,
    platform: { os: 'linux', architecture: 'arm64' },
  };
  for (let level = 0; level < (LEVELS[spec.wrapped % LEVELS.length] ?? 0); level++) {
    const manifests = spec.wrapped === 4 ? [root, root] : [absent, root];
    const index = bytesOf(
      { schemaVersion: 2, mediaType: INDEX_TYPE, manifests },
      level === 0 ? spec.index : [],
    );
    blobs.push(index);
    root = pointer(INDEX_TYPE, index);
  }
  return { blobs, root, config, layers: layers.map(({ bytes }) => bytes), manifest };
}

/** The files of an archive or a directory, as `spec` says. */
export function filesOf({ shape, images, top, other, moves, long }: LayoutSpec): Files {
  const made = images.map((image) => imageOf(image, long));
  const names = (at: number) => images[at]?.names.map((name) => NAMES[name] ?? 'x') ?? [];
  const files = new Map<string, Buffer>();
  if (shape === 'dir') {
    const [first] = made;
    for (const bytes of first?.blobs ?? []) files.set(digestOf(bytes).slice(7), bytes);
    files.set('manifest.json', bytesOf(JSON.parse((first?.manifest ?? Buffer.from('0')).toString()), top));
    files.set('version', Buffer.from('Directory Transport Version: 1.1\n'));
  } else for (const { blobs } of made) for (const bytes of blobs) files.set(blobName(bytes), bytes);
  if (shape === 'oci' || shape === 'both') {
    const manifests = made.flatMap(({ root }, at) => {
      const kind = images[at]?.fromClassic ? { 'io.imgmv.root': 'config' } : {};
      const all = names(at).map((name) => ({
        'io.containerd.image.name': name,
        'org.opencontainers.image.ref.name': '1.0',
      }));
      const odd = long === 2 ? { [LONG]: 5 } : long === 3 ? { 'io.containerd.image.name': LONG } : {};
      return (all.length > 0 ? all : [{}]).map((said) => ({
        ...root,
        annotations: { ...said, ...kind, ...odd },
      }));
    });
    files.set('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
    files.set('index.json', bytesOf({ schemaVersion: 2, manifests }, top));
  }
  if (shape === 'docker' || shape === 'both') {
    const entries = made.map(({ config, layers }, at) => ({
      Config: long === 4 ? LONG : blobName(config),
      RepoTags: names(at),
      Layers: layers.map(blobName),
    }));
    files.set('manifest.json', bytesOf(entries, other));
  }
  const all = [...files] as [string, Buffer][];
  for (const [kind, at, from] of moves) {
    const one = all[at % all.length];
    const two = all[from % all.length];
    if (!one || !two) break;
    if (kind === 0) all.splice(at % all.length, 1);
    else if (kind === 1) one[1] = two[1];
    else if (kind === 2) all.push([`./${one[0]}`, two[1]]);
    else one[1] = Buffer.concat([one[1], Buffer.from(' ')]);
  }
  return all;
}

/** Digests of files, and of what is in them. */
export function heldBy(files: Files): ReadonlySet<string> {
  const all = files.map(([, bytes]) => bytes);
  return new Set([...all, ...all.map((bytes) => OPENED.get(digestOf(bytes)) ?? bytes)].map(digestOf));
}
const OPENED = new Map(
  PACKED.flatMap((forms, at) =>
    forms.map((bytes, how) => [digestOf(bytes), how === 3 ? bytes : (CONTENTS[at] as Buffer)] as const),
  ),
);

export function isHonest({ images, long, moves, other, top }: LayoutSpec): boolean {
  const changed = [
    top,
    other,
    moves,
    ...images.flatMap(({ config, manifest, index }) => [config, manifest, index]),
  ];
  const good = ({ layers, names }: ImageSpec) =>
    !names.includes(NAMES.indexOf('Bad Name!')) &&
    layers.every(({ packed, type }) => packed !== 3 && type === 0);
  return long === 0 && changed.every((all) => all.length === 0) && images.every(good);
}

/** Nothing of it lies. */
export const goodSpec: fc.Arbitrary<LayoutSpec> = layoutSpec.map((spec) => ({
  ...spec,
  shape: spec.shape === 'dir' ? 'docker' : spec.shape,
  images: spec.images.map((image) => ({
    ...image,
    layers: image.layers.map(({ content, packed }) => ({ content, packed: packed % 3, type: 0 })),
    names: image.names.filter((name) => name !== 4),
    config: [],
    manifest: [],
    index: [],
  })),
  top: [],
  other: [],
  moves: [],
  long: 0,
}));
