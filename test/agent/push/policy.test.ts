import { describe, expect, it, test } from 'vitest';
import { parseRetag, Renaming } from '../../../agent/choose/rename.ts';
import { parseTargetPattern } from '../../../agent/choose/target-pattern.ts';
import { isNear, pushRules } from '../../../agent/push/policy.ts';

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
    pushRules(
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

  it('a name of no registry is not pushed, whatever the pattern', () => {
    const pattern = parseTargetPattern('my.team_x/*', '--push');
    const policy = pushRules([pattern], new Renaming({ retag: [], keepNames: false }), true);
    expect(policy.allows({ source: 'web:1', target: 'my.team_x/web:1' })).toBe(false);
  });

  it('an address is pushed to only where a pattern names it', () => {
    expect(rules([], '127.0.0.1:5000').allows(named('web:1', '127.0.0.1:5000/web:1'))).toBe(false);
    const pattern = parseTargetPattern('127.0.0.1:5000/*', '--push');
    const policy = pushRules([pattern], new Renaming({ retag: [], keepNames: false }), false);
    expect(policy.allows({ source: 'web:1', target: '127.0.0.1:5000/web:1' })).toBe(true);
  });

  it('a pattern takes the place of what the rules make', () => {
    const renaming = new Renaming({ retag: [], registry: 'registry.example', keepNames: false });
    const policy = pushRules([parseTargetPattern('other.example/*', '--push')], renaming, false);
    expect(policy.allows(named('web:1', 'registry.example/web:1'))).toBe(false);
  });
});
