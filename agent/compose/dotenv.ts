/**
 * Files of variables (`.env`) as compose reads them: its documentation calls it "Env file syntax". Neither Node's
 * parseEnv nor the dotenv package will do: they know no interpolation, no `KEY: value`, and end values elsewhere.
 */
import { interpolate, type Variables } from './interpolation.ts';
import { type Position, usageAt } from './position.ts';

/** White space but for the end of a line. */
const BLANK = /[\t\v\f\r \u0085\u00a0]/;
const KEY_CHARACTER = /[\p{L}\p{N}_.\-[\]\t\v\f\r \u0085\u00a0]/u;
const ESCAPE = /\\(?:[abcfnrtv$"\\]|0\d{0,3})/g;
const ESCAPED: Readonly<Record<string, string>> = {
  '\\a': '\u0007',
  '\\b': '\b',
  '\\f': '\f',
  '\\n': '\n',
  '\\r': '\r',
  '\\t': '\t',
  '\\v': '\v',
  '\\"': '"',
  '\\\\': '\\',
  // Interpolation, which comes after, makes one of two.
  '\\$': '$$',
};

/**
 * The variables of the file in order. Its values may use `outer`, which goes before what the file has said by then.
 * Throws usage with the line.
 */
export function parseDotenv(source: string, file: string, outer: Variables): Map<string, string> {
  const text = source.replace(/^\ufeff/, '');
  const found = new Map<string, string>();
  const variables: Variables = {
    get: (name) => outer.get(name) ?? found.get(name),
    unset: (name, at) => outer.unset(name, at),
  };
  let lineAt = 0;
  let line = 1;
  /** Asked for offsets that only grow. */
  const positionOf = (offset: number): Position => {
    for (; lineAt < offset; lineAt++) if (text[lineAt] === '\n') line++;
    return { file, line };
  };
  for (let offset = statementAt(text, 0); offset < text.length; offset = statementAt(text, offset)) {
    const at = positionOf(offset);
    const { key, end } = keyAt(text, offset, at);
    // A name alone hands on what the environment has, which is there already.
    if (key === undefined) offset = end;
    else {
      const value = valueAt(text, skip(text, end, BLANK), at);
      found.set(key, value.raw ? value.text : interpolate(value.text, variables, at));
      offset = value.end;
    }
  }
  return found;
}

/** Past white space and lines of comment. */
function statementAt(text: string, from: number): number {
  let offset = skip(text, from, /\s|\u0085/);
  while (text[offset] === '#') offset = skip(text, endOfLine(text, offset), /\s|\u0085/);
  return offset;
}

/** The key is undefined where a line has a name alone. */
function keyAt(text: string, from: number, at: Position): { key: string | undefined; end: number } {
  const start = from + (/^export\s+/.exec(text.slice(from, from + 64))?.[0].length ?? 0);
  for (let offset = start; offset < text.length; offset++) {
    const character = String.fromCodePoint(text.codePointAt(offset) ?? 0);
    if (character === '\n') return { key: undefined, end: offset + 1 };
    if (character === '=' || character === ':') {
      const key = text.slice(start, offset).trimEnd();
      if (key.includes(' '))
        throw usageAt(at, `the name of a variable cannot hold a space: ${JSON.stringify(key)}`);
      return { key, end: offset + 1 };
    }
    if (!KEY_CHARACTER.test(character))
      throw usageAt(at, `unexpected ${JSON.stringify(character)} in the name of a variable`);
    offset += character.length - 1;
  }
  return { key: undefined, end: text.length };
}

/** `raw`: in single quotes, where nothing is interpolated. */
function valueAt(text: string, start: number, at: Position): { text: string; end: number; raw: boolean } {
  const quote = text[start];
  if (quote !== '"' && quote !== "'") {
    const end = endOfLine(text, start);
    const [value = ''] = text.slice(start, end).split(' #', 1);
    return { text: value.trimEnd(), end, raw: false };
  }
  let value = '';
  for (let offset = start + 1; offset < text.length; offset++) {
    const character = text[offset];
    if (character === quote)
      return { text: quote === '"' ? unescaped(value) : value, end: offset + 1, raw: quote === "'" };
    // Of escapes only that of the quote is undone here.
    if (character === '\\' && offset + 1 < text.length) {
      offset++;
      value += text[offset] === quote ? quote : `\\${text[offset]}`;
    } else value += character;
  }
  throw usageAt(at, `a value that begins with ${quote} has no end`);
}

function unescaped(value: string): string {
  return value.replace(ESCAPE, (sequence) => {
    const octal = /^\\0([0-7]{3})$/.exec(sequence)?.[1];
    if (octal !== undefined && Number.parseInt(octal, 8) < 256)
      return String.fromCharCode(Number.parseInt(octal, 8));
    return ESCAPED[sequence] ?? sequence;
  });
}

function skip(text: string, from: number, characters: RegExp): number {
  let offset = from;
  while (offset < text.length && characters.test(text[offset] ?? '')) offset++;
  return offset;
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}
