/** Manifests, indexes and configs, one by one and as graphs, whoever made them. PROTOCOL.md section 8. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { ociArchive } from '../../agent/docker/archive.ts';
import type { ContentStore } from '../../agent/docker/containerd/content.ts';
import { StoredImage } from '../../agent/docker/containerd/stored-image.ts';
import type { Engine } from '../../agent/docker/engine.ts';
import { imageStoreOf } from '../../agent/docker/stores.ts';
import type { BlobKind, Digest, Image } from '../../agent/model/image.ts';
import { ImageParts } from '../../agent/oci/image-parts.ts';
import {
  childrenOf,
  digestOf,
  isIndexType,
  manifestFor,
  readConfig,
  readMetadata,
} from '../../agent/oci/metadata.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { LAYERS_MAX } from '../../proto/limits.ts';
import { decoded, decodedLater, holds, holdsPlain } from './refusal.ts';
import { target } from './target.ts';
import { type Json, jsonLike, nastyText } from './text.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const PLATFORM = { os: 'linux', architecture: 'amd64' } as const;

const digest = fc.nat(0xff).map((n): Digest => `sha256:${n.toString(16).padStart(64, '0')}`);
const mediaType = fc.oneof(fc.constantFrom(INDEX, MANIFEST, CONFIG, LAYER), nastyText);
const descriptor = fc.record({ mediaType, digest, size: fc.nat() });
const few = { maxLength: 4 } as const;

const manifest = fc.record({
  schemaVersion: fc.constant(2),
  mediaType,
  config: descriptor,
  layers: fc.array(descriptor, few),
});
const index = fc.record({
  schemaVersion: fc.constant(2),
  manifests: fc.array(
    fc.record(
      {
        mediaType,
        digest,
        size: fc.nat(),
        platform: fc.record({ os: nastyText, architecture: nastyText, variant: nastyText }),
      },
      { requiredKeys: ['mediaType', 'digest', 'size'] },
    ),
    few,
  ),
});
const config = fc.record({
  os: nastyText,
  architecture: nastyText,
  rootfs: fc.record({
    type: fc.constant('layers'),
    diff_ids: fc.option(fc.array(digest, few)),
  }),
});

const single = target<{ bytes: Buffer; kind: string }>({
  name: 'metadata/read',
  share: 20,
  input: fc.oneof(
    jsonLike(manifest as fc.Arbitrary<Json>).map((bytes) => ({ bytes, kind: 'manifest' })),
    jsonLike(index as fc.Arbitrary<Json>).map((bytes) => ({ bytes, kind: 'index' })),
    jsonLike(config as fc.Arbitrary<Json>).map((bytes) => ({ bytes, kind: 'config' })),
  ),
  check: ({ bytes, kind }) => {
    if (kind === 'config') {
      const read = decoded(['integrity'], () => readConfig(bytes));
      if (!read) return;
      holdsPlain(read);
      holds(Array.isArray(read.rootfs.diff_ids), 'a config names layers, or none');
      holds(
        isDeepStrictEqual(readConfig(Buffer.from(JSON.stringify(read))), read),
        'it reads the same again',
      );
      return;
    }
    const read = decoded(['integrity'], () => readMetadata(bytes, kind === 'index' ? 'index' : 'manifest'));
    if (!read) return;
    holdsPlain(read.value);
    const children = childrenOf(read);
    holds(children.length <= 1 + Math.max(LAYERS_MAX, 1_000), 'what is named is bounded');
    for (const child of children) {
      holds(/^sha256:[0-9a-f]{64}$/.test(child.digest), 'a digest is one');
      holds(Number.isSafeInteger(child.size) && child.size >= 0, 'a size is one');
    }
    const again = readMetadata(Buffer.from(JSON.stringify(read.value)), read.kind);
    holds(isDeepStrictEqual(again, read), 'it reads the same again');
  },
});

const made = target<{ bytes: Buffer; layers: readonly { digest: string; size: number }[] }>({
  name: 'metadata/made',
  share: 6,
  input: fc.record({
    bytes: jsonLike(config as fc.Arbitrary<Json>),
    layers: fc.array(fc.record({ digest, size: fc.nat() }), few),
  }),
  check: ({ bytes, layers }) => {
    const read = readMetadata(manifestFor(bytes, layers as { digest: Digest; size: number }[]), 'manifest');
    const [ofConfig, ...ofLayers] = childrenOf(read);
    holds(ofConfig?.digest === digestOf(bytes), 'a manifest that is made names the config');
    holds(
      isDeepStrictEqual(
        ofLayers.map((layer) => layer.digest),
        layers.map((layer) => layer.digest),
      ),
      'and the layers',
    );
  },
});

/** A graph of blobs from the bottom up: what a node points to stands before it, or is nowhere. */
interface Graph {
  readonly blobs: readonly Buffer[];
  /** Of each blob. */
  readonly kinds: readonly string[];
  readonly root: number;
}

