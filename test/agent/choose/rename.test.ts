import { describe, expect, it } from 'vitest';
import { parseRetag, Renaming } from '../../../agent/choose/rename.ts';
import { cpuTimeMs } from '../../cpu-time.ts';

const rules = (...texts: readonly string[]) =>
  new Renaming({ retag: texts.map(parseRetag), keepNames: false });
const registry = (host: string, project?: string) =>
  new Renaming({ retag: [], registry: host, ...(project !== undefined && { project }), keepNames: false });

describe('--retag', () => {
  it.each([
    ['web:1.0=team/web:2.0', 'web:1.0', 'team/web:2.0'],
    ['web:1.0=team/web', 'web:1.0', 'team/web:1.0'],
    ['web=team/web', 'web:1.0', 'team/web:1.0'],
    ['web=team/web:2', 'web:1.0', 'team/web:2'],
    ['docker.io/library/web=team/web', 'web:1.0', 'team/web:1.0'],
    ['web=team/web', 'other/web:1.0', undefined],
    ['web:1=team/web', 'web:1.0', undefined],
    ['old.reg/*=new.reg/project/*', 'old.reg/a/b/c:1', 'new.reg/project/a/b/c:1'],
    ['old.reg:5000/*=new.reg:5001/p/*', 'old.reg:5000/web:1', 'new.reg:5001/p/web:1'],
    ['old.reg/*=new.reg/*', 'old.reg:5000/web:1', undefined],
    ['*=mirror.example/*', 'web:1', 'mirror.example/web:1'],
    ['docker.io/*=mirror.example/*', 'web:1', 'mirror.example/library/web:1'],
    ['docker.io/*=mirror.example/*', 'team/web:1', 'mirror.example/team/web:1'],
    ['*:latest=*:2026-11', 'team/web:latest', 'team/web:2026-11'],
    ['*:latest=*:2026-11', 'team/web:1', undefined],
    ['team/*-api=new/*/api', 'team/shop-api:1', 'new/shop/api:1'],
    ['*/*:*=new/*-*:v*', 'team/web:1', 'new/team-web:v1'],
    ['web.x=y', 'webax:1', undefined],
    // A registry's port is no tag.
    ['*:5*=x/*:v*', 'reg.example:5000/web:1', undefined],
    ['*:5*=x/*:v*', 'web:5.1', 'x/web:v.1'],
    ['[::1]:5000/*=new.reg/*', '[::1]:5000/a/web:1', 'new.reg/a/web:1'],
    ['web=[::1]:5000/web', 'web:1', '[::1]:5000/web:1'],
    // As docker shows it, unless OLD says where docker has its own from.
    ['d*=x/*', 'web:1', undefined],
    ['*/*=x/*/*', 'web:1', undefined],
    ['docker.io/w*=x/*', 'web:1', 'x/eb:1'],
    ['index.docker.io/library/web=x', 'web:1', 'x:1'],
    ['library/*=x/*', 'web:1', 'x/web:1'],
    ['library/*=x/*', 'team/web:1', undefined],
    ['library/web=x', 'docker.io/library/web:1', 'x:1'],
    ['web=docker.io/library/app', 'web:1', 'app:1'],
    ['a-*-*=*/*', 'a-b-c-d:1', 'b-c/d:1'],
  ])('%s: %s becomes %s', (rule, name, fresh) => {
    expect(rules(rule).apply(name)).toEqual([fresh ?? name]);
  });

  it('takes the first rule that is about the name', () => {
    expect(rules('web:1=a:1', 'web=b', '*=c').apply('web:1')).toEqual(['a:1']);
    expect(rules('web:1=a:1', 'web=b', '*=c').apply('web:2')).toEqual(['b:2']);
    expect(rules('web:1=a:1', 'web=b', '*=c:1').apply('db:2')).toEqual(['c:1']);
  });

  it.each([
    ['web', 'is not OLD=NEW'],
    ['=web', 'is not OLD=NEW'],
    ['web=', 'is not OLD=NEW'],
    ['web=team/*', 'NEW has more * than OLD'],
    ['Bad Name=web', 'is not NAME or NAME:TAG'],
    ['web=Bad Name', 'is not NAME or NAME:TAG'],
    ['web=team/web@sha256:'.padEnd(20 + 64, 'a'), 'is not NAME or NAME:TAG'],
    ['team/*=team/Web-*', 'is not NAME or NAME:TAG'],
    // These would be about nothing.
    ['a/Team/*=x/*', 'is not NAME or NAME:TAG'],
    ['team/*-=x/*', 'is not NAME or NAME:TAG'],
    ['web-?/*=x/*', 'is not NAME or NAME:TAG'],
    [`${'*'.repeat(999)}=x`, 'it is longer than 1000 characters'],
  ])('refuses %s', (rule, why) => {
    expect(() => parseRetag(rule)).toThrow(why);
  });

  it('takes its time with the length, however many * it has', async () => {
    const name = `${'a'.repeat(200)}/${'a'.repeat(50)}:${'a'.repeat(128)}`;
    const ms = await cpuTimeMs(() =>
      expect(rules(`${'*a'.repeat(80)}*b=${'*'.repeat(80)}`).apply(name)).toEqual([name]),
    );
    expect(ms).toBeLessThan(2_000);
  });

  it('says which rule makes no name of which', () => {
    expect(() => rules('*=registry.example/team/*').apply(`${'a/'.repeat(126)}web:1`)).toThrow(
      /^--retag "\*=registry\.example\/team\/\*" turns a\/.* into "registry\.example\/team\/a\/.*", which is not a valid name$/,
    );
    expect(() => rules('*=sha256').apply('web:1')).toThrow('which is not a valid name');
    expect(() => rules('team/*=*/x').apply('team/-web:1')).toThrow('which is not a valid name');
  });
});

