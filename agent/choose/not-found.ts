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
  const close = missing.flatMap((pattern) => (pattern.kind === 'exact' ? closeTo(pattern.text, there) : []));
  const what = missing.map(told).join(', ');
  const known = missing.flatMap((pattern) => (pattern.kind === 'exact' ? (pattern.origin?.hint ?? []) : []));
  const meant = close.length > 0 ? [`did you mean ${[...new Set(close)].join(', ')}?`] : [];
  const hints = [...meant, [...new Set(known)].join(', ')].filter((hint) => hint !== '');
  const alone = missing.every(({ kind }) => kind === 'exact');
  return new ImgmvError(
    'image-not-found',
    `no ${alone ? 'such image' : 'image'} ${catalogue.place}: ${what}`,
    { about: 'engine-images', hint: hints.length > 0 ? hints.join(' ') : catalogue.hint },
  );
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
    .map((tag) => ({
      tag,
      far: distance(want, tag),
      sameName: meant.includes(split(tag).repository),
    }))
    .filter(({ tag, far, sameName }) => sameName || far <= Math.max(2, Math.floor(tag.length / 4)))
    .sort((a, b) => a.far - b.far)
    .slice(0, CLOSE_NAMES_MAX)
    .map(({ tag }) => tag);
}
