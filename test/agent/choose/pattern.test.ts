import { describe, expect, it } from 'vitest';
import { parsePatterns } from '../../../agent/choose/pattern.ts';
import { cpuTimeMs } from '../../cpu-time.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

/** Whether any of what `text` means is about `name`. */
function fits(text: string, name: string): boolean {
  return parsePatterns(text).some((pattern) =>
    pattern.kind === 'names' ? pattern.matches(name) : pattern.text === name,
  );
}

describe('a pattern', () => {
  it.each([
    ['team/*', 'team/web:1.0', true],
    ['team/*', 'team/deep/er/web:1.0', true],
    ['team/*', 'steam/web:1.0', false],
    ['team/*', 'reg.example/team/web:1.0', false],
    ['*/team/*', 'reg.example:5000/team/web:1.0', true],
    ['*', 'reg.example:5000/team/web:1.0', true],
    ['web*', 'web:1.0', true],
    ['*:1.*', 'web:1.0', true],
    ['*:1.*', 'web:21.0', false],
    ['*:1.*', 'reg.example:5000/web:1.2', true],
    ['web:*', 'web:latest', true],
    ['web:*', 'team/web:latest', false],
    ['web:v?', 'web:v1', true],
    ['web:v?', 'web:v12', false],
    ['web:v[1-3]', 'web:v2', true],
    ['web:v[1-3]', 'web:v4', false],
    ['web:v[!1-3]', 'web:v4', true],
    ['web:v[^1-3]', 'web:v2', false],
    ['web:v[13-]*', 'web:v-x', true],
    ['web:v[*', 'web:v[x', true],
    ['w.b*', 'wob:1', false],
    ['w(b|x)*', 'wb:1', false],
    // A registry's port is no tag, and a tag no part of a repository.
    ['*:5*', 'reg.example:5000/web:1', false],
    ['*:5*', 'reg.example:6000/web:5.1', true],
    ['*:5000/*', 'reg.example:5000/web:1', true],
    ['reg.example:5000/*:1', 'reg.example:5000/a/b:1', true],
    ['*1', 'web:1', false],
    ['[::1]:5000/*', '[::1]:5000/web:1', true],
    ['[::1]:5000/*', '1:5000/web:1', false],
    ['[fe80::1]/web:*', '[fe80::1]/web:1', true],
    // As docker shows it, unless the pattern says where docker has its own from.
    ['d*', 'web:1', false],
    ['*docker*', 'web:1', false],
    ['lib*', 'web:1', false],
    ['*/*', 'web:1', false],
    ['docker.io/*', 'web:1', true],
    ['docker.io/*', 'team/web:1', true],
    ['docker.io/*', 'reg.example/web:1', false],
    ['docker.io/library/*', 'web:1', true],
    ['docker.io/library/*', 'team/web:1', false],
    ['docker.io/w*', 'web:1', true],
    ['index.docker.io/team/*', 'team/web:1', true],
    ['library/*', 'web:1', true],
    ['library/*', 'team/web:1', false],
  ])('%s on %s: %s', (text, name, want) => {
    expect(fits(text, name)).toBe(want);
  });

  it.each([
    ['web:/^v1\\./', 'web:v1.2', true],
    ['web:/^v1\\./', 'web:v10', false],
    ['web:/1/', 'web:v1', true],
    ['web:/^v1\\./', 'team/web:v1.2', false],
    ['*/web:/^v1/', 'team/web:v1.2', true],
    ['reg.example:5000/web:/^1$/', 'reg.example:5000/web:1', true],
    ['docker.io/library/web:/1/', 'web:1', true],
    ['web:/a,b/', 'web:a', false],
    ['web:/x:/y|1/', 'web:1', true],
  ])('%s on %s: %s', (text, name, want) => {
    expect(fits(text, name)).toBe(want);
  });

  it('of several tags is several patterns, and fails each for itself', () => {
    expect(parsePatterns('reg.example:5000/web:1.0,1.1')).toEqual([
      { kind: 'exact', text: 'reg.example:5000/web:1.0' },
      { kind: 'exact', text: 'reg.example:5000/web:1.1' },
    ]);
    expect(parsePatterns('web:1.0,2.*').map(({ kind }) => kind)).toEqual(['exact', 'names']);
  });

  it.each([
    'web',
    'web:1.0',
    'team/web:1.0',
    'reg.example:5000/web',
    '[::1]:5000/web:1',
    `web@${DIGEST}`,
    DIGEST,
    '4f5c8ab5e3b1',
    'no name at all',
    'web:v[',
  ])('leaves %s as it is to whoever looks for it', (text) => {
    expect(parsePatterns(text)).toEqual([{ kind: 'exact', text }]);
  });

  it.each([
    ['', 'it is empty'],
    ['a'.repeat(1_001), 'it is longer than 1000 characters'],
    [
      'team/*, db:16',
      'it has a space behind a comma; several images are several arguments, or a list: ["team/*", "db:16"]',
    ],
    ['web:a,,b', 'a tag between two commas is empty'],
    ['web:,a', 'a tag between two commas is empty'],
    ['web:/(/', 'Unterminated group'],
    ['web:[c-a]', '[c-a] is not a range'],
    ['[c-a]*:/1/', '[c-a] is not a range'],
  ])('%s is refused: %s', (text, why) => {
    expect(() => parsePatterns(text)).toThrow(why);
    expect(() => parsePatterns(text)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it('takes its time with the length, however many * it has', async () => {
    const name = `${'a'.repeat(200)}/${'a'.repeat(54)}:${'a'.repeat(128)}`;
    const ms = await cpuTimeMs(() => {
      expect(fits(`${'*a'.repeat(100)}*b`, name)).toBe(false);
      expect(fits(`${'*a'.repeat(60)}*b:${'*a'.repeat(60)}*b`, name)).toBe(false);
      expect(fits(`${'*'.repeat(500)}:${'*'.repeat(499)}`, name)).toBe(true);
    });
    expect(ms).toBeLessThan(2_000);
  });
});
