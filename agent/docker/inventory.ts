/**
 * What an engine holds already and need not be sent again. A classic store finds a layer by the layers below
 * it (chain ids); a containerd store by the digest of the very blob, which it tells through content.ts.
 */
import { toImgmvError } from '../../proto/errors.ts';
import { METADATA_MAX_BYTES } from '../../proto/limits.ts';
import { type Digest, diffIdOf, type Image } from '../model/image.ts';
import { chainIds } from '../oci/chain-id.ts';
import { type HeldLayer, sameDigests } from '../oci/image-parts.ts';
import { childrenOf, LAYER_TYPE, readConfig, readMetadata } from '../oci/metadata.ts';
import { atOnce, LOOKUPS_AT_ONCE } from '../streams/at-once.ts';
import { isGzip, isZstd } from '../streams/magic.ts';
import type { ContentInfo, ContentStore } from './containerd/content.ts';
import { byDiffId, LayerBlobs, ODD, readGraph, type StoreGraph } from './containerd/store-graph.ts';
import type { Engine, InspectedManifest, ListedByEngine } from './engine.ts';

/** What of one image is not here. */
export interface Lacking {
  /** Digests as the source names them; undefined where this engine cannot tell. */
  readonly missing: readonly Digest[] | undefined;
  /** How many of its lowest layers are here, or are coming; of no meaning for a containerd store. */
  readonly below: number;
  /** What this store will hold besides once the image has come: to be given along for the images behind it. */
  readonly brings: readonly Digest[];
  /** Of its layers, those that are here now; empty for a classic store, where the chain ids tell it anew. */
  readonly here: readonly Digest[];
}

export type Digests = Pick<ReadonlySet<Digest>, 'has'>;

/** Layers that were here when the image was planned and have gone since. */
export type Gone = Pick<Lacking, 'below'> & { readonly missing: readonly Digest[] };

/** A snapshot: take a new one when time has passed. */
export interface Inventory {
  /** `coming`: what images before this one bring. */
  lacking(image: Image, coming: Digests): Promise<Lacking>;
  /**
   * Which of the image's layers that were `held` are not here any more; undefined where all of them are. `known`: layers
   * that were here as layers, or have come. Of another one that lies here nobody has shown that it is a layer: it was to
   * come with an image that failed.
   */
  gone(image: Image, held: ReadonlySet<Digest>, known: Digests): Promise<Gone | undefined>;
  /**
   * The id here of an image whose platform has this config, whole; undefined where there is none. Whoever asks has to
   * know its layers, too: answers tell ids, and no stranger is to name an image by one.
   */
  withConfig(config: Digest, diffIds: readonly Digest[]): Promise<Digest | undefined>;
  /** How many of the `missing` layers are here all the same, under the digest of another compression. */
  heldOtherwise(image: Image, missing: readonly Digest[]): Promise<number>;
}

type List = () => Promise<readonly ListedByEngine[]>;

/** `list` gives the images of the engine; asked once at most, and not where the blobs tell enough. */
export async function takeInventory(engine: Engine, list: List): Promise<Inventory> {
  if (engine.info.store === 'classic') return classicInventory(engine, await list());
  const content = await engine.content();
  return content === undefined ? UNKNOWN : containerdInventory(engine, content, list);
}

/** A containerd store that does not show its blobs: all is wanted, and an image of another kind of store never known. */
const UNKNOWN: Inventory = {
  lacking: async () => ({ missing: undefined, below: 0, brings: [], here: [] }),
  gone: async () => undefined,
  withConfig: async () => undefined,
  heldOtherwise: async () => 0,
};

/**
 * By engine and image, the chain ids of classic images. An id is the digest of a config, which names the layers: they
 * are asked for once, however many images move while there are hundreds.
 */
const chainsOf = new WeakMap<Engine, Map<Digest, readonly Digest[]>>();

async function classicInventory(engine: Engine, listed: readonly ListedByEngine[]): Promise<Inventory> {
  const held = new Set<Digest>();
  const ids = [...new Set(listed.map(({ Id }) => Id))];
  const known = chainsOf.get(engine) ?? new Map<Digest, readonly Digest[]>();
  chainsOf.set(engine, known);
  const there = new Set(ids);
  for (const id of known.keys()) if (!there.has(id)) known.delete(id);
  await atOnce(LOOKUPS_AT_ONCE, ids, async (id) => {
    const layers = known.has(id) ? undefined : (await engine.inspect(id))?.RootFS.Layers;
    if (layers) known.set(id, chainIds(layers));
    for (const chainId of known.get(id) ?? []) held.add(chainId);
  });
  const lacking = async ({ diffIds, layers }: Image, coming: Digests): Promise<Lacking> => {
    const chain = chainIds(diffIds);
    const here = chain.map((id) => isIn(id, held, coming));
    const absent = new Set(diffIds.filter((_, at) => !here[at]));
    // Of other platforms nothing is wanted: a classic store keeps one.
    const digests = layers?.filter((layer) => absent.has(diffIdOf(layer))).map(({ digest }) => digest);
    const below = here.includes(false) ? here.indexOf(false) : here.length;
    return { missing: digests, below, brings: chain.filter((id) => !held.has(id)), here: [] };
  };
  return {
    lacking,
    gone: async (image, planned) => {
      const { missing = [], below } = await lacking(image, new Set());
      const gone = missing.filter((digest) => planned.has(digest));
      return gone.length > 0 ? { missing: gone, below } : undefined;
    },
    withConfig: async (config, diffIds) => {
      const found = await engine.inspect(config);
      return found?.Id === config && sameDigests(found.RootFS.Layers ?? [], diffIds) ? config : undefined;
    },
    heldOtherwise: async () => 0,
  };
}

