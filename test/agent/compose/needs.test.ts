// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what compose files have
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { USES_MAX, WARNINGS_MAX } from '../../../agent/choose/limits.ts';
import { composeImages } from '../../../agent/compose/compose.ts';
import { scratchDirectory } from '../../rig/scratch.ts';

async function read(files: Readonly<Record<string, string>>, env: Readonly<Record<string, string>> = {}) {
  await using scratch = await scratchDirectory();
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(scratch.path, path)), { recursive: true });
    await writeFile(join(scratch.path, path), text);
  }
  return await composeImages(['shop'], { env, cwd: scratch.path, signal: new AbortController().signal });
}

/** As `kind name from (services)`. */
async function needsOf(
  files: Readonly<Record<string, string>> | string,
  env?: Readonly<Record<string, string>>,
) {
  const { needs } = await read(typeof files === 'string' ? { 'shop/compose.yaml': files } : files, env);
  return needs.map(({ kind, name, external, from, services }) =>
    [external ? `external ${kind}` : kind, name, from, `(${services.join(' ')})`].join(' '),
  );
}

describe('what a project needs besides its images', () => {
  it('is named, each once with the services that use it', async () => {
    const yaml = `
services:
  web:
    image: web:1
    env_file: [web.env, {path: more.env, required: false}]
    volumes: ["data:/data:ro", "./html:/html", "/anonymous", {type: bind, source: ~/x, target: /x}, {type: tmpfs, target: /t}]
    secrets: [pw, {source: token}]
    configs: [nginx]
  api:
    build: {context: ./api}
    env_file: web.env
    volumes: [{type: volume, source: data, target: /d}, {type: volume, target: /none}, "C:\\\\a:/a", "kept:/k"]
  job: {build: ./api, image: "job:1"}
volumes:
  data:
  kept: {external: true, name: old_kept}
networks:
  front: {external: true}
  back: {}
  older: {external: {name: legacy}}
secrets:
  pw: {file: ./pw.txt}
  token: {environment: TOKEN}
configs:
  nginx: {external: true}
`;
    expect(await needsOf(yaml)).toEqual([
      'env-file web.env  (web api)',
      'env-file more.env  (web)',
      'volume data shop_data (web api)',
      'bind-mount ./html  (web)',
      'bind-mount ~/x  (web)',
      'external config nginx nginx (web)',
      'secret pw ./pw.txt (web)',
      'secret token $TOKEN (web)',
      'build ./api  (api)',
      'bind-mount C:\\a  (api)',
      'external volume kept old_kept (api)',
      'build ./api  (job)',
      'external network front front ()',
      'external network older legacy ()',
    ]);
  });

  it('is what the files say together, with variables in place', async () => {
    const files = {
      'shop/compose.yaml':
        'include: [more.yaml]\nservices:\n  a:\n    image: a\n    volumes: ["one:/d", "$DIR:/e"]\n    extends: {file: base.yaml, service: base}\n  b: {image: b, volumes: ["b:/b"]}\n',
      'shop/compose.override.yaml':
        'services:\n  a: {volumes: ["two:/d"]}\n  b: {volumes: !reset []}\nvolumes: {two: {name: "${P:-own}"}}\n',
      'shop/more.yaml': 'services: {c: {image: c, env_file: c.env}}\nnetworks: {n: {external: true}}\n',
      'shop/base.yaml': 'services: {base: {image: x, secrets: [s]}}\n',
    };
    expect(await needsOf(files, { DIR: './dir' })).toEqual([
      'env-file c.env  (c)',
      'volume two own (a)',
      'bind-mount ./dir  (a)',
      'secret s  (a)',
      'external network n n ()',
    ]);
  });

  it('says where it stands, and passes over what has no form that compose takes', async () => {
    const { needs } = await read({
      'shop/compose.yaml':
        'services:\n  a:\n    image: a\n    volumes:\n      - x:/x\n      - [y]\n    env_file: {other: 1}\n    secrets: 5\n    configs: null\n',
    });
    expect(needs).toMatchObject([{ name: 'x', file: 'shop/compose.yaml', line: 5 }]);
  });

  it('is bounded, however often one list is named', async () => {
    const list = Array.from({ length: 200 }, (_, at) => `v${at}:/v${at}`).join(', ');
    const services = Array.from({ length: USES_MAX / 200 }, (_, at) => `  s${at}: {image: a, volumes: *v}\n`);
    const yaml = `services:\n  a: {image: a, volumes: &v [${list}]}\n${services.join('')}`;
    await expect(needsOf(yaml)).rejects.toThrow(`services use more than ${USES_MAX} volumes`);
  });
});

describe('variables that are not set', () => {
  const warnings = async (yaml: string, env = {}) =>
    (await read({ 'shop/compose.yaml': yaml }, env)).warnings;

  it('are told of once each, wherever they stand; ones with a default are not', async () => {
    const yaml =
      'x-a: $UNSEEN\nservices:\n  a:\n    image: a\n    command: ["$ONE", "${ONE}", "$SET", "${D:-d}", "$$NO"]\nvolumes: {v: {name: "$TWO"}}\n';
    expect(await warnings(yaml, { SET: '1' })).toEqual(
      [
        ['1', 'UNSEEN'],
        ['5', 'ONE'],
        ['6', 'TWO'],
      ].map(
        ([line, name]) => `shop/compose.yaml:${line}: the variable ${name} is not set and taken as empty`,
      ),
    );
  });

  it('that are required are told of, where no image depends on them', async () => {
    expect(await warnings('services:\n  a:\n    image: a\n    user: "${U:?who}"\n')).toEqual([
      'shop/compose.yaml:4: the variable U is required, but has no value: who',
    ]);
  });

  it('are counted where there are many', async () => {
    const many = Array.from({ length: WARNINGS_MAX + 7 }, (_, at) => `"$V${at}"`).join(', ');
    const told = await warnings(`services: {a: {image: a, command: [${many}]}}\n`);
    expect(told).toHaveLength(WARNINGS_MAX + 1);
    expect(told.at(-1)).toBe('… and 7 more warnings like these');
  });
});
