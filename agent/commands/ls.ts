/** The whole of `imgmv ls`: which images there are, and what they share. */
import { openPlaces, type Place, type PlaceOptions } from '../ends/origin.ts';
import type { Chosen, Listed } from '../model/catalogue.ts';
import type { ListedImage } from '../model/events.ts';
import { type Digest, diffIdOf, type Image } from '../model/image.ts';
import { platformName } from '../model/plan.ts';
import { chainIds } from '../oci/chain-id.ts';

/** Throws image-not-found for what is not there. */
export async function listImages(options: PlaceOptions): Promise<void> {
  const images: ListedImage[] = [];
  let layerBytes: number | null = 0;
  for (const place of await openPlaces(options, { check: false }))
    try {
      const all = await place.describe();
      images.push(...(await listed(place, all)));
      const chosen = new Set(place.chosen.map(({ id }) => id));
      const bytes = bytesTogether(all.filter(({ id }) => chosen.has(id)));
      layerBytes = layerBytes === null || bytes === null ? null : layerBytes + bytes;
    } finally {
      await place[Symbol.asyncDispose]();
    }
  options.emit({ event: 'images', images, layerBytes });
}

function bytesTogether(images: readonly Image[]): number | null {
  if (images.some(({ layers }) => layers === undefined)) return null;
  const sizes = new Map(images.flatMap(layersOf).map(({ key, size }) => [key, size]));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

async function listed({ catalogue, chosen }: Place, all: readonly Image[]): Promise<readonly ListedImage[]> {
  const holders = holdersOf(all);
  const images = new Map(all.map((image) => [image.id, image]));
  const told = await catalogue.facts(chosen.map(({ id }) => id));
  return chosen.flatMap((one) => {
    const [image, facts] = [images.get(one.id), told.get(one.id)];
    return image && facts ? [toldOf(one, image, facts, holders)] : [];
  });
}

function toldOf(
  { names }: Chosen,
  image: Image,
  { bytes, created, names: all }: Listed,
  holders: ReadonlyMap<Digest, ReadonlySet<Digest>>,
): ListedImage {
  const shared = layersOf(image).filter(({ key }) => (holders.get(key)?.size ?? 0) > 1);
  const others = new Set(shared.flatMap(({ key }) => [...(holders.get(key) ?? [])]));
  others.delete(image.id);
  return {
    id: image.id,
    names: names.length > 0 ? names : all,
    platform: platformName(image.platform),
    bytes,
    sharedBytes: image.layers === undefined ? null : shared.reduce((sum, { size }) => sum + size, 0),
    sharedWith: [...others],
    created: created.toISOString(),
  };
}

/** By layers, the ids of the images that have them. */
function holdersOf(images: readonly Image[]): ReadonlyMap<Digest, ReadonlySet<Digest>> {
  const holders = new Map<Digest, Set<Digest>>();
  for (const image of images)
    for (const { key } of layersOf(image))
      holders.set(key, (holders.get(key) ?? new Set<Digest>()).add(image.id));
  return holders;
}

interface KeyedLayer {
  /** What makes it one and the same for its store. */
  readonly key: Digest;
  readonly size: number;
}

/** A classic store shares a layer on top of the same others; other places the very blob. */
function layersOf({ store, diffIds, layers = [] }: Image): readonly KeyedLayer[] {
  if (store === 'containerd') return layers.map(({ digest, size }) => ({ key: digest, size }));
  const sizes = new Map(layers.map((layer) => [diffIdOf(layer), layer.size]));
  return chainIds(diffIds).map((key, at) => ({ key, size: sizes.get(diffIds[at] as Digest) ?? 0 }));
}
