import { expect, it } from 'vitest';
import { hideSecrets } from '../../../agent/push/hidden.ts';

const SECRET = 'p"w\\ <é>/+!7\u0001';

it.each<readonly [string, string]>([
  ['as it is', SECRET],
  ['in JSON', JSON.stringify(SECRET).slice(1, -1)],
  ['in JSON in JSON', JSON.stringify(JSON.stringify(SECRET).slice(1, -1)).slice(1, -1)],
  ['in JSON as Go writes it', 'p\\"w\\\\ \\u003cé\\u003e/+!7\\u0001'],
  ['quoted by Go', 'p\\"w\\\\ <é>/+!7\\x01'],
  ['in an address', encodeURIComponent(SECRET)],
  ['in an address as Go writes it', 'p%22w%5C+%3C%C3%A9%3E%2F%2B%217%01'],
  ['in an address in small letters', 'p%22w%5c%20%3c%c3%a9%3e%2f%2b!7%01'],
  ['in base64', Buffer.from(SECRET).toString('base64')],
  ['in base64 without padding', Buffer.from(SECRET).toString('base64').replace(/=+$/, '')],
  ['in the URL alphabet', Buffer.from(SECRET).toString('base64url')],
])('hides a secret %s', (_form, text) => {
  expect(hideSecrets(`not with "${text}" here`, [SECRET])).toBe('not with "[secret]" here');
});

it('hides a secret in base64 with padding, whatever its bytes', () => {
  for (const secret of ['????', '>>>>>', '~~~~~~'])
    for (const alphabet of [
      (text: string) => text,
      (text: string) => text.replaceAll('+', '-').replaceAll('/', '_'),
    ]) {
      const text = Buffer.from(secret).toString('base64');
      expect(hideSecrets(alphabet(text), [secret])).toBe('[secret]');
      expect(hideSecrets(alphabet(text).replace(/=+$/, ''), [secret])).toBe('[secret]');
    }
});

it('leaves a text readable where a secret is short, or none', () => {
  expect(hideSecrets('not with abc: YWJj', ['abc', ''])).toBe('not with [secret]: YWJj');
  expect(hideSecrets('as it was', [''])).toBe('as it was');
});

it('takes half a character for what it is', () => {
  expect(hideSecrets('not with abc\ud800', ['abc\ud800'])).toBe('not with [secret]');
});
