/** Lines of `--json`: somebody who looks at them is as safe as with those for people, and a program reads the very text. */
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { JsonRenderer } from '../../cli/renderer-json.ts';

test.each([
  ['the escape of a terminal', 'a\u001b[2Jb', 'a\\u001b[2Jb'],
  ['the end of a line', 'a\r\nb', 'a\\r\\nb'],
  ['a delete', '\u007f', '\\u007f'],
  ['the one-byte escape of a terminal', '\u009b2J', '\\u009b2J'],
  ['text that is turned round', 'a\u202eb', 'a\\u202eb'],
  ['an isolate', 'a\u2066b', 'a\\u2066b'],
  ['a space of no width', 'a\u200bb', 'a\\u200bb'],
  ['a line separator', 'a\u2028b', 'a\\u2028b'],
  ['a tag that nobody sees', 'a\u{e0041}b', 'a\\udb40\\udc41b'],
  ['text of any language', 'größer 名前 “x”', 'größer 名前 “x”'],
])('%s', (_what, text, written) => {
  const stream = new PassThrough();
  new JsonRenderer(stream).render({ event: 'warning', message: text });
  const line = String(stream.read());
  expect(line).toMatch(/^[^\n]*\n$/);
  expect(line).toContain(`"message":"${written}"`);
  expect(JSON.parse(line)).toMatchObject({ event: 'warning', message: text });
});
