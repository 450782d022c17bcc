/** Text and JSON that are nearly right. */
import fc from 'fast-check';
import { mutated } from './bytes.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Controls, marks that change direction or show nothing, what breaks lines, quotes and regular expressions. */
const NASTY = [
  '',
  ' ',
  '\n',
  '\r\n',
  '\0',
  '\u001b[2J\u001b]0;title\u0007',
  '\u009b31m',
  '\u202eevil\u202c',
  '\u2066x\u2069',
  '\u200b\u200d\ufeff',
  '\u2028\u2029',
  '\u{e0041}\u{e007f}',
  '\u180e\u{1d173}',
  '\ud800',
  '\udc00x',
  'é\u0301\u0489',
  '__proto__',
  'constructor',
  '../../etc/passwd',
  '%00%zz',
  'a'.repeat(101),
  'a'.repeat(1_001),
  '-'.repeat(5_000),
  '1'.repeat(400),
  'sha256:',
  `sha256:${'0'.repeat(64)}`,
  `sha256:${'A'.repeat(64)}`,
  'NaN',
  '-1',
  '0x10',
  '1e3',
] as const;

export const nastyText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...NASTY),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.array(fc.constantFrom(...NASTY), { maxLength: 4 }).map((parts) => parts.join('x')),
);

/** `valid` with up to three pieces of it left out, doubled, or replaced by nasty ones. */
export function textLike(valid: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const change = fc.tuple(fc.nat(3), fc.nat(0xffff), fc.nat(12), nastyText);
  const changed = fc.tuple(valid, fc.array(change, { maxLength: 3 })).map(([text, changes]) =>
    changes.reduce((before, [kind, where, length, nasty]) => {
      const at = where % (before.length + 1);
      const head = before.slice(0, at);
      if (kind === 0) return head + before.slice(at + length);
      if (kind === 1) return before.slice(0, at + length) + before.slice(at);
      return head + nasty + before.slice(kind === 2 ? at : at + length);
    }, text),
  );
  return fc.oneof({ weight: 6, arbitrary: changed }, { weight: 1, arbitrary: nastyText });
}

const NASTY_JSON: readonly Json[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  2 ** 40 + 1,
  10_000,
  '',
  [],
  {},
  [[]],
  [null],
  { length: 1e9 },
  own('__proto__', { polluted: true, size: 1 }),
  own('constructor', { prototype: { polluted: true } }),
  own('toString', 1),
];

/** One place of a document that becomes another one. */
export const jsonChange = fc.tuple(
  fc.nat(4),
  fc.nat(0xffff),
  fc.oneof(fc.constantFrom(...NASTY_JSON), nastyText as fc.Arbitrary<Json>),
  fc.nat(0xffff),
);
export type JsonChange = typeof jsonChange extends fc.Arbitrary<infer C> ? C : never;

/** A document like `valid` as bytes, changed in up to three places, and now and then in its bytes too. */
export function jsonLike(valid: fc.Arbitrary<Json>): fc.Arbitrary<Buffer> {
  const changed = fc
    .tuple(valid, fc.array(jsonChange, { maxLength: 3 }))
    .map(([document, changes]) => Buffer.from(JSON.stringify(jsonChanged(document, changes))));
  return fc.oneof(
    { weight: 6, arbitrary: changed },
    { weight: 1, arbitrary: mutated(changed) },
    { weight: 1, arbitrary: fc.json({ maxDepth: 3 }).map((text) => Buffer.from(text)) },
  );
}

export function jsonChanged(document: Json, changes: readonly JsonChange[]): Json {
  if (changes.length === 0) return document;
  const root = [copied(document)];
  for (const [kind, where, nasty, also] of changes) {
    const places = [...placesOf(root)];
    const place = places[where % places.length];
    if (!place) break;
    const { container, key } = place;
    const slots = container as Record<string, Json>;
    if (kind === 0) slots[key] = copied(nasty);
    else if (kind === 1 && container !== root) delete slots[key];
    else if (kind === 2) addKey(slots[key], copied(nasty));
    else if (kind === 3 && Array.isArray(container)) container.push(...(container as Json[]).slice(0, 4));
    else {
      const other = places[also % places.length];
      const taken = other && (other.container as Record<string, Json>)[other.key];
      if (taken !== undefined) slots[key] = copied(taken);
    }
  }
  return root[0] ?? null;
}

/** What is changed later must not be shared, and what holds itself is no JSON. */
function copied(json: Json): Json {
  return JSON.parse(JSON.stringify(json)) as Json;
}

function* placesOf(container: object): Generator<{ container: object; key: string }> {
  for (const [key, value] of Object.entries(container) as [string, unknown][]) {
    yield { container, key };
    if (typeof value === 'object' && value !== null) yield* placesOf(value);
  }
}

function addKey(to: unknown, value: Json): void {
  if (typeof to !== 'object' || to === null || Array.isArray(to)) return;
  Object.defineProperty(to, '__proto__', { value, enumerable: true, configurable: true, writable: true });
}

/** Also for `__proto__`, which an object literal would not take for a key. */
function own(key: string, value: Json): Json {
  return Object.defineProperty({}, key, { value, enumerable: true }) as Json;
}
