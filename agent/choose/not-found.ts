/** The error for images that are not there, with what comes close. */
import { distance } from 'fastest-levenshtein';
import { ImgmvError } from '../../proto/errors.ts';
import type { Catalogue } from '../model/catalogue.ts';
import { familiar, parseReference, withDefaultTag } from '../model/reference.ts';
import { split } from './name-glob.ts';
import type { Pattern } from './pattern.ts';

const CLOSE_NAMES_MAX = 3;

export async function notFound(catalogue: Catalogue, missing: readonly Pattern[]): Promise<ImgmvError> {
  const there = (await catalogue.list()).flatMap(({ names }) => names);
  const exact = missing.filter((pattern) => pattern.kind === 'exact');
  const close = exact.flatMap(({ text }) => closeTo(text, there));
  const known = exact.flatMap(({ origin }) => origin?.hint ?? []);
  const meant = close.length > 0 ? [`did you mean ${[...new Set(close)].join(', ')}?`] : [];
  const hints = [...meant, [...new Set(known)].join(', ')].filter((hint) => hint !== '');
  const what = exact.length === missing.length ? 'such image' : 'image';
  const message = `no ${what} ${catalogue.place}: ${missing.map(told).join(', ')}`;
  const hint = hints.length > 0 ? hints.join(' ') : catalogue.hint;
  return new ImgmvError('image-not-found', message, { about: 'engine-images', hint });
}

function told(pattern: Pattern): string {
  const origin = pattern.kind === 'exact' ? pattern.origin : undefined;
  return `${JSON.stringify(pattern.text)}${origin ? ` (${origin.where})` : ''}`;
}

function closeTo(name: string, names: readonly string[]): readonly string[] {
  const parsed = parseReference(name);
  const want = parsed ? familiar(withDefaultTag(parsed)) : name;
  // Podman names what it builds `localhost/NAME`, and people type only NAME.
  const meant = [want, `localhost/${want}`].map((one) => split(one).repository);
  return names
    .map((tag) => ({ tag, far: distance(want, tag), sameName: meant.includes(split(tag).repository) }))
    .filter(({ tag, far, sameName }) => sameName || far <= Math.max(2, Math.floor(tag.length / 4)))
    .sort((a, b) => a.far - b.far)
    .slice(0, CLOSE_NAMES_MAX)
    .map(({ tag }) => tag);
}
