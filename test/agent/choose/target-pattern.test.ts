import { expect, it } from 'vitest';
import { matchesTarget, parseTargetPattern } from '../../../agent/choose/target-pattern.ts';

const LONG = 'a'.repeat(1_001);

it.each([
  // Without a tag: every tag.
  ['web', ['web:1.0', 'web:latest', 'docker.io/library/web:1.0', 'index.docker.io/library/web:2'], true],
  ['web', ['webs:1', 'team/web:1', 'evil.example/web:1', 'localhost/web:1'], false],
  ['web:1.0', ['web:1.0', 'docker.io/web:1.0', 'docker.io/library/web:1.0'], true],
  ['web:1.0', ['web:1.0.1', 'web:latest', 'web2:1.0'], false],
  ['web:1.*', ['web:1.0', 'web:1.'], true],
  ['web:1.*', ['web:2.0', 'web:10'], false],
  ['db:15,16*', ['db:15', 'db:16', 'db:16-alpine'], true],
  ['db:15,16*', ['db:15.1', 'db:17'], false],
  ['web:[0-9]?', ['web:10', 'web:1a'], true],
  ['web:[0-9]?', ['web:1', 'web:x1', 'web:100'], false],
  // A wildcard stands for slashes, too, and for no part of a registry.
  ['team/*', ['team/web:1', 'team/a/b:1', 'docker.io/team/web:1'], true],
  [
    'team/*',
    ['evil.example/team/web:1', 'team.example/web:1', 'team:5000/web:1', 'localhost/team/x:1'],
    false,
  ],
  ['*', ['web:1', 'team/web:1', 'docker.io/library/web:1', 'docker.io/a/b/c:1'], true],
  [
    '*',
    ['registry.example/web:1', 'localhost/web:1', 'r:5000/web:1', '[::1]:5000/web:1', 'Upper/web:1'],
    false,
  ],
  ['*/*', ['team/web:1'], true],
  ['*/*', ['evil.example/web:1', 'localhost/web:1', 'evil:80/team/web:1', 'web:1'], false],
  ['*:1.*', ['web:1.0', 'team/web:1.0'], true],
  ['*:1.*', ['evil.example/web:1.0', 'evil:1.5/web:1.0', 'web:2.0'], false],
  ['reg*/web', ['regs/web:1'], true],
  ['reg*/web', ['reg.example/web:1', 'reg:5000/web:1', 'regs.example/x/web:1'], false],
  ['registry.example/*', ['registry.example/web:1', 'registry.example/team/web:1'], true],
  [
    'registry.example/*',
    ['web:1', 'registry.example:5000/web:1', 'registry.example.evil/web:1', 'xregistry.example/web:1'],
    false,
  ],
  ['registryxexample/*', ['registryxexample/web:1'], true],
  ['registry.example/*', ['registryxexample/web:1', 'Registry.example/web:1'], false],
  ['registry.example:5000/team/*:1', ['registry.example:5000/team/web:1'], true],
  ['registry.example:5000/team/*:1', ['registry.example/team/web:1', 'registry.example:5000/web:1'], false],
  ['[::1]:5000/*', ['[::1]:5000/web:1'], true],
  ['[::1]:5000/*', ['[::2]:5000/web:1', 'web:1'], false],
  // What can be no host is a part of the path.
  ['my.team_x/*', ['my.team_x/web:1', 'my.team_x/a/b:1'], true],
  ['my.team_x/*', ['my.team/x/web:1', 'docker.io/my/web:1', 'web:1'], false],
  ['localhost/*', ['localhost/web:1'], true],
  ['localhost/*', ['localhost:5000/web:1', 'web:1'], false],
  ['[abc]/web', ['a/web:1', 'docker.io/b/web:1'], true],
  // What docker leaves out may be written.
  ['docker.io/library/*', ['web:1', 'docker.io/library/web:1'], true],
  ['docker.io/library/*', ['team/web:1', 'evil.example/library/web:1'], false],
  ['library/web', ['web:1'], true],
  ['docker.io/*', ['web:1', 'team/web:1'], true],
  ['docker.io/*', ['evil.example/docker.io/web:1'], false],
  ['index.docker.io/web', ['web:1'], true],
  // No wildcard stands for it.
  ['l*', ['lynx:1', 'lab/web:1'], true],
  ['l*', ['web:1', 'docker.io/library/web:1'], false],
  ['docker.io/lib*', ['web:1'], false],
] as const)('the pattern %s on %j: %s', (pattern, names, accepted) => {
  const parsed = parseTargetPattern(pattern, '--accept');
  for (const name of names) expect([name, matchesTarget(parsed, name)]).toEqual([name, accepted]);
});

it.each([
  ['', 'it is empty'],
  [LONG, 'it is longer than 1000 characters'],
  ['*.example/web', '*.example is a registry, which has to be written out'],
  ['registry.*/team/*', 'registry.* is a registry, which has to be written out'],
  ['reg?:5000/web', 'reg?:5000 is a registry, which has to be written out'],
  ['reg[a.b]/web', 'reg[a.b] is a registry, which has to be written out'],
  ['web:/^1/', 'it does not take a regular expression for the tag'],
  [`web@sha256:${'ab'.repeat(32)}`, 'no NAME or NAME:TAG matches it'],
  ['web:', 'no NAME or NAME:TAG matches it'],
  ['web:1,', 'no NAME or NAME:TAG matches it'],
  ['Web', 'no NAME or NAME:TAG matches it'],
  ['registry.example/', 'no NAME or NAME:TAG matches it'],
  ['we b', 'no NAME or NAME:TAG matches it'],
  ['web[z-a]', '[z-a] is not a range'],
])('%s is refused: %s', (pattern, why) => {
  const shown = JSON.stringify(pattern === LONG ? `${LONG.slice(0, 100)}…` : pattern);
  expect(() => parseTargetPattern(pattern, '--accept')).toThrow(
    expect.objectContaining({ code: 'usage', message: `--accept ${shown}: ${why}` }),
  );
});

it('is about no name without a tag, or with a digest, or that is none', () => {
  const all = parseTargetPattern('*', '--accept');
  for (const name of [
    'web',
    `web@sha256:${'ab'.repeat(32)}`,
    `web:1@sha256:${'ab'.repeat(32)}`,
    'we b:1',
    '',
  ])
    expect([name, matchesTarget(all, name)]).toEqual([name, false]);
});
