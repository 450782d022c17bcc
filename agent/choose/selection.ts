/** Which images of a place are meant: what is picked, and what of that stays. */
import { ImgmvError } from '../../proto/errors.ts';
import type { Catalogue, Chosen, Listed } from '../model/catalogue.ts';
import type { Digest } from '../model/image.ts';
import { canonical, parseReference } from '../model/reference.ts';
import { atOnce, LOOKUPS_AT_ONCE } from '../streams/at-once.ts';
import { usage } from '../streams/errors.ts';
import { merged } from './meant.ts';
import { RepositoryGlob } from './name-glob.ts';
import { notFound } from './not-found.ts';
import type { Pattern } from './pattern.ts';

export interface Selection {
  /** Each has to mean an image at least. */
  readonly patterns: readonly Pattern[];
  /** All images that have a name. */
  readonly all?: boolean | undefined;
  /** Images without a name, which are left over from builds and pulls. */
  readonly dangling?: boolean | undefined;
  /** The images of containers that run. */
  readonly running?: boolean | undefined;
  /** Images that have all of these: a value, or any where it is undefined. */
  readonly labels: readonly { readonly key: string; readonly value?: string }[];
  /** Images that were made at this time or later. */
  readonly since?: Date | undefined;
  /** That none is left is no failure. */
  readonly orNothing?: boolean;
  /** Names that stay behind, and images that have no other name then. */
  readonly except: readonly Pattern[];
}

/** Told of what may not be what was meant, and stops nothing. */
type Warn = (message: string) => void;

/** Whether it says which images are meant, beside what stays of them. */
export function picks({ patterns, all, dangling, running }: Selection): boolean {
  return patterns.length > 0 || all === true || dangling === true || running === true;
}

/** Neither that nor what stays of all. */
export function picksNothing(selection: Selection): boolean {
  const { labels, since, except } = selection;
  return !picks(selection) && labels.length === 0 && since === undefined && except.length === 0;
}

/**
 * The images that are meant, each id once with all names by which it is, in the order in which they were named, or
 * in that of the place. Throws image-not-found, naming all that are missing, and where none is left; integrity where all
 * that was named is there and none of it can be moved.
 */
export async function choose(
  catalogue: Catalogue,
  selection: Selection,
  warn: Warn = () => {},
): Promise<readonly Chosen[]> {
  const chosen: Chosen[] = [];
  const missing: Pattern[] = [];
  const unusable: ImgmvError[] = [];
  const found = await atOnce(LOOKUPS_AT_ONCE, selection.patterns, (pattern) =>
    matching(catalogue, pattern).catch((error: unknown) => {
      if (!(error instanceof ImgmvError) || error.code !== 'integrity') throw error;
      return error;
    }),
  );
  for (const [at, pattern] of selection.patterns.entries()) {
    const meant = found[at] ?? [];
    if (meant instanceof ImgmvError) unusable.push(meant);
    else if (meant.length === 0) missing.push(pattern);
    else chosen.push(...meant);
  }
  if (missing.length > 0) throw await notFound(catalogue, missing);
  // What is good of that which was named is moved; whoever has set the others aside tells of them.
  if (chosen.length === 0 && unusable[0]) {
    for (const { message } of unusable.slice(1)) warn(message);
    throw unusable[0];
  }
  const { dangling, running } = selection;
  if (selection.all || !picks(selection))
    chosen.push(...(await catalogue.list()).filter((image) => !image.dangling));
  if (dangling) chosen.push(...(await catalogue.list()).filter((image) => image.dangling));
  if (running) {
    if (!catalogue.running) throw usage(`--running is for an engine: nothing runs ${catalogue.place}`);
    chosen.push(...(await catalogue.running()));
  }
  const left = await narrowed(merged(chosen), catalogue, selection, warn);
  if (left.length > 0 || selection.orNothing) return left;
  const what = asked(selection);
  const message =
    what === '' ? `there is no image ${catalogue.place}` : `no image ${catalogue.place} matches ${what}`;
  throw new ImgmvError('image-not-found', message, { about: 'engine-images', hint: catalogue.hint });
}