async function containerdInventory(engine: Engine, content: ContentStore, list: List): Promise<Inventory> {
  const blobs = await content.list();
  const held = new Set(blobs.map(({ digest }) => digest));
  const compressed = byDiffId(blobs);
  // Both take a request for each image, so they wait until something depends on them.
  let graph: Promise<StoreGraph> | undefined;
  const readOnce = () => {
    graph ??= list().then((listed) => readGraph(engine, content, held, listed));
    return graph;
  };
  let layerBlobs: Promise<LayerBlobs> | undefined;
  const layersHere = () => {
    layerBlobs ??= readOnce().then((read) => new LayerBlobs(blobs, read));
    return layerBlobs;
  };
  /** Whether a blob of the store may stand for the layer. An image from a classic store gets its manifest here, so any of that diffID will do. */
  const isHere = async (digest: Digest, store: Image['store']): Promise<boolean> => {
    if (!held.has(digest) && !(store === 'classic' && compressed.has(digest))) return false;
    const layers = await layersHere();
    return store === 'classic' ? layers.hasDiffId(digest) : layers.has(digest);
  };
  return {
    lacking: async ({ layers, store }, coming) => {
      if (layers === undefined) return { missing: undefined, below: 0, brings: [], here: [] };
      const here: Digest[] = [];
      const brings: Digest[] = [];
      for (const { digest } of layers) ((await isHere(digest, store)) ? here : brings).push(digest);
      return { missing: brings.filter((digest) => !coming.has(digest)), below: 0, brings, here };
    },
    gone: async ({ layers = [], store }, planned, known) => {
      const lies = (digest: Digest) => held.has(digest) || (store === 'classic' && compressed.has(digest));
      const missing = layers
        .map(({ digest }) => digest)
        .filter((digest) => planned.has(digest) && !(known.has(digest) && lies(digest)));
      return missing.length > 0 ? { missing, below: 0 } : undefined;
    },
    withConfig: async (config, diffIds) => {
      const found = (await readOnce()).roots.get(config);
      if (!found || !(await hasLayers(content, config, diffIds))) return undefined;
      // An index may hold the image for one platform, and for the one that would run here another image.
      if (!found.isIndex) return found.root;
      const runs = (await engine.inspect(found.root))?.RootFS.Layers ?? [];
      return sameDigests(runs, diffIds) ? found.root : undefined;
    },
    heldOtherwise: async ({ layers = [] }, missing) => {
      const absent = new Set(missing);
      let count = 0;
      for (const { digest, diffId } of layers)
        if (diffId && absent.has(digest) && (await isHere(diffId, 'classic'))) count++;
      return count;
    },
  };
}

/** Whether the config, which is here, is of an image with these layers. What is odd or gone is not. */
export async function hasLayers(
  content: ContentStore,
  config: Digest,
  diffIds: readonly Digest[],
): Promise<boolean> {
  try {
    const { rootfs } = readConfig(await content.readAll(config, METADATA_MAX_BYTES));
    return sameDigests(rootfs.diff_ids ?? [], diffIds);
  } catch (error) {
    if (!ODD.includes(toImgmvError(error).code)) throw error;
    return false;
  }
}

/** What is held for each of `diffIds`, whether as it is or compressed. */
export async function heldLayers(
  content: ContentStore,
  diffIds: ReadonlySet<Digest>,
): Promise<ReadonlyMap<Digest, HeldLayer>> {
  const blobs = await content.list();
  const plain = new Map(blobs.map((blob) => [blob.digest, blob]));
  const compressed = byDiffId(blobs);
  const held = new Map<Digest, HeldLayer>();
  for (const diffId of diffIds) {
    const blob = plain.get(diffId) ?? compressed.get(diffId);
    if (blob) held.set(diffId, { digest: blob.digest, size: blob.size, ...(await mediaType(content, blob)) });
  }
  return held;
}

async function mediaType(content: ContentStore, { digest }: ContentInfo): Promise<{ mediaType?: string }> {
  for await (const head of content.read(digest)) {
    if (isGzip(head)) return { mediaType: `${LAYER_TYPE}+gzip` };
    return isZstd(head) ? { mediaType: `${LAYER_TYPE}+zstd` } : {};
  }
  return {};
}

/**
 * Whether one of the manifests is whole here and that of the image's platform: by its layers, and by its config where
 * the source knows it.
 */
export async function holdsPlatform(
  content: ContentStore,
  manifests: readonly InspectedManifest[],
  { config: wanted, diffIds }: Image,
): Promise<boolean> {
  for (const { Available, ID, Kind } of manifests) {
    if (!Available || Kind !== 'image') continue;
    try {
      const manifest = readMetadata(await content.readAll(ID, METADATA_MAX_BYTES), 'manifest');
      const config = childrenOf(manifest).find(({ kind }) => kind === 'config');
      if (!config || (wanted !== undefined && config.digest !== wanted)) continue;
      if (await hasLayers(content, config.digest, diffIds)) return true;
    } catch (error) {
      if (!ODD.includes(toImgmvError(error).code)) throw error;
    }
  }
  return false;
}

function isIn(digest: Digest, ...sets: readonly Digests[]): boolean {
  return sets.some((set) => set.has(digest));
}
