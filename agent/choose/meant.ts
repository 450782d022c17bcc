/** Images that are chosen, with the names under which they are to travel. */
import type { Chosen, Meant } from '../model/catalogue.ts';
import type { Digest, Name } from '../model/image.ts';
import { usage } from '../streams/errors.ts';
import type { Renaming } from './rename.ts';

export interface Naming {
  /** What the one image is to be called, whatever it is called here. */
  readonly as?: string | undefined;
  readonly renaming: Renaming;
}

/** Throws usage where a rule makes no name. With `as` there is one image: see `requireOne`. */
export function named(chosen: readonly Chosen[], { as, renaming }: Naming): readonly Meant[] {
  return chosen.map(({ id, names }) => {
    if (as !== undefined) return { id, names: [{ source: names[0] ?? id, target: as }] };
    const all = names.flatMap((source) => renaming.apply(source).map((target) => ({ source, target })));
    return { id, names: unique(all) };
  });
}

/** Throws usage for one name that is to be that of several images. */
export function requireOne(chosen: readonly Chosen[], as: string): void {
  if (new Set(chosen.map(({ id }) => id)).size === 1) return;
  const first = chosen.slice(0, 10).map(({ names, id }) => names[0] ?? id.slice(7, 19));
  throw usage(`${as} is one name, but there are ${chosen.length} images`, {
    hint: `pick one of them: ${first.join(', ')}`,
  });
}

/** Each id once, with all of its names. */
export function merged(images: readonly Chosen[]): readonly Chosen[] {
  const names = new Map<Digest, Set<string>>();
  for (const image of images) names.set(image.id, new Set([...(names.get(image.id) ?? []), ...image.names]));
  return [...names].map(([id, all]) => ({ id, names: [...all] }));
}

/** An image has a target once, whichever of its names leads there. */
export function unique(names: readonly Name[]): readonly Name[] {
  const seen = new Set<string>();
  return names.filter(({ target }) => !seen.has(target) && seen.add(target));
}
