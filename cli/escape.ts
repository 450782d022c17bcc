/** Text from elsewhere as a terminal may show it: nothing in it acts, moves the cursor or hides. */

/** More would be a heap of signs over the lines around it; no language needs so many in a row in what we show. */
const MARKS_MAX = 3;

/**
 * What acts or is not seen:
 * - `\p{C}`: controls, format characters such as those that turn text around (TR9, "Trojan Source"), private use,
 *   unassigned code points, and halves of surrogate pairs;
 * - `\p{DI}`: what Unicode lets programs ignore, such as fillers and selectors of variants;
 * - `\p{Z}`: every space and separator except the blank;
 * - the blank of Braille and the null note head, which Unicode counts as signs.
 */
const INVISIBLE = '[\\p{C}\\p{DI}\\u2800\\u{1d159}]|(?! )\\p{Z}';

/** Combining marks: with no letter or digit to stand on they change the character before the text, which is ours. */
const BASE = '(?!\\p{DI})[\\p{L}\\p{N}\\p{M}]';
const MARKS = `(?<!${BASE})\\p{M}+|(?<=\\p{M}{${MARKS_MAX}})\\p{M}`;

const UNSAFE = new RegExp(`${INVISIBLE}|${MARKS}`, 'gu');

/** The escapes are those of JSON: one for each code unit of UTF-16. */
export function escapeText(text: string): string {
  return text.replace(UNSAFE, (characters) =>
    characters
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}
