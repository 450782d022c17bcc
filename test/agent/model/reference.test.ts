import { describe, expect, it } from 'vitest';
import {
  canonical,
  familiar,
  familiarName,
  parseReference,
  parseTarget,
  withDefaultTag,
} from '../../../agent/model/reference.ts';

const HEX = 'a'.repeat(64);

/** What is typed; in full; as docker shows it. After distribution/reference, normalize_test.go and reference_test.go. */
const valid = [
  ['web', 'docker.io/library/web:latest', 'web:latest'],
  ['web:1.0', 'docker.io/library/web:1.0', 'web:1.0'],
  ['library/web', 'docker.io/library/web:latest', 'web:latest'],
  ['docker.io/web', 'docker.io/library/web:latest', 'web:latest'],
  ['index.docker.io/web', 'docker.io/library/web:latest', 'web:latest'],
  ['docker.io/library/web:1', 'docker.io/library/web:1', 'web:1'],
  ['team/web', 'docker.io/team/web:latest', 'team/web:latest'],
  ['library/team/web', 'docker.io/library/team/web:latest', 'library/team/web:latest'],
  ['localhost/web', 'localhost/web:latest', 'localhost/web:latest'],
  ['localhost:5000/web', 'localhost:5000/web:latest', 'localhost:5000/web:latest'],
  ['host:5000/web', 'host:5000/web:latest', 'host:5000/web:latest'],
  ['registry.example/a/b/c:v1', 'registry.example/a/b/c:v1', 'registry.example/a/b/c:v1'],
  ['127.0.0.1:5000/web', '127.0.0.1:5000/web:latest', '127.0.0.1:5000/web:latest'],
  ['[::1]:5000/web', '[::1]:5000/web:latest', '[::1]:5000/web:latest'],
  ['Host/web', 'Host/web:latest', 'Host/web:latest'],
  ['a_b/c__d/e-f--g.h', 'docker.io/a_b/c__d/e-f--g.h:latest', 'a_b/c__d/e-f--g.h:latest'],
  ['web:UPPER_1.x-y', 'docker.io/library/web:UPPER_1.x-y', 'web:UPPER_1.x-y'],
  [`web:${'t'.repeat(128)}`, `docker.io/library/web:${'t'.repeat(128)}`, `web:${'t'.repeat(128)}`],
  [`web@sha256:${HEX}`, `docker.io/library/web@sha256:${HEX}`, `web@sha256:${HEX}`],
  [`web:1@sha256:${HEX}`, `docker.io/library/web:1@sha256:${HEX}`, `web:1@sha256:${HEX}`],
  ['my.team_x/web', 'my.team_x/web:latest', 'my.team_x/web:latest'],
  ['a.b__c/d:1', 'a.b__c/d:1', 'a.b__c/d:1'],
  [HEX.slice(1), `docker.io/library/${HEX.slice(1)}:latest`, `${HEX.slice(1)}:latest`],
] as const;

const invalid = [
  '',
  ' ',
  'Web',
  'team/Web',
  'web:',
  'web:-x',
  'web:.x',
  `web:${'t'.repeat(129)}`,
  'web:1:2',
  'web@sha256:abc',
  `web@md5:${HEX}`,
  `web@sha256:${'A'.repeat(64)}`,
  '/web',
  'web/',
  'a//b',
  'a..b',
  'a___b',
  '-web',
  'web-',
  '_web',
  'we b',
  'web\n',
  '\nweb',
  'web:1\n',
  'web\u0000',
  'web\u001b[2J',
  'web\u202e',
  'wéb',
  '../web',
  './web',
  'web?x=1',
  'web#1',
  'http://host/web',
  '[abc]/web',
  'my_host:5000/web',
  'My_team/web',
  'my.team_/web',
  'sha256:',
  HEX,
  `a/${'b'.repeat(254)}`,
  `${'a.'.repeat(63)}a/${'b'.repeat(255)}:${'t'.repeat(20)}`,
];

describe('a reference', () => {
  it.each(valid)('%s', (text, full, shown) => {
    const reference = parseReference(text);
    if (!reference) throw new Error('no reference');
    expect(canonical(withDefaultTag(reference))).toBe(full);
    expect(familiar(withDefaultTag(reference))).toBe(shown);
    expect(parseReference(shown)).toEqual(withDefaultTag(reference));
    expect(parseReference(full)).toEqual(withDefaultTag(reference));
  });

  it.each(invalid.map((text) => [JSON.stringify(text), text] as const))('is not %s', (_shown, text) => {
    expect(parseReference(text)).toBeUndefined();
  });

  it('keeps what was not said apart from the default', () => {
    expect(parseReference('web')).toEqual({
      domain: 'docker.io',
      path: 'library/web',
      tag: undefined,
      digest: undefined,
    });
  });

  it('has a repository as docker shows it', () => {
    const shown = ['web:1', 'team/web', 'host:5000/web:1'].map((text) => {
      const reference = parseReference(text);
      return reference && familiarName(reference);
    });
    expect(shown).toEqual(['web', 'team/web', 'host:5000/web']);
  });

  it.each([
    ['docker.io/localhost/web:1', 'localhost/web:1'],
    ['docker.io/host.example/web:1', 'host.example/web:1'],
    [`docker.io/library/${HEX}`, HEX],
  ])('is shown whole where the short form would be another one: %s', (text, short) => {
    const reference = parseReference(text);
    expect(reference && familiar(reference)).toBe(text);
    expect(parseReference(short)).not.toEqual(reference);
  });

  it('counts the library that is not said', () => {
    const name = 'b'.repeat(255 - 'library/'.length);
    expect(parseReference(name)).toBeDefined();
    expect(parseReference(`${name}b`)).toBeUndefined();
  });

  it('may have a path of 255 characters, and no longer one', () => {
    const path = 'b'.repeat(255 - 'a/'.length);
    expect(parseReference(`a/${path}:tag`)).toBeDefined();
    expect(parseReference(`a/${path}b:tag`)).toBeUndefined();
  });

  it('may be 384 characters long as docker shows it', () => {
    const host = `${'h'.repeat(50)}.example`;
    const tag = 't'.repeat(384 - `${host}/:`.length - 255);
    expect(parseReference(`${host}/${'b'.repeat(255)}:${tag}`)).toBeDefined();
    expect(parseReference(`${host}/${'b'.repeat(255)}:${tag}t`)).toBeUndefined();
  });
});

describe('a target name', () => {
  it('is latest when it does not say', () => {
    expect(parseTarget('web', '--as').tag).toBe('latest');
  });

  it.each(['Web', `web@sha256:${HEX}`, '', 'a b'])('is not %j', (text) => {
    const message = `--as ${JSON.stringify(text)} is not NAME or NAME:TAG`;
    expect(() => parseTarget(text, '--as')).toThrow(expect.objectContaining({ code: 'usage', message }));
  });
});
