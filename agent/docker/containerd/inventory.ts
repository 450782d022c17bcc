/** What a containerd store holds: it finds a layer by the digest of the very blob, which content.ts tells. */
import { toImgmvError } from '../../../proto/errors.ts';
import { METADATA_MAX_BYTES } from '../../../proto/limits.ts';
import type { Digest, Image } from '../../model/image.ts';
import { type HeldLayer, sameDigests } from '../../oci/image-parts.ts';
import { childrenOf, LAYER_TYPE, readConfig, readMetadata, readStatement } from '../../oci/metadata.ts';
import { isGzip, isTar, isZstd, MAGIC_BYTES, TAR_HEAD_BYTES } from '../../streams/magic.ts';
import type { Engine, InspectedManifest } from '../engine.ts';
import type { Inventory, List } from '../inventory.ts';
import type { ContentInfo, ContentStore } from './content.ts';
import { byDiffId, LayerBlobs, ODD, readGraph, type StoreGraph, unlessOdd } from './store-graph.ts';

/** A containerd store that does not show its blobs: all is wanted, and an image of another kind of store never known. */
const UNKNOWN: Inventory = {
  lacking: async () => ({ missing: undefined, below: 0, brings: [], here: [] }),
  gone: async () => undefined,
  withConfig: async () => undefined,
  heldOtherwise: async () => 0,
};

/** `list` is asked once at most, and not where the blobs tell enough. */
export async function containerdInventory(engine: Engine, list: List): Promise<Inventory> {
  const content = await engine.content();
  if (content === undefined) return UNKNOWN;
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
    if (!(store === 'classic' ? layers.hasDiffId(digest) : layers.has(digest))) return false;
    return layers.isUnpacked(digest) || looksLikeLayer(content, digest);
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

/** The layers that a config names, which lies here; undefined where it is odd or gone. */
export async function diffIdsIn(
  content: ContentStore,
  config: Digest,
): Promise<readonly Digest[] | undefined> {
  const read = await unlessOdd(content.readAll(config, METADATA_MAX_BYTES).then(readConfig));
  return read && (read.rootfs.diff_ids ?? []);
}

/** Whether the config, which is here, is of an image with these layers. */
async function hasLayers(
  content: ContentStore,
  config: Digest,
  diffIds: readonly Digest[],
): Promise<boolean> {
  const found = await diffIdsIn(content, config);
  return found !== undefined && sameDigests(found, diffIds);
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
  const head = await content.readHead(digest, MAGIC_BYTES);
  if (isGzip(head)) return { mediaType: `${LAYER_TYPE}+gzip` };
  return isZstd(head) ? { mediaType: `${LAYER_TYPE}+zstd` } : {};
}

/** All metadata does; and who has chosen a text in a private config, as that of the image it is built on, can put the mark of a tar where a tar has it. */
const JSON_BEGINS = /^\s*\{/;

/**
 * Whoever can have a manifest loaded has it call anything a layer. Nobody else's config or manifest gets to be one in
 * this way: of JSON, only the statement of an attestation is a layer.
 */
async function looksLikeLayer(content: ContentStore, digest: Digest): Promise<boolean> {
  const head = await unlessOdd(content.readHead(digest, TAR_HEAD_BYTES));
  if (head === undefined) return false;
  if (isGzip(head) || isZstd(head) || (isTar(head) && !JSON_BEGINS.test(head.toString('latin1'))))
    return true;
  return (await unlessOdd(content.readAll(digest, METADATA_MAX_BYTES).then(readStatement))) !== undefined;
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
