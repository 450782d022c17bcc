/** JSON as the documents of images are: taken where it has one reading, refused where two readers could differ. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { CONFIG_KEYS } from '../../agent/oci/image-keys.ts';
import { type KnownKeys, strictJson } from '../../agent/oci/strict-json.ts';
import { decoded, holds } from './refusal.ts';
import { target } from './target.ts';
import { jsonLike, nastyText } from './text.ts';

/** A value whose objects may have a key twice. */
type Tree = string | number | { readonly list: readonly Tree[] } | { readonly entries: readonly Entry[] };
type Entry = readonly [key: string, value: Tree];

const KEYS = ['os', 'OS', 'o\u017f', 'config', 'Config', 'Cmd', 'cmd', 'Labels', 'rootfs', 'type', 'a', 'A'];
const key = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...KEYS) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('\u212a', '\u0131d', '\u0130d', '\ud800', '\udc00', '', '__proto__'),
  },
  { weight: 1, arbitrary: nastyText },
);

const { tree } = fc.letrec<{ tree: Tree; object: Tree; list: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<Tree>('x', 1),
    tie('object'),
    tie('list'),
  ),
  object: fc.record({ entries: fc.array(fc.tuple(key, tie('tree')), { maxLength: 4 }) }),
  list: fc.record({ list: fc.array(tie('tree'), { maxLength: 3 }) }),
}));

function written(value: Tree): string {
  if (typeof value !== 'object') return JSON.stringify(value);
  if ('list' in value) return `[${value.list.map(written).join(' , ')}]`;
  return `{ ${value.entries.map(([name, below]) => `${JSON.stringify(name)} :${written(below)}`).join()} }`;
}

function hasOneReading(value: Tree, keys: KnownKeys | null): boolean {
  if (typeof value !== 'object') return true;
  if ('list' in value) return value.list.every((below) => hasOneReading(below, keys));
  const names = value.entries.map(([name]) => name.replaceAll(/[\ud800-\udfff]/gu, '\ufffd'));
  const known = Object.keys(keys ?? {});
  const taken = (name: string) => known.find((one) => new RegExp(`^${one}$`, 'iu').test(name)) ?? name;
  return (
    new Set(names).size === names.length &&
    value.entries.every(([name]) => taken(name) === name) &&
    value.entries.every(([name, below]) =>
      hasOneReading(below, (known.includes(name) && keys?.[name]) || null),
    )
  );
}

const trees = target<Tree>({
  name: 'json/one-reading',
  share: 20,
  input: tree,
  check: (value) => {
    const text = written(value);
    for (const keys of [CONFIG_KEYS, null]) {
      const read = decoded(['integrity'], () => [strictJson(Buffer.from(text), 'x', keys)]);
      holds((read !== undefined) === hasOneReading(value, keys), `taken where all read the same: ${text}`);
      if (read) holds(isDeepStrictEqual(read[0], JSON.parse(text)), 'it is what it says');
    }
  },
});

const bytes = target<Buffer>({
  name: 'json/bytes',
  share: 20,
  input: jsonLike(fc.json({ maxDepth: 4 }).map((text) => JSON.parse(text))),
  check: (given) => {
    const read = decoded(['integrity'], () => [strictJson(given, 'x', CONFIG_KEYS)]);
    if (read) holds(isDeepStrictEqual(read[0], JSON.parse(given.toString())), 'what is read is JSON');
  },
});

export const jsonTargets = [trees, bytes];
