/**
 * What an image at a containerd store holds that its source did not show to have: an index may name any manifest by its
 * digest, and if that manifest is in the store, it is part of the image from then on.
 */
import { toImgmvError } from '../../proto/errors.ts';
import { METADATA_MAX_BYTES } from '../../proto/limits.ts';
import type { Digest, Image } from '../image.ts';
import type { Engine } from './engine.ts';
import { childrenOf, isIndexType, readMetadata } from './metadata.ts';
import { ODD } from './store-graph.ts';

/**
 * Manifests of the image `targetId` that are whole here, that are not among `sent`, and that have neither the config
 * nor only layers of the offer. Where an engine does not list the manifests of an index, it is the index itself.
 */
export async function unsentManifests(
  engine: Engine,
  image: Image,
  targetId: Digest,
  sent: ReadonlySet<Digest>,
): Promise<readonly Digest[]> {
  const inspected = await engine.inspect(targetId);
  if (inspected?.Manifests === undefined)
    return isIndexType(inspected?.Descriptor?.mediaType ?? image.root.mediaType) ? [targetId] : [];
  const here = inspected.Manifests.filter(
    ({ Available, ID }) => Available && ID !== targetId && !sent.has(ID),
  );
  const unsent: Digest[] = [];
  for (const { ID } of here) if (!(await isOffered(engine, ID, image))) unsent.push(ID);
  return unsent;
}

async function isOffered(engine: Engine, manifest: Digest, image: Image): Promise<boolean> {
  const offered = new Set(image.layers?.map(({ digest }) => digest));
  const content = await engine.content();
  if (content === undefined) return false;
  try {
    const bytes = await content.readAll(manifest, METADATA_MAX_BYTES);
    const children = childrenOf(readMetadata(bytes, 'manifest'));
    if (children.some(({ kind, digest }) => kind === 'config' && digest === image.config)) return true;
    const layers = children.filter(({ kind }) => kind === 'layer');
    return layers.length > 0 && layers.every(({ digest }) => offered.has(digest));
  } catch (error) {
    if (!ODD.includes(toImgmvError(error).code)) throw error;
    return false;
  }
}
