/** Lines that fit a terminal: broken between words, so that none is cut where the last column happens to be. */

const ESC = '\u001b';
const STYLES = new RegExp(`${ESC}\\[[0-9;]*m`, 'g');
/** What takes two columns, and what none. */
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uff01-\uff60]/gu;
const NARROW = /\p{M}/gu;
const HANGING = 2;
/** How much of the columns an indent may take. */
const INDENT_SHARE_MAX = 0.5;

/** Each line of `text` in as many as it takes. What goes on is indented by `hanging` more; a word that is too long is broken at a slash. */
export function wrap(text: string, columns: number, hanging = HANGING): string {
  if (columns === Number.POSITIVE_INFINITY) return text;
  return text
    .split('\n')
    .flatMap((line) => (widthOf(line) <= columns ? [line] : wrapLine(line, columns, hanging)))
    .join('\n');
}

function wrapLine(line: string, columns: number, hanging: number): readonly string[] {
  const [own = ''] = /^ */.exec(line) ?? [];
  const indent = ' '.repeat(Math.min(own.length + hanging, Math.floor(columns * INDENT_SHARE_MAX)));
  const lines: string[] = [];
  let current = '';
  const words = [...line.matchAll(/( *)([^ ]+)/g)].flatMap(([, blanks = '', word = '']) => {
    const parts = indent.length + widthOf(word) > columns ? word.split(/(?<=\/)/) : [word];
    return parts.map((part, at) => [at === 0 ? blanks : '', part] as const);
  });
  for (const [blanks, word] of words) {
    const longer = `${current}${blanks}${word}`;
    if (current.trim() === '' || widthOf(longer) <= columns) current = longer;
    else {
      lines.push(current);
      current = `${indent}${word}`;
    }
  }
  return [...lines, current];
}

/** A pairing code, indented; on several lines, of which all but the last end with a dash, where one would be too long. */
export function wrapCode(label: string, code: string, columns: number): string {
  const line = `  ${label}:  ${code}`;
  if (widthOf(line) <= columns) return line;
  // Broken behind a dash a line shows that it goes on, and may be typed or pasted as it is.
  const broken = wrap(`    ${code.replaceAll('-', '- ')}`, columns).split('\n');
  return [`  ${label}:`, ...broken.map((part) => `    ${part.trim().replaceAll('- ', '-')}`)].join('\n');
}

function widthOf(text: string): number {
  const shown = text.replaceAll(STYLES, '');
  return shown.length + (shown.match(WIDE)?.length ?? 0) - (shown.match(NARROW)?.length ?? 0);
}
