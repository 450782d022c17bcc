/**
 * What the images of a containerd store are made of, as their own manifests and indexes say. It tells which blobs are
 * layers: a blob that merely lies in the store may be the config or the manifest of an image that nobody offered.
 */
import { type ErrorCode, toImgmvError } from '../../../proto/errors.ts';
import { METADATA_MAX_BYTES } from '../../../proto/limits.ts';
import type { Digest } from '../../model/image.ts';
import { type Asked, fetchGraph } from '../../oci/graph.ts';
import { type Child, childrenOf, isIndexType, readMetadata } from '../../oci/metadata.ts';
import { atOnce, LOOKUPS_AT_ONCE } from '../../streams/at-once.ts';
import type { Engine, ListedByEngine } from '../engine.ts';
import type { ContentInfo, ContentStore } from './content.ts';

export interface StoreGraph {
  /** What a manifest of an image here names as a layer. */
  readonly layers: ReadonlySet<Digest>;
  /** Roots, indexes, manifests and configs of images here, and what indexes name besides. */
  readonly metadata: ReadonlySet<Digest>;
  /** The roots of whole images, by the configs of their manifests; of several the one that is no index. */
  readonly roots: ReadonlyMap<Digest, { readonly root: Digest; readonly isIndex: boolean }>;
}

/**
 * What manifests and indexes point to, by store and digest. A digest always means the same bytes, so each is read once,
 * however many images move.
 */
const childrenRead = new WeakMap<ContentStore, Map<string, readonly Child[]>>();

/**
 * Reads the metadata of all `listed` images. `held`: all blobs of the store. An image that is odd, or vanishes while it
 * is read, adds what could be read of it and says nothing about the others.
 */
export async function readGraph(
  engine: Engine,
  content: ContentStore,
  held: ReadonlySet<Digest>,
  listed: readonly ListedByEngine[],
): Promise<StoreGraph> {
  const layers = new Set<Digest>();
  const metadata = new Set<Digest>();
  const roots = new Map<Digest, { readonly root: Digest; readonly isIndex: boolean }>();
  const before = childrenRead.get(content) ?? new Map<string, readonly Child[]>();
  /** What is not of an image any more is forgotten with the map of before. */
  const read = new Map<string, readonly Child[]>();
  childrenRead.set(content, read);

  const childrenIn = async ({ digest, kind }: Asked): Promise<readonly Child[] | undefined> => {
    if (kind !== 'layer') metadata.add(digest);
    if (!held.has(digest)) return undefined;
    if (kind === 'layer' || kind === 'config') return [];
    const key = `${kind} ${digest}`;
    const children =
      before.get(key) ?? childrenOf(readMetadata(await content.readAll(digest, METADATA_MAX_BYTES), kind));
    read.set(key, children);
    for (const child of children) (child.kind === 'layer' ? layers : metadata).add(child.digest);
    return children;
  };
  await atOnce(LOOKUPS_AT_ONCE, listed, async ({ Id, Descriptor }) => {
    metadata.add(Id);
    const root = Descriptor ?? (await engine.inspect(Id))?.Descriptor;
    if (!root) return;
    const kind = isIndexType(root.mediaType) ? 'index' : 'manifest';
    const graph = await unlessOdd(
      fetchGraph({ size: 0, ...root, kind }, (asked) => unlessOdd(childrenIn(asked))),
    );
    for (const { config, digest } of graph?.manifests ?? [])
      if (roots.get(config.digest)?.isIndex !== false)
        roots.set(config.digest, { root: root.digest, isIndex: digest !== root.digest });
  });
  return { layers, metadata, roots };
}

/** What is odd, or gone, says nothing about what stands beside it. */
export async function unlessOdd<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (!ODD.includes(toImgmvError(error).code)) throw error;
    return undefined;
  }
}

/** How an image fails that is odd, or gone. */
export const ODD: readonly ErrorCode[] = ['integrity', 'image-not-found'];

/**
 * Which blobs stand for layers: those that containerd has labelled as it unpacked them, and those that a manifest of an
 * image here names as layers; never one that is metadata of an image here.
 */
export class LayerBlobs {
  readonly #blobs: ReadonlyMap<Digest, ContentInfo>;
  readonly #byDiffId: ReadonlyMap<Digest, ContentInfo>;

  constructor(blobs: readonly ContentInfo[], { layers, metadata }: Pick<StoreGraph, 'layers' | 'metadata'>) {
    const found = blobs.filter(
      ({ digest, uncompressed }) =>
        !metadata.has(digest) && (uncompressed !== undefined || layers.has(digest)),
    );
    this.#blobs = new Map(found.map((blob) => [blob.digest, blob]));
    this.#byDiffId = byDiffId(found);
  }

  /** Whether this very blob is a layer. */
  has(digest: Digest): boolean {
    return this.#blobs.has(digest);
  }

  /** Whether containerd itself has unpacked a layer of this digest or diffID. */
  isUnpacked(digest: Digest): boolean {
    return this.#byDiffId.has(digest) || this.#blobs.get(digest)?.uncompressed !== undefined;
  }

  /** Whether a layer of this diffID is here, compressed or not. */
  hasDiffId(diffId: Digest): boolean {
    return this.#blobs.has(diffId) || this.#byDiffId.has(diffId);
  }
}

/** Blobs by what is in them: containerd labels a layer when it has unpacked it. */
export function byDiffId(blobs: readonly ContentInfo[]): ReadonlyMap<Digest, ContentInfo> {
  const found = new Map<Digest, ContentInfo>();
  for (const info of blobs) if (info.uncompressed) found.set(info.uncompressed, info);
  return found;
}
