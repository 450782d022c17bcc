/** What the values of options mean, as the help and the documents write them. */
import { expect, test } from 'vitest';
import { parseListen } from '../../cli/options.ts';
import { DEFAULT_PORT } from '../../proto/limits.ts';

const everywhere = undefined;

test.each([
  ['10.0.0.2:7373', '10.0.0.2', 7373],
  ['10.0.0.2', '10.0.0.2', DEFAULT_PORT],
  ['host-b:7400', 'host-b', 7400],
  [':7400', everywhere, 7400],
  [':0', everywhere, 0],
  ['7400', everywhere, 7400],
  ['*:7400', everywhere, 7400],
  ['*', everywhere, DEFAULT_PORT],
  ['[::1]:7373', '::1', 7373],
  ['[::1]', '::1', DEFAULT_PORT],
  ['[::]:7400', '::', 7400],
  ['127.0.0.1:65535', '127.0.0.1', 65_535],
])('--listen %s', (text, address, port) => {
  expect(parseListen(text)).toEqual({ address, port });
});

test.each([
  '',
  ':',
  '10.0.0.2:',
  '::1',
  '::1:7373',
  '[10.0.0.2',
  '10.0.0.2:x',
  'a b:7373',
  'http://a:7373',
  '[]:1',
])('--listen %j is refused, and the error gives examples', (text) => {
  expect(() => parseListen(text)).toThrow(/^Expected ADDR:PORT, such as .* or :7373\.$/);
});

test.each(['65536', ':65536', '10.0.0.2:99999999999'])('--listen %s: there is no such port', (text) => {
  expect(() => parseListen(text)).toThrow('A port is a number from 0 to 65535.');
});