type Node = readonly [kind: number, points: readonly number[], change: number, nasty: string];

const node: fc.Arbitrary<Node> = fc.tuple(
  fc.nat(3),
  fc.array(fc.nat(30), { maxLength: 5 }),
  fc.nat(30),
  nastyText,
);

const graph: fc.Arbitrary<Graph> = fc
  .record({
    nodes: fc.array(node, { minLength: 1, maxLength: 14 }),
    deep: fc.nat(60),
    wide: fc.nat(40),
    root: fc.nat(3),
  })
  .map(({ nodes, deep, wide, root }) => {
    const blobs: Buffer[] = [Buffer.from('a layer'), Buffer.from('another')];
    const kinds: string[] = ['layer', 'layer'];
    const add = (kind: string, document: unknown) => {
      blobs.push(Buffer.from(JSON.stringify(document)));
      kinds.push(kind);
    };
    const pointer = (at: number) => {
      const to = blobs[at % blobs.length] ?? Buffer.alloc(0);
      const kind = kinds[at % blobs.length];
      const type =
        kind === 'index' ? INDEX : kind === 'manifest' ? MANIFEST : kind === 'config' ? CONFIG : LAYER;
      return { mediaType: type, digest: digestOf(to), size: to.length };
    };
    for (const [kind, points, change, nasty] of nodes) {
      const own = change < 3 ? { mediaType: change === 0 ? 5 : nasty } : {};
      if (kind === 0)
        add('config', {
          ...PLATFORM,
          ...own,
          rootfs: { type: 'layers', diff_ids: points.map((at) => pointer(at).digest) },
        });
      else if (kind === 1)
        add('manifest', { ...own, config: pointer(points[0] ?? 2), layers: points.slice(1).map(pointer) });
      else add('index', { ...own, manifests: points.map(pointer) });
    }
    // Indexes over indexes, each naming the one below many times: few blobs, and more paths than anybody walks.
    for (let level = 0; level < (deep < 50 ? 0 : deep); level++)
      add('index', { manifests: Array.from({ length: 1 + (wide % 8) }, () => pointer(blobs.length - 1)) });
    return { blobs, kinds, root: blobs.length - 1 - (root % blobs.length) };
  });

/** A store that holds these, and counts what is read of it. */
function storeOf(blobs: readonly Buffer[]) {
  const held = new Map(blobs.map((bytes) => [digestOf(bytes), bytes]));
  const counted = { reads: 0 };
  const bytesOf = async (wanted: Digest): Promise<Buffer> => {
    if (++counted.reads > 10_000) throw new Error('reads without an end');
    const bytes = held.get(wanted);
    if (!bytes) throw new ImgmvError('image-not-found', 'no such blob');
    return bytes;
  };
  const content = {
    list: async () => [...held].map(([one, bytes]) => ({ digest: one, size: bytes.length })),
    readAll: bytesOf,
    read: async function* (wanted: Digest) {
      yield await bytesOf(wanted);
    },
  } as unknown as ContentStore;
  return { content, held, counted };
}

function imageOf({ blobs, kinds, root }: Graph): Image {
  const bytes = blobs[root] ?? Buffer.alloc(0);
  const id = digestOf(bytes);
  const classic = kinds[root] === 'config';
  return {
    id,
    root: { mediaType: kinds[root] === 'index' ? INDEX : MANIFEST, digest: id, size: bytes.length },
    store: classic ? 'classic' : 'containerd',
    platform: PLATFORM,
    names: [],
    diffIds: blobs.slice(0, 2).map(digestOf),
    bytes: 1_000,
  };
}

