/**
 * What an engine holds already and need not be sent again. A classic store finds a layer by the layers below
 * it (chain ids); a containerd store by the digest of the very blob, which it tells through content.ts.
 */
import { type ErrorCode, toImgmvError } from '../../proto/errors.ts';
import { atOnce, LOOKUPS_AT_ONCE } from '../at-once.ts';
import { type Digest, diffIdOf, type Image } from '../image.ts';
import { chainIds } from './chain-id.ts';
import type { ContentInfo, ContentStore } from './content.ts';
import type { Engine, InspectedManifest, ListedByEngine } from './engine.ts';
import { type HeldLayer, sameDigests } from './image-parts.ts';
import { childrenOf, isGzip, isIndexType, isZstd, LAYER_TYPE, readConfig, readMetadata } from './metadata.ts';

const METADATA_MAX_BYTES = 4 * 1024 * 1024;

/** What of one image is not here. */
export interface Lacking {
  /** Digests as the source names them; undefined where this engine cannot tell. */
  readonly missing: readonly Digest[] | undefined;
  /** How many of its lowest layers are here, or are coming; of no meaning for a containerd store. */
  readonly below: number;
  /** What this store will hold besides once the image has come: to be given along for the images behind it. */
  readonly brings: readonly Digest[];
}

export type Digests = Pick<ReadonlySet<Digest>, 'has'>;

/** A snapshot: take a new one when time has passed. */
export interface Inventory {
  /** `coming`: what images before this one bring. */
  lacking(image: Image, coming: Digests): Promise<Lacking>;
  /**
   * The id here of an image whose platform has this config, whole; undefined where there is none. Whoever asks has to
   * know its layers, too: answers tell ids, and no stranger is to name an image by one.
   */
  withConfig(config: Digest, diffIds: readonly Digest[]): Promise<Digest | undefined>;
  /** How many of the `missing` layers are here all the same, under the digest of another compression. */
  heldOtherwise(image: Image, missing: readonly Digest[]): number;
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
  lacking: async () => ({ missing: undefined, below: 0, brings: [] }),
  withConfig: async () => undefined,
  heldOtherwise: () => 0,
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
  return {
    lacking: async ({ diffIds, layers }, coming) => {
      const chain = chainIds(diffIds);
      const here = chain.map((id) => isIn(id, held, coming));
      const absent = new Set(diffIds.filter((_, at) => !here[at]));
      // Of other platforms nothing is wanted: a classic store keeps one.
      const digests = layers?.filter((layer) => absent.has(diffIdOf(layer))).map(({ digest }) => digest);
      const below = here.includes(false) ? here.indexOf(false) : here.length;
      return { missing: digests, below, brings: chain.filter((id) => !held.has(id)) };
    },
    withConfig: async (config, diffIds) => {
      const found = await engine.inspect(config);
      return found?.Id === config && sameDigests(found.RootFS.Layers ?? [], diffIds) ? config : undefined;
    },
    heldOtherwise: () => 0,
  };
}

async function containerdInventory(engine: Engine, content: ContentStore, list: List): Promise<Inventory> {
  const blobs = await content.list();
  const held = new Set(blobs.map(({ digest }) => digest));
  const compressed = byDiffId(blobs);
  let byConfig: Promise<ReadonlyMap<Digest, Digest>> | undefined;
  return {
    lacking: async ({ layers, store }, coming) => {
      if (layers === undefined) return { missing: undefined, below: 0, brings: [] };
      const digests = layers.map(({ digest }) => digest);
      // An image from a classic store gets its manifest here, so any blob of that diffID will do.
      const missing = digests.filter(
        (digest) => !isIn(digest, held, coming) && !(store === 'classic' && compressed.has(digest)),
      );
      return { missing, below: 0, brings: digests.filter((digest) => !held.has(digest)) };
    },
    // Ids here are of roots: who knows a config's digest has the image, and so knows its layers.
    withConfig: async (config) => {
      byConfig ??= list().then((listed) => rootsByConfig(engine, content, held, listed));
      return (await byConfig).get(config);
    },
    heldOtherwise: ({ layers = [] }, missing) => {
      const absent = new Set(missing);
      return layers.filter(
        ({ digest, diffId }) => diffId && absent.has(digest) && (held.has(diffId) || compressed.has(diffId)),
      ).length;
    },
  };
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

/** Blobs by what is in them: containerd labels a layer when it has unpacked it. */
function byDiffId(blobs: readonly ContentInfo[]): ReadonlyMap<Digest, ContentInfo> {
  const found = new Map<Digest, ContentInfo>();
  for (const info of blobs) if (info.uncompressed) found.set(info.uncompressed, info);
  return found;
}

/**
 * The roots of the images here by the configs of their manifests, for those that are whole. What is odd in one image,
 * or goes while it is read, says nothing about the others.
 */
async function rootsByConfig(
  engine: Engine,
  content: ContentStore,
  held: ReadonlySet<Digest>,
  listed: readonly ListedByEngine[],
): Promise<ReadonlyMap<Digest, Digest>> {
  const roots = new Map<Digest, Digest>();
  const visit = async (digest: Digest, isIndex: boolean, root: Digest, seen: Set<Digest>): Promise<void> => {
    // A few indexes that name one another many times have more paths than anybody can walk.
    if (!held.has(digest) || seen.has(digest)) return;
    seen.add(digest);
    const bytes = await content.readAll(digest, METADATA_MAX_BYTES);
    const children = childrenOf(readMetadata(bytes, isIndex ? 'index' : 'manifest'));
    if (!isIndex) {
      const config = children.find(({ kind }) => kind === 'config');
      if (config && children.every((child) => held.has(child.digest))) roots.set(config.digest, root);
      return;
    }
    for (const child of children) await visit(child.digest, child.kind === 'index', root, seen);
  };
  await atOnce(LOOKUPS_AT_ONCE, listed, async ({ Id, Descriptor }) => {
    const described = Descriptor ?? (await engine.inspect(Id))?.Descriptor;
    if (!described) return;
    const { digest, mediaType } = described;
    try {
      await visit(digest, isIndexType(mediaType), digest, new Set());
    } catch (error) {
      if (!ODD.includes(toImgmvError(error).code)) throw error;
    }
  });
  return roots;
}

/**
 * Whether one of the manifests is whole here and that of the image's platform: by its config, or where the source does
 * not know that, by its layers.
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
      if (!config) continue;
      if (config.digest === wanted) return true;
      if (wanted !== undefined) continue;
      const { rootfs } = readConfig(await content.readAll(config.digest, METADATA_MAX_BYTES));
      if (sameDigests(rootfs.diff_ids ?? [], diffIds)) return true;
    } catch (error) {
      if (!ODD.includes(toImgmvError(error).code)) throw error;
    }
  }
  return false;
}

const ODD: readonly ErrorCode[] = ['integrity', 'image-not-found'];

function isIn(digest: Digest, ...sets: readonly Digests[]): boolean {
  return sets.some((set) => set.has(digest));
}