/** The options that came to nothing; empty for all images. */
function asked({ all, dangling, except, labels, patterns, running, since }: Selection): string {
  return [
    ...patterns.map(({ text }) => JSON.stringify(text)),
    ...(all && !dangling ? ['--all'] : []),
    ...(dangling && !all ? ['--dangling'] : []),
    ...(running ? ['--running'] : []),
    ...labels.map(({ key, value }) => `--label ${key}${value === undefined ? '' : `=${value}`}`),
    ...(since ? [`--since ${since.toISOString()}`] : []),
    ...except.map(({ text }) => `--except ${text}`),
  ].join(' ');
}

async function matching(catalogue: Catalogue, pattern: Pattern): Promise<readonly Chosen[]> {
  return pattern.kind === 'exact'
    ? catalogue.find(pattern.text)
    : namedSo(catalogue, (name) => pattern.matches(name));
}

/** All images that have such a name, with these names only. */
async function namedSo(catalogue: Catalogue, matches: (name: string) => boolean): Promise<readonly Chosen[]> {
  return (await catalogue.list()).flatMap(({ id, names }) => {
    const meant = names.filter(matches);
    return meant.length > 0 ? [{ id, names: meant }] : [];
  });
}

async function narrowed(
  images: readonly Chosen[],
  catalogue: Catalogue,
  { labels, since, except }: Selection,
  warn: Warn,
): Promise<readonly Chosen[]> {
  let left = images;
  if (labels.length > 0 || since !== undefined) {
    const facts = await catalogue.facts(left.map(({ id }) => id));
    left = left.filter(({ id }) => {
      const image = facts.get(id);
      return image && hasLabels(image, labels) && (since === undefined || image.created >= since);
    });
  }
  for (const pattern of except) {
    const before = left;
    left =
      pattern.kind === 'names'
        ? withoutNames(left, (name) => pattern.matches(name))
        : without(left, (await allTags(catalogue, pattern.text)) ?? (await catalogue.find(pattern.text)));
    if (namesIn(left) === namesIn(before)) warn(`--except ${pattern.text} matches nothing`);
  }
  return left;
}

/** How many images and names of them there are. */
function namesIn(images: readonly Chosen[]): number {
  return images.reduce((sum, { names }) => sum + 1 + names.length, 0);
}

/** What `web` leaves out: whatever its tag, or none would be but web:latest. Undefined where nothing is called so. */
async function allTags(catalogue: Catalogue, text: string): Promise<readonly Chosen[] | undefined> {
  const parsed = parseReference(text);
  if (!parsed || parsed.tag !== undefined || parsed.digest !== undefined) return undefined;
  const repository = new RepositoryGlob(canonical(parsed));
  const found = await namedSo(catalogue, (name) => repository.match(name) !== undefined);
  return found.length > 0 ? found : undefined;
}

function hasLabels(image: Listed, labels: Selection['labels']): boolean {
  return labels.every(
    ({ key, value }) =>
      Object.hasOwn(image.labels, key) && (value === undefined || image.labels[key] === value),
  );
}

/** An image goes with the last of its names. */
function withoutNames(
  images: readonly Chosen[],
  gone: (name: string, id: Digest) => boolean,
): readonly Chosen[] {
  return images.flatMap(({ id, names }) => {
    const left = names.filter((name) => !gone(name, id));
    return names.length > 0 && left.length === 0 ? [] : [{ id, names: left }];
  });
}

/** What was named goes by that name, what was given by its id as a whole. */
function without(images: readonly Chosen[], found: readonly Chosen[]): readonly Chosen[] {
  const wholes = new Set(found.filter(({ names }) => names.length === 0).map(({ id }) => id));
  return withoutNames(
    images.filter(({ id }) => !wholes.has(id)),
    (name, id) => found.some((one) => one.id === id && one.names.includes(name)),
  );
}
