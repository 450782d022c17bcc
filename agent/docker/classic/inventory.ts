/** What a classic store holds: it finds a layer by the layers below it (chain ids). */
import { type Digest, diffIdOf, type Image } from '../../model/image.ts';
import { chainIds } from '../../oci/chain-id.ts';
import { sameDigests } from '../../oci/image-parts.ts';
import { atOnce, LOOKUPS_AT_ONCE } from '../../streams/at-once.ts';
import type { Engine, ListedByEngine } from '../engine.ts';
import type { Digests, Inventory, Lacking } from '../inventory.ts';

/**
 * By engine and image, the chain ids of classic images. An id is the digest of a config, which names the layers: they
 * are asked for once, however many images move while there are hundreds.
 */
const chainsOf = new WeakMap<Engine, Map<Digest, readonly Digest[]>>();

export async function classicInventory(
  engine: Engine,
  listed: readonly ListedByEngine[],
): Promise<Inventory> {
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

function isIn(digest: Digest, ...sets: readonly Digests[]): boolean {
  return sets.some((set) => set.has(digest));
}
