import { describe, expect, it, test } from 'vitest';
import { PushPattern } from '../../../agent/push/pattern.ts';
import { isNear, PushRules } from '../../../agent/push/policy.ts';
import { parseTarget } from '../../../agent/reference.ts';
import { parseRetag, Renaming } from '../../../agent/rename.ts';

const matches = (pattern: string, name: string) =>
  new PushPattern(pattern, '--push').matches(parseTarget(name, 'the name'));

describe('a pattern', () => {
  test.each([
    ['registry.example/team/*', 'registry.example/team/web:1.0'],
    ['registry.example/team/*', 'registry.example/team/a/b:1.0'],
    ['registry.example/*', 'registry.example/web:1.0'],
    ['registry.example:5000/team/*:1.*', 'registry.example:5000/team/web:1.9'],
    ['registry.example/team/web', 'registry.example/team/web:2'],
    ['127.0.0.1:5000/*', '127.0.0.1:5000/web:1'],
    ['localhost/*', 'localhost/web:1'],
    ['[::1]:5000/*', '[::1]:5000/web:1'],
    ['team/*', 'team/web:1'],
    ['team/*', 'docker.io/team/web:1'],
    ['docker.io/team/*', 'team/web:1'],
    ['index.docker.io/team/*', 'team/web:1'],
    ['web', 'web:1'],
    ['library/*', 'web:1'],
    ['*', 'team/web:1'],
    ['*', 'web:1'],
  ])('%s allows %s', (pattern, name) => {
    expect(matches(pattern, name)).toBe(true);
  });

  test.each([
    ['registry.example/team/*', 'registry.example/teams/web:1.0'],
    ['registry.example/team/*', 'registry.example:443/team/web:1.0'],
    ['registry.example/team/*', 'evil.example/team/web:1.0'],
    ['registry.example/team/*', 'team/web:1.0'],
    ['registry.example:5000/team/*:1.*', 'registry.example:5000/team/web:2.0'],
    ['*', 'registry.example/web:1'],
    ['*', '127.0.0.1:5000/web:1'],
    ['team/*', 'registry.example/team/web:1'],
    ['team/*', 'web:1'],
    ['*/web', 'registry.example/web:1'],
    ['library/*', 'team/web:1'],
    ['web', 'web2:1'],
  ])('%s does not allow %s', (pattern, name) => {
    expect(matches(pattern, name)).toBe(false);
  });

  test.each([
    ['*.example/team/*', /spelled out/],
    ['registry.*/team/*', /spelled out/],
    ['registry.example:*/team', /spelled out/],
    ['regist?y.example/team/*', /spelled out/],
    ['[a-z].example/team/*', /spelled out/],
    ['', /empty/],
    ['x'.repeat(5_000), /longer than/],
    ['registry.example/', /no image can be called so/],
    ['registry.example/Team/*', /no image can be called so/],
    ['https://registry.example/team/*', /no image can be called so/],
    ['registry.example/team/[c-a]', /no range/],
  ])('%s is refused, with what is wrong', (pattern, why) => {
    expect(() => new PushPattern(pattern, '--push')).toThrow(why);
    expect(() => new PushPattern(pattern, '--push')).toThrow(
      expect.objectContaining({ code: 'usage', hint: expect.stringContaining("--push 'registry.example") }),
    );
  });
});

test.each([
  ['127.0.0.1:5000', true],
  ['10.1.2.3', true],
  ['169.254.169.254', true],
  ['8.8.8.8', true],
  ['127.1', true],
  ['0x7f.1:80', true],
  ['017700000001.1', true],
  ['[::1]:5000', true],
  ['[fe80::1]', true],
  ['localhost', true],
  ['localhost:5000', true],
  ['LOCALHOST:5000', true],
  ['a.localhost:5000', true],
  ['registry:5000', true],
  ['registry.example', false],
  ['registry.example:5000', false],
  ['10.example', false],
])('%s is near: %s', (domain, near) => {
  expect(isNear(domain)).toBe(near);
});

describe('without a pattern', () => {
  const rules = (retag: readonly string[], registry?: string) =>
    new PushRules(
      [],
      new Renaming({ retag: retag.map(parseRetag), keepNames: true, ...(registry && { registry }) }),
      false,
    );
  const named = (offered: string, target: string) => ({ source: offered, offered, target });

  it('what --registry makes is pushed, and the old name that is kept is not', () => {
    const policy = rules([], 'registry.example');
    expect(policy.allows(named('web:1', 'registry.example/web:1'))).toBe(true);
    expect(policy.allows(named('web:1', 'web:1'))).toBe(false);
    expect(policy.allows(named('evil.example/web:1', 'evil.example/web:1'))).toBe(false);
    expect(policy.allows({ source: 'web:1', target: 'registry.example/web:1' })).toBe(false);
  });

  it('what a rule of --retag makes is pushed, where the rule spells out the registry', () => {
    const policy = rules(['mirror/*=registry.example/*', 'free/*=*']);
    expect(policy.allows(named('mirror/web:1', 'registry.example/web:1'))).toBe(true);
    // The sender has chosen all of this name, its registry included.
    expect(policy.allows(named('free/evil.example/web:1', 'evil.example/web:1'))).toBe(false);
    expect(policy.allows(named('free/registry.example/web:1', 'registry.example/web:1'))).toBe(false);
    // No rule is about it.
    expect(policy.allows(named('registry.example/web:1', 'registry.example/web:1'))).toBe(false);
  });

  it('an address is pushed to only where a pattern names it', () => {
    expect(rules([], '127.0.0.1:5000').allows(named('web:1', '127.0.0.1:5000/web:1'))).toBe(false);
    const pattern = new PushPattern('127.0.0.1:5000/*', '--push');
    const policy = new PushRules([pattern], new Renaming({ retag: [], keepNames: false }), false);
    expect(policy.allows({ source: 'web:1', target: '127.0.0.1:5000/web:1' })).toBe(true);
  });

  it('a pattern takes the place of what the rules make', () => {
    const renaming = new Renaming({ retag: [], registry: 'registry.example', keepNames: false });
    const policy = new PushRules([new PushPattern('other.example/*', '--push')], renaming, false);
    expect(policy.allows(named('web:1', 'registry.example/web:1'))).toBe(false);
  });
});
