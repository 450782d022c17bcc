/** What text from elsewhere looks like on a terminal and in the lines of `--json`. */
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { escapeText } from '../../cli/escape.ts';
import { JsonRenderer } from '../../cli/renderer-json.ts';

const ACTING: readonly (readonly [what: string, text: string, shown: string])[] = [
  ['the escape of a terminal', 'a\u001b[2Jb', 'a\\u001b[2Jb'],
  ['the end of a line', 'a\r\nb', 'a\\u000d\\u000ab'],
  ['a bell', '\u0007', '\\u0007'],
  ['a delete', '\u007f', '\\u007f'],
  ['the one-byte escape of a terminal', '\u009b2J', '\\u009b2J'],
  ['text that is turned round', 'a\u202eb', 'a\\u202eb'],
  ['an isolate', 'a\u2066b', 'a\\u2066b'],
  ['a space of no width', 'a\u200bb', 'a\\u200bb'],
  ['a line separator', 'a\u2028b', 'a\\u2028b'],
  ['a tag that nobody sees', 'a\u{e0041}b', 'a\\udb40\\udc41b'],
];

test.each(ACTING)('%s is shown escaped', (_what, text, shown) => {
  expect(escapeText(text)).toBe(shown);
});

test('other text is shown as it is', () => {
  const text = 'registry.example/team/web:1.0 größer 名前 “x” — 10 %';
  expect(escapeText(text)).toBe(text);
});

test.each(ACTING)('%s is escaped in --json, and reads as the very text', async (_what, text) => {
  const stream = new PassThrough();
  new JsonRenderer(stream).render({ event: 'warning', message: text });
  const line = stream.read().toString() as string;
  expect(line.endsWith('\n')).toBe(true);
  expect(escapeText(line.slice(0, -1))).toBe(line.slice(0, -1));
  expect(JSON.parse(line)).toMatchObject({ event: 'warning', message: text });
});
