/** What real engines take for the name of an image, and how they show it, beside what reference.ts says of it. */
import { once } from 'node:events';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { canonical, familiar, parseReference, withDefaultTag } from '../../agent/model/reference.ts';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { expectEnd } from './scene.ts';

const HEX = 'a'.repeat(64);
const LONG = `a/${'b'.repeat(244)}`;

type Flavour = '20' | '28';

const REPOSITORIES = [
  ...['web', 'library/web', 'docker.io/web', 'docker.io/library/web', 'index.docker.io/web', 'team/web'],
  ...['library/team/web', 'docker.io/team/web', 'localhost/web', 'localhost:5000/web', 'host:5000/web'],
  ...['registry.example/a/b/c', '127.0.0.1:5000/web', 'Host/web', 'HOST.example/web', 'a_b/c__d/e-f--g.h'],
  // Before the first slash: no host, and so a part of the path.
  ...['my.team_x/web', 'a.b__c/d', 'a.b_c/d/e', 'my_team.x/web', 'x-.y/web', 'a.-b/c', 'a.b-/c'],
  ...['my_host:5000/web', 'My_team/web', 'my.team_/web', '[abc]/web', 'a..b/web', '.a/web', 'a./web'],
  ...['host:/web', 'host:x/web', ':5000/web', 'host:99999/web', '-a.b/web', 'a-.b/web'],
  ...[
    'Web',
    'team/Web',
    'a//b',
    'a..b',
    'a.b',
    'a___b',
    'a__b',
    'a_b',
    'a-_b',
    'a---b',
    '-web',
    'web-',
    '_web',
  ],
  ...[
    'web_',
    'we b',
    'wéb',
    '../web',
    './web',
    'web?x=1',
    'web#1',
    '/web',
    'web/',
    'localhost',
    'localhost/',
  ],
  ...[HEX, HEX.slice(1), `team/${HEX}`, `sha256/${HEX}`, 'sha256', '1', '0.0.0.0/web', '1.2/3.4'],
  ...[`a/${'b'.repeat(243)}`, LONG, `a/${'b'.repeat(253)}`, `a/${'b'.repeat(254)}`, `r.example/${LONG}`],
];

/** What we take for a name, and this engine does not: it refuses to give that name, with words, and no other. */
const REFUSED: Readonly<Record<Flavour, readonly string[]>> = {
  // It counts the host along, docker.io as well, and takes no name of one word in capitals for a host.
  '20': ['Host/web', LONG, `a/${'b'.repeat(253)}`, `r.example/${LONG}`, HEX, 'sha256'],
  // An id, and what would stand before one.
  '28': [HEX, 'sha256'],
};

const TAGS = ['1.0', '_x', 'UPPER_1.x-y', '-x', '.x', 'a b', 'a/b', 't'.repeat(128), 't'.repeat(129), 'é'];

/** Behind a name; true for those that docker takes and we do not. */
const DIGESTS: readonly (readonly [digest: string, differs?: boolean])[] = [
  [`@sha256:${HEX}`],
  [`:1@sha256:${HEX}`],
  [`@sha512:${HEX}${HEX}`, true],
  [`@sha512:${HEX}`],
  [`@sha256:${HEX.toUpperCase()}`],
  [`@sha256:${HEX.slice(1)}`],
  [`@sha256:${HEX}0`],
  [`@sha256:${HEX}:1`],
  [`@SHA256:${HEX}`],
  [`@${HEX}`],
  [`@md5:${'a'.repeat(32)}`],
  ['@sha256:'],
  ['@'],
  [`@sha256:${HEX}@sha256:${HEX}`],
];

for (const flavour of ['20', '28'] satisfies readonly Flavour[]) {
  describeOn(
    `names of images, ${flavour}`,
    [await engineSupport(flavour)],
    () => {
      let engine: Engine;
      let image: LoadedImage;

      beforeAll(async () => {
        engine = await startEngine({ flavour });
        image = await loadImage(engine, { name: 'first:1', layers: [{ a: 'a' }] });
      });
      afterAll(() => engine?.[Symbol.asyncDispose]());

      async function ask(method: string, path: string): Promise<number> {
        const asked = request({ socketPath: engine.socketPath, method, path }).end();
        const [response] = await once(asked, 'response');
        await text(response);
        return response.statusCode;
      }

      /** How the engine shows the image under this name; undefined where it takes none such. */
      async function shown(repository: string, tag: string): Promise<string | undefined> {
        const query = `repo=${encodeURIComponent(repository)}&tag=${encodeURIComponent(tag)}`;
        const status = await ask('POST', `/images/${image.id}/tag?${query}`);
        if (status !== 201) return undefined;
        const tags = await engine.docker(['image', 'inspect', '--format', '{{json .RepoTags}}', image.id]);
        const name = (JSON.parse(tags) as string[]).find((one) => one !== 'first:1');
        if (name !== undefined) await ask('DELETE', `/images/${name}?noprune=1`);
        return name;
      }

      const ours = (name: string) => {
        const reference = parseReference(name);
        return reference && familiar(withDefaultTag(reference));
      };

      it.each(REPOSITORIES)('%s', async (repository) => {
        const name = ours(`${repository}:1`);
        if (REFUSED[flavour].includes(repository)) expect(name).toBeDefined();
        expect(await shown(repository, '1')).toBe(REFUSED[flavour].includes(repository) ? undefined : name);
      });

      it.each(TAGS)('a tag %s', async (tag) => {
        expect(ours(`web:${tag}`)).toBe(await shown('web', tag));
      });

      it.each(['my.team_x/web:1', 'a_b/c__d/e-f--g.h:1'])('%s is found under its name', async (name) => {
        await engine.docker(['tag', image.id, name]);
        await using imgmv = runImgmv(['ls', name, '--json', '--docker-host', engine.dockerHost]);
        await expectEnd(imgmv, 0, new RegExp(`"names":\\[[^\\]]*${JSON.stringify(name)}`));
        await engine.docker(['image', 'rm', '--no-prune', name]);
      });

      it.each(DIGESTS)('whether web%s is a name', async (digest, differs) => {
        // For what is no name it says so; what is one is not there.
        const isName = (await ask('GET', `/images/${encodeURIComponent(`web${digest}`)}/json`)) === 404;
        expect(parseReference(`web${digest}`) !== undefined).toBe(differs ? !isName : isName);
      });

      // An engine before 25 counts registry and path together, and has no name that long.
      it.runIf(flavour === '28')('one that is too long is told, and nothing else of the image', async () => {
        const name = `r.example/${'b'.repeat(250)}:${'t'.repeat(128)}`;
        await engine.docker(['tag', image.id, name]);
        await using all = runImgmv(['ls', '--json', '--docker-host', engine.dockerHost]);
        await expectEnd(all, 0, /"event":"warning".*the name that begins .*389 characters/);
        expect(all.stdout).toContain('"first:1"');
        await using one = runImgmv(['ls', name, '--docker-host', engine.dockerHost]);
        await expectEnd(one, 2, /389 characters, and is not moved(?:.|\n)*--as NAME/);
        await engine.docker(['image', 'rm', '--no-prune', name]);
      });
    },
    { required: flavour === '20' },
  );
}

it('a name of no registry is the same in full', () => {
  const reference = parseReference('my.team_x/web:1');
  expect(reference && [canonical(reference), familiar(reference)]).toEqual([
    'my.team_x/web:1',
    'my.team_x/web:1',
  ]);
});