const stored = target<Graph>({
  name: 'metadata/stored',
  share: 4,
  input: graph,
  check: async (all) => {
    const { content, held, counted } = storeOf(all.blobs);
    const { root, diffIds } = imageOf(all);
    const image = await decodedLater(['integrity'], () =>
      StoredImage.read(content, new Set(held.keys()), root, diffIds),
    );
    holds(counted.reads <= 3 * all.blobs.length * all.blobs.length, 'each blob is read a few times');
    if (!image) return;
    const given = new Set<string>();
    for await (const blob of image.blobs(undefined, new AbortController().signal)) {
      holds(blob.digest !== undefined && !given.has(blob.digest), 'each blob is given once');
      given.add(blob.digest ?? '');
      for await (const _ of blob.body);
    }
    holds(given.has(root.digest), 'the root is given');
  },
});

/** Of the images here, some of which a stranger made: what is odd in one of them is no reason to fail. */
const inventory = target<Graph>({
  name: 'metadata/inventory',
  share: 2,
  input: graph,
  check: async (all) => {
    const { content, counted } = storeOf(all.blobs);
    const roots = all.blobs.flatMap((bytes, at) =>
      all.kinds[at] === 'index' || all.kinds[at] === 'manifest' ? [{ bytes, kind: all.kinds[at] }] : [],
    );
    const engine = {
      info: { store: 'containerd' },
      content: async () => content,
      list: async () => roots.map(({ bytes }) => ({ Id: digestOf(bytes) })),
      inspect: async (id: string) => {
        const root = roots.find(({ bytes }) => digestOf(bytes) === id);
        return { Descriptor: { mediaType: root?.kind === 'index' ? INDEX : MANIFEST, digest: id } };
      },
    } as unknown as Engine;
    const image = imageOf(all);
    const taken = await imageStoreOf(engine).inventory(() => engine.list());
    const config = all.blobs.find((_, at) => all.kinds[at] === 'config');
    const found = await taken.withConfig(digestOf(config ?? Buffer.alloc(0)), image.diffIds);
    holds(
      found === undefined || roots.some(({ bytes }) => digestOf(bytes) === found),
      'what is found is here',
    );
    await taken.lacking(image, new Set());
    holds(counted.reads <= roots.length * all.blobs.length, 'each blob is read once for each image');
  },
});

/** All that a paired sender may send as an image: what passes hangs together, and becomes an archive. */
const parts = target<Graph & { readonly order: readonly number[] }>({
  name: 'metadata/parts',
  share: 12,
  input: fc
    .tuple(graph, fc.array(fc.nat(40), { maxLength: 20 }), fc.boolean())
    .map(([all, order, whole]) => ({ ...all, order: whole ? all.blobs.map((_, at) => at) : order })),
  check: async (all) => {
    const { blobs, kinds, order } = all;
    const image = imageOf(all);
    const one = new ImageParts(image, undefined);
    await decodedLater(['integrity', 'refused'], async () => {
      for (const at of order) {
        const bytes = blobs[at % blobs.length] ?? Buffer.alloc(0);
        const kind = (kinds[at % blobs.length] ?? 'layer') as BlobKind;
        if (kind === 'layer') one.addLayer(digestOf(bytes), { path: `layers/${at}.tar`, size: bytes.length });
        else
          await one.addMetadata({
            kind,
            size: bytes.length,
            body: (async function* () {
              yield bytes;
            })(),
          });
      }
      one.checkWhole();
      const root = one.containerdRoot(new Map());
      const files = new Map(ociArchive(root, one.metadata(), 'imgmv-incoming:x'));
      const [entry] = (JSON.parse(String(files.get('index.json'))) as { manifests: Json[] }).manifests;
      const { mediaType: type, digest: named } = entry as { mediaType: unknown; digest: unknown };
      holds(
        typeof type === 'string' && named === root.digest,
        'the archive names its root by type and digest',
      );
      holds(root.kind === 'index' || !isIndexType(type), 'the type is that of its kind');
      const view = one.classicView();
      holds(view.layerPaths.length === view.diffIds.length, 'a classic engine gets each layer');
    });
  },
});

export const metadataTargets = [single, made, stored, inventory, parts];
