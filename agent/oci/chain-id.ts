import type { Digest } from '../model/image.ts';
import { digestOf } from './metadata.ts';

/**
 * What an engine calls each layer together with all below it, bottom first like `diffIds`: the chain id of the
 * lowest is its diffID, that of any other the sha256 of "<chain id below> <diffID>". The same layer twice in an
 * image has two chain ids. OCI image spec 1.1, config.md, "Layer ChainID"
 */
export function chainIds(diffIds: readonly Digest[]): readonly Digest[] {
  const ids: Digest[] = [];
  for (const diffId of diffIds) {
    const below = ids.at(-1);
    ids.push(below === undefined ? diffId : digestOf(Buffer.from(`${below} ${diffId}`)));
  }
  return ids;
}
