/** What the values of options mean, as the help and the documents write them. */
import { expect, test } from 'vitest';
import {
  parseAdvertised,
  parseConnectTimeout,
  parseListen,
  parseMaxSession,
  parseReconnect,
  parseSince,
  parseSize,
} from '../../cli/options.ts';
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

test.each([
  ['--connect-timeout', parseConnectTimeout, '1d', '25d', 'Expected between 1s and 1d.'],
  ['--reconnect', parseReconnect, '7d', '30d', 'Expected between 1s and 7d.'],
  ['--max-session', parseMaxSession, '20d', '999999d', 'Expected between 1s and 20d.'],
  ['--since', parseSince, '36525d', '36526d', 'Expected between 1s and 36525d.'],
  ['--max-bytes', parseSize, '1000TiB', '1001TiB', /up to 1000TiB/],
])('%s has a bound, which the error names', (_option, parse, largest, over, says) => {
  expect(Number(parse(largest))).toBeLessThan(Number.MAX_SAFE_INTEGER);
  expect(() => parse(over)).toThrow(says);
});

/** What setTimeout takes for what it is: more of it goes off at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

test.each([
  [parseConnectTimeout, '1d'],
  [parseReconnect, '7d'],
  [parseMaxSession, '20d'],
])('the largest duration fits a timer', (parse, largest) => {
  expect(parse(largest)).toBeLessThan(TIMER_MAX_MS);
});

test.each([
  ['host-b', false],
  ['10.0.0.2', false],
  ['fe80::1', false],
  ['[fe80::1]', false],
  ['host-b:7400', true],
  ['[fe80::1]:7400', true],
  ['wss://proxy.example/imgmv', true],
])('--advertise %s says all: %s', (text, whole) => {
  expect(parseAdvertised(text)).toEqual({ text, whole });
});

test('--advertise takes nothing that cannot be dialled', () => {
  expect(() => parseAdvertised('a b')).toThrow(/^Expected HOST, HOST:PORT/);
});
