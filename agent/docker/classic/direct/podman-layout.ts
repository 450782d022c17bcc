/** What podman keeps where: containers/storage images.go and layers.go. Layers have ids by chance, and are found from above. */
import { closeSync } from 'node:fs';
import type { Digest } from '../../../model/image.ts';
import { chainIds } from '../../../oci/chain-id.ts';
import type { Beneath } from './beneath.ts';
import { configAt, type FoundLayer, hexOf, type Layout } from './layout.ts';
import { Odd } from './odd.ts';

/** One file lists all images, and one all layers: a few hundred bytes each. */
const LIST_MAX_BYTES = 64 * 2 ** 20;
const ID = /^[0-9a-f]{64}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Where each driver has the files of a layer. */
const FILES: Readonly<Record<string, (id: string) => string>> = {
  overlay: (id) => `overlay/${id}/diff`,
  vfs: (id) => `vfs/dir/${id}`,
};

interface ListedLayer {
  readonly id: string;
  readonly parent?: string;
  readonly 'diff-digest'?: string;
  readonly 'diff-size'?: number;
}

export function podmanLayout(driver: string): Layout | undefined {
  const filesOf = Object.hasOwn(FILES, driver) ? FILES[driver] : undefined;
  if (filesOf === undefined) return undefined;
  const [images, place] = [`${driver}-images`, `${driver}-layers`];
  return {
    place,
    findsOwn: true,
    find(beneath, id, positions) {
      const own = hexOf(id);
      // Go's name for a file whose own name has more than letters and digits.
      const name = `=${Buffer.from(id).toString('base64')}`;
      const config = configAt(beneath, `${images}/${own}/${name}`, id);
      const list = `${images}/images.json`;
      const image = listOf<{ readonly id: string; readonly layer?: string }>(beneath, list).find(
        (one) => one.id === own,
      );
      if (image?.layer === undefined) throw new Odd(`has no layer of image ${own}`, list);
      const layers = layersBelow(image.layer, `${place}/layers.json`, beneath);
      const at = new Map(chainIds(layers.map(diffIdOf)).map((chainId, index) => [chainId, layers[index]]));
      return {
        config,
        layers: positions.map(({ chainId, diffId }): FoundLayer => {
          const layer = at.get(chainId);
          if (layer === undefined) throw new Odd(`has no layer ${diffId} of image ${own}`, list);
          const split = `${place}/${layer.id}.tar-split.gz`;
          closeSync(beneath.open(split).fd);
          return { diffId, split, bytes: layer['diff-size'] ?? 0, files: filesOf(layer.id) };
        }),
      };
    },
  };
}

/** From the lowest up to `top`. */
function layersBelow(top: string, path: string, beneath: Beneath): readonly ListedLayer[] {
  const all = new Map(listOf<ListedLayer>(beneath, path).map((layer) => [layer.id, layer]));
  const found: ListedLayer[] = [];
  for (let id: string | undefined = top; id; ) {
    const layer = all.get(id);
    // Each is taken once: a circle would have no end.
    if (layer === undefined || !ID.test(id)) throw new Odd(`has no layer ${id.slice(0, 64)}`, path);
    all.delete(id);
    found.unshift(layer);
    id = layer.parent;
  }
  return found;
}

function diffIdOf({ id, 'diff-digest': diffId = '' }: ListedLayer): Digest {
  if (!DIGEST.test(diffId)) throw new Odd(`layer ${id} has no digest`);
  return diffId as Digest;
}

function listOf<T>(beneath: Beneath, path: string): readonly T[] {
  try {
    const list: unknown = JSON.parse(beneath.read(path, LIST_MAX_BYTES).toString());
    if (Array.isArray(list)) return list as T[];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new Odd('is no list in JSON', path);
}
