/**
 * What an image at a containerd store holds that its source did not show to have: an index may name any manifest by its
 * digest, and if that manifest is in the store, it is part of the image from then on.
 */
import { METADATA_MAX_BYTES } from '../../../proto/limits.ts';
import type { Digest, Image } from '../../model/image.ts';
import { sameDigests } from '../../oci/image-parts.ts';
import { type Child, childrenOf, readMetadata } from '../../oci/metadata.ts';
import type { Engine } from '../engine.ts';
import type { ContentStore } from './content.ts';
import { containerdInventory, diffIdsIn } from './inventory.ts';
import { unlessOdd } from './store-graph.ts';

/**
 * Manifests of the image `targetId` that are whole here and that the source need not have: of an image that has come, all
 * but those among `sent`; of one that was here (`sent` is undefined), all whose config and layers the offer does not show
 * to be the sender's. Where an engine does not list the manifests of an index, it is the index itself.
 */
export async function unsentManifests(
  engine: Engine,
  image: Image,
  targetId: Digest,
  sent: ReadonlySet<Digest> | undefined,
): Promise<readonly Digest[]> {
  const listed = (await engine.inspect(targetId))?.Manifests;
  const content = await engine.content();
  if (listed === undefined) return content && (await childrenIn(content, targetId)) ? [] : [targetId];
  const here = listed.flatMap(({ Available, ID }) => (Available && ID !== targetId ? [ID] : []));
  if (sent) return here.filter((id) => !sent.has(id));
  if (content === undefined || here.length === 0) return here;
  const inventory = await containerdInventory(engine, () => engine.list());
  const offered = new Set((await inventory.lacking(image, new Set())).here);
  const unsent: Digest[] = [];
  for (const id of here) if (!(await isOffered(content, id, image, offered))) unsent.push(id);
  return unsent;
}

/**
 * Whether the sender can have this manifest. Anybody can write one that names a config or a blob of others, and have it
 * carried here as a layer; so its config has to name the layers that it has, and they have to be the sender's: `offered`
 * and layers here, or, of the image's own platform, unpacked here to what the sender has offered.
 */
async function isOffered(
  content: ContentStore,
  manifest: Digest,
  image: Image,
  offered: ReadonlySet<Digest>,
): Promise<boolean> {
  const children = (await childrenIn(content, manifest)) ?? [];
  const config = children.find(({ kind }) => kind === 'config');
  const diffIds = config && (await diffIdsIn(content, config.digest));
  const layers = children.filter(({ kind }) => kind === 'layer');
  if (!diffIds || layers.length === 0 || layers.length !== diffIds.length) return false;
  const own = sameDigests(diffIds, image.diffIds);
  for (const [at, { digest }] of layers.entries()) {
    const plain = digest === diffIds[at];
    if (offered.has(digest) && (plain || own)) continue;
    if (plain || !own || (await content.info(digest))?.uncompressed !== diffIds[at]) return false;
  }
  return true;
}

/** Undefined for what is no manifest, or cannot be read. */
function childrenIn(content: ContentStore, digest: Digest): Promise<readonly Child[] | undefined> {
  return unlessOdd(
    content.readAll(digest, METADATA_MAX_BYTES).then((bytes) => childrenOf(readMetadata(bytes, 'manifest'))),
  );
}
