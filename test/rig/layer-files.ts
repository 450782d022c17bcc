/** Where a classic engine of the rig has the files of a layer. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../agent/model/image.ts';
import { chainIds } from '../../agent/oci/chain-id.ts';
import type { Engine } from './engine.ts';

export interface LayerPlaces {
  /** With `cache-id`, `diff`, `size` and `tar-split.json.gz`. */
  readonly facts: string;
  readonly files: string;
}

/** Of the layer at position `at` from the bottom. */
export async function layerPlaces(
  engine: Engine,
  diffIds: readonly string[],
  at: number,
): Promise<LayerPlaces> {
  const chainId = chainIds(diffIds as readonly Digest[])[at] as Digest;
  const facts = join(engine.dataRoot, 'image/overlay2/layerdb/sha256', chainId.slice('sha256:'.length));
  const cacheId = await readFile(join(facts, 'cache-id'), 'utf8');
  return { facts, files: join(engine.dataRoot, 'overlay2', cacheId, 'diff') };
}
