/** What the values of options mean, as the help and the documents write them. */
import { expect, test } from 'vitest';
import {
  limitGiven,
  parseAdvertised,
  parseBwlimit,
  parseConnectTimeout,
  parseLimit,
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

test.each([
  ['2048', 2048, 2048 * 1024],
  ['1024', 1024, 1024 * 1024],
  ['800k', 800 * 1024, 800 * 1024],
  ['800K', 800 * 1024, 800 * 1024],
  ['10M', 10 * 2 ** 20, 10 * 2 ** 20],
  ['10MiB/s', 10 * 2 ** 20, 10 * 2 ** 20],
  ['1.5MB/s', 1_500_000, 1_500_000],
  ['1.5mb', 1_500_000, 1_500_000],
  ['1g', 2 ** 30, 2 ** 30],
  ['2000B', 2000, 2000],
  ['0', 'none', 'none'],
  ['0k', 'none', 'none'],
])('%s a second, by --limit and by --bwlimit', (text, limit, bwlimit) => {
  expect([parseLimit(text), parseBwlimit(text)]).toEqual([limit, bwlimit]);
});

test.each(['', 'x', '-1', '1kbit', '1T', '1.5.5M', '1e6', '10 M', '0x10', '1M/h', '9'.repeat(13)])(
  '--limit %j is refused, and the error gives examples',
  (text) => {
    expect(() => parseLimit(text)).toThrow('Expected a rate such as 800k, 10M or 1.5MB/s.');
  },
);

test.each(['1023', '0.5k', '101G'])('--limit %s is out of bounds, which the error names', (text) => {
  expect(() => parseLimit(text)).toThrow('Expected a rate from 1k to 100G, or 0 for no limit.');
});

test('one of --limit and --bwlimit', () => {
  expect([limitGiven({}), limitGiven({ limit: 5000 }), limitGiven({ bwlimit: 'none' })]).toEqual([
    undefined,
    5000,
    'none',
  ]);
  expect(() => limitGiven({ limit: 5000, bwlimit: 5000 })).toThrow('--limit and --bwlimit are the same');
});
