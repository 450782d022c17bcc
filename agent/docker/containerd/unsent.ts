/**
 * What an image at a containerd store holds that its source did not show to have: an index may name any manifest by its
 * digest, and if that manifest is in the store, it is part of the image from then on.
 */
import { toImgmvError } from '../../../proto/errors.ts';
import { METADATA_MAX_BYTES } from '../../../proto/limits.ts';
import type { Digest, Image } from '../../model/image.ts';
import { childrenOf, readMetadata } from '../../oci/metadata.ts';
import type { Engine } from '../engine.ts';
import { containerdInventory, hasLayers } from './inventory.ts';
import { ODD } from './store-graph.ts';

/**
 * Manifests of the image `targetId` that are whole here and that the source need not have: of an image that has come, all
 * but those among `sent`; of one that was here (`sent` is undefined), all but the one that has its layers, and those
 * that consist of layers which were offered and are layers here. Where an engine does not list the manifests of an
 * index, it is the index itself.
 */
export async function unsentManifests(
  engine: Engine,
  image: Image,
  targetId: Digest,
  sent: ReadonlySet<Digest> | undefined,
): Promise<readonly Digest[]> {
  const listed = (await engine.inspect(targetId))?.Manifests;
  if (listed === undefined) return (await isManifest(engine, targetId)) ? [] : [targetId];
  const here = listed.flatMap(({ Available, ID }) => (Available && ID !== targetId ? [ID] : []));
  if (sent) return here.filter((id) => !sent.has(id));
  const offered = here.length === 0 ? new Set<Digest>() : await offeredLayers(engine, image);
  const unsent: Digest[] = [];
  for (const id of here) if (!(await isOffered(engine, id, image, offered))) unsent.push(id);
  return unsent;
}

/** Of the layers that were offered, those that are layers here. */
async function offeredLayers(engine: Engine, image: Image): Promise<ReadonlySet<Digest>> {
  const inventory = await containerdInventory(engine, () => engine.list());
  return new Set((await inventory.lacking(image, new Set())).here);
}

async function isOffered(
  engine: Engine,
  manifest: Digest,
  { diffIds }: Image,
  offered: ReadonlySet<Digest>,
): Promise<boolean> {
  const content = await engine.content();
  const children = await childrenIn(engine, manifest);
  if (content === undefined || children === undefined) return false;
  const config = children.find(({ kind }) => kind === 'config');
  if (config && (await hasLayers(content, config.digest, diffIds))) return true;
  const layers = children.filter(({ kind }) => kind === 'layer');
  return layers.length > 0 && layers.every(({ digest }) => offered.has(digest));
}

async function isManifest(engine: Engine, digest: Digest): Promise<boolean> {
  return (await childrenIn(engine, digest)) !== undefined;
}

/** Undefined for what is no manifest, or cannot be read. */
async function childrenIn(
  engine: Engine,
  digest: Digest,
): Promise<ReturnType<typeof childrenOf> | undefined> {
  const content = await engine.content();
  if (content === undefined) return undefined;
  try {
    return childrenOf(readMetadata(await content.readAll(digest, METADATA_MAX_BYTES), 'manifest'));
  } catch (error) {
    if (!ODD.includes(toImgmvError(error).code)) throw error;
    return undefined;
  }
}