describe('--registry and --project', () => {
  it.each([
    ['a/b/c:1', 'reg.example/team/b/c:1'],
    ['b/c:1', 'reg.example/team/b/c:1'],
    ['web:1', 'reg.example/team/web:1'],
    ['docker.io/library/web:1', 'reg.example/team/web:1'],
    ['old.reg:5000/a/b/c:1', 'reg.example/team/b/c:1'],
    ['old.reg/web:1', 'reg.example/team/web:1'],
    ['localhost:5000/web:1', 'reg.example/team/web:1'],
    ['[::1]:5000/deep/er/web:1', 'reg.example/team/er/web:1'],
  ])('%s becomes %s', (name, fresh) => {
    expect(registry('reg.example', 'team').apply(name)).toEqual([fresh]);
  });

  it('does without a project, takes a deep one, and a port', () => {
    expect(registry('reg.example').apply('a/b/c:1')).toEqual(['reg.example/b/c:1']);
    expect(registry('reg.example:5000', 'x/y').apply('web:1')).toEqual(['reg.example:5000/x/y/web:1']);
    expect(registry('[::1]:5000', 'x').apply('web:1')).toEqual(['[::1]:5000/x/web:1']);
    expect(registry('localhost').apply('web:1')).toEqual(['localhost/web:1']);
  });

  it('takes the one that docker does not show', () => {
    expect(registry('docker.io', 'me').apply('reg.example/a/b/c:1')).toEqual(['me/b/c:1']);
    expect(registry('docker.io').apply('reg.example/web:1')).toEqual(['web:1']);
  });

  it('is for what no rule names', () => {
    const both = new Renaming({
      retag: [parseRetag('web=other.example/web')],
      registry: 'reg.example',
      keepNames: false,
    });
    expect([...both.apply('web:1'), ...both.apply('db:1')]).toEqual([
      'other.example/web:1',
      'reg.example/db:1',
    ]);
  });

  it.each([
    [undefined, 'team', '--project needs --registry'],
    ['reg/team', undefined, 'is not HOST or HOST:PORT'],
    ['reg', undefined, 'is not HOST or HOST:PORT'],
    ['https://reg.example', undefined, 'is not HOST or HOST:PORT'],
    ['reg.example:', undefined, 'is not HOST or HOST:PORT'],
    ['reg.example', 'Team', 'cannot be a part of an image name'],
    ['reg.example', 'a//b', 'cannot be a part of an image name'],
    ['reg.example', '/a', 'cannot be a part of an image name'],
    ['reg.example', 'a:1', 'cannot be a part of an image name'],
  ])('refuses %s with %s', (host, project, why) => {
    expect(
      () =>
        new Renaming({
          retag: [],
          keepNames: false,
          ...(host !== undefined && { registry: host }),
          ...(project !== undefined && { project }),
        }),
    ).toThrow(why);
  });
});

it('keeps the old names besides with --keep-names', () => {
  const keeping = new Renaming({ retag: [parseRetag('web=team/web')], keepNames: true });
  expect(keeping.apply('web:1')).toEqual(['team/web:1', 'web:1']);
  expect(keeping.apply('db:1')).toEqual(['db:1']);
});

it('tells rules that renamed nothing', () => {
  const some = rules('web=a/web', 'w*=b/*', 'db=c/db');
  some.apply('web:1');
  expect(some.warnings()).toEqual(['--retag w*=b/* renames nothing', '--retag db=c/db renames nothing']);
});
