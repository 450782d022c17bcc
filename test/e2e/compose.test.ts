/** The images of a compose project, chosen by the whole program out of a real engine. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { runImgmv, toldBy } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { told } from './moved.ts';
import { expectEnd, type Scene, type SendOptions, startScene } from './scene.ts';
import { namesAt } from './server.ts';

/** As a file has it, where a template of this language would look the same. */
const variable = (name: string) => `$${`{${name}}`}`;

describeOn(
  'the images of a compose project',
  [await engineSupport('20')],
  () => {
    let scene: Scene;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
      for (const name of ['web:1.0', 'web:2.0', 'db:16', 'shop-worker:latest', 'shop-cron:latest'])
        await loadImage(scene.source, { name, layers: [{ name }] });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());
    afterEach(async () => {
      const names = await namesAt(scene.target);
      if (names.length > 0) await scene.target.docker(['image', 'rm', '--force', ...names]);
    });

    const at = (name: string) => join(scene.directory, name);
    const write = async (files: Readonly<Record<string, string | readonly string[]>>) => {
      for (const [name, text] of Object.entries(files)) {
        await mkdir(dirname(at(name)), { recursive: true });
        await writeFile(at(name), typeof text === 'string' ? text : `${text.join('\n')}\n`);
      }
    };
    /** What `send --compose` brings to the target. */
    const brought = async (args: readonly string[], options: SendOptions = {}) => {
      await using receiver = await scene.receive();
      await using sender = scene.send(receiver, [...args, '--json'], { cwd: scene.directory, ...options });
      await told(sender, receiver);
      const events = await toldBy(sender);
      const warnings = events.filter(({ event }) => event === 'warning').map(({ message }) => message);
      return { names: await namesAt(scene.target), warnings };
    };
    const refused = (...args: readonly string[]) =>
      runImgmv(
        [
          'send',
          ...args,
          '--to',
          '127.0.0.1:1',
          '--code-file',
          at('no-code'),
          '--docker-host',
          scene.source.dockerHost,
        ],
        { cwd: scene.directory },
      );

    it('are those of a directory, with .env, an override, and what was built by the name that compose gives', async () => {
      await write({
        'shop/compose.yaml': [
          'services:',
          '  web:',
          `    image: web:${variable('WEB')}`,
          '  db: {image: "db:15"}',
          '  worker: {build: .}',
          '  cron: {build: ./cron, profiles: [night]}',
        ],
        'shop/compose.override.yaml': 'services: {db: {image: "db:16"}}\n',
        'shop/.env': 'WEB=1.0\n',
      });
      expect(await brought(['--compose', 'shop'])).toEqual({
        names: ['db:16', 'shop-cron:latest', 'shop-worker:latest', 'web:1.0'],
        warnings: [],
      });
    });

    it('are called as the environment says, which wins over .env, and files are merged', async () => {
      await write({
        'a/one.yaml': [`services: {web: {image: "web:${variable('WEB:-9')}"}, db: {image: "db:15"}}`],
        'a/two.yaml': `services: {db: {image: "db:${variable('DB')}"}}\n`,
        'a/.env': 'WEB=1.0\nDB=16\n',
      });
      const files = ['--compose', 'a/one.yaml', '--compose', 'a/two.yaml'];
      expect((await brought(files, { env: { WEB: '2.0' } })).names).toEqual(['db:16', 'web:2.0']);
    });

    it('are renamed, narrowed and joined by others like any', async () => {
      await write({ 'b/compose.yaml': 'services: {web: {image: "web:1.0"}, db: {image: "db:16"}}\n' });
      const rest = [
        'shop-worker',
        '--except',
        'db:16',
        '--registry',
        'registry.example',
        '--project',
        'ours',
      ];
      expect((await brought(['--compose', 'b', ...rest])).names).toEqual([
        'registry.example/ours/shop-worker:latest',
        'registry.example/ours/web:1.0',
      ]);
    });

    it('are warned about where a variable is not set, in both forms of output', async () => {
      await write({ 'c/compose.yaml': [`services: {web: {image: "web:1.0${variable('SUFFIX')}"}}`] });
      const { names, warnings } = await brought(['--compose', 'c']);
      expect([names, warnings]).toEqual([['web:1.0'], [expect.stringMatching(/SUFFIX/)]]);
      await using receiver = await scene.receive();
      await using sender = scene.send(receiver, ['--compose', 'c'], { cwd: scene.directory });
      await expectEnd(sender, 0, /^warning: .*SUFFIX.*\n/m);
      expect((await receiver.imgmv.exit).code).toBe(0);
    });

    it('come with what compose needs besides, in the plan and in its event, and nothing of it acts', async () => {
      await write({
        'k/compose.yaml': [
          'services:',
          '  web:',
          '    image: web:1.0',
          '    env_file: web.env',
          '    volumes: ["data:/data", "./ht\\u001b[2Jml:/html"]',
          '    command: ["$NOBODY", "$NOBODY"]',
          'volumes: {data: {external: true}}',
          'networks: {front: {external: true}}',
        ],
      });
      await using receiver = await scene.receive();
      const how = { cwd: scene.directory, command: 'plan' } as const;
      await using planner = scene.send(receiver, ['--compose', 'k'], how);
      await expectEnd(planner, 0, /^warning: k\/compose\.yaml:6: the variable NOBODY is not set .*$/m);
      expect(planner.stderr.match(/NOBODY/g)).toHaveLength(1);
      expect(planner.stdout).toContain(`Compose also needs these, which are not moved:
  env file web.env (web)
  external volume data (web)
  bind mount ./ht\\u001b[2Jml (web)
  external network front
To send: `);
      await receiver.imgmv.exit;
      await using again = await scene.receive();
      await using sender = scene.send(again, ['--compose', 'k', '--json'], { cwd: scene.directory });
      expect((await sender.waitFor('plan')).needs).toMatchObject([
        { kind: 'env-file', name: 'web.env', external: false, from: null, services: ['web'], line: 4 },
        { kind: 'volume', name: 'data', external: true, from: 'data' },
        { kind: 'bind-mount', name: './ht\u001b[2Jml' },
        { kind: 'network', name: 'front', external: true, services: [] },
      ]);
      await told(sender, again);
    });

    it('that are not there are told with their service, file and line, and how to get them', async () => {
      await write({
        'd/compose.yaml': [
          'services:',
          '  cache:',
          '    image: redis:7',
          '  api:',
          '    build: .',
          '  web:',
          '    image: web:1.0',
        ],
      });
      await using missing = refused('--compose', 'd');
      await expectEnd(
        missing,
        10,
        /^imgmv: no such image on this host: "redis:7" \(service cache, d\/compose\.yaml:3\), "d-api:latest" \(service api, d\/compose\.yaml:5\)\n {2}`docker compose pull` brings it here, `docker compose build` makes it\n$/m,
      );
      await write({ 'e/compose.yaml': 'services: {web: {image: "web:3.0"}}\n' });
      await using old = refused('--compose', 'e');
      await expectEnd(
        old,
        10,
        /"web:3\.0" \(service web, e\/compose\.yaml:1\)\n {2}did you mean web:[12]\.0, web:[12]\.0\? `docker compose pull` brings it here\n$/,
      );
      await write({ 'e/compose.yaml': ['services:', '  api:', '    build: .'] });
      await using unbuilt = refused('--compose', 'e');
      await expectEnd(
        unbuilt,
        10,
        /"e-api:latest" \(service api, e\/compose\.yaml:3\)\n {2}`docker compose build` makes it\n$/m,
      );
    });

    it.each([
      ['is not there', 'none.yaml', {}, /^imgmv: cannot read none\.yaml: there is no such file\n$/],
      ['is a directory without one', 'empty', { 'empty/x': '' }, /^imgmv: no compose file in empty\n/],
      ['is no YAML', 'f.yaml', { 'f.yaml': 'services: [\n' }, /^imgmv: f\.yaml:\d+/],
      [
        'has no services',
        'g.yaml',
        { 'g.yaml': 'volumes: {}\n' },
        /^imgmv: g\.yaml: not a compose file: .* no services/,
      ],
      [
        'has an image that is none',
        'h.yaml',
        { 'h.yaml': 'services:\n  web:\n    image: "UPPER:1"\n' },
        /^imgmv: h\.yaml:3:.*"UPPER:1" is not an image name/,
      ],
      [
        'wants a variable',
        'i.yaml',
        { 'i.yaml': `services:\n  web:\n    image: "web:${variable('TAG:?set the tag')}"\n` },
        /^imgmv: i\.yaml:3:.*TAG.*set the tag/,
      ],
    ])('a file that %s is refused before anything else', async (_what, name, files, says) => {
      await write(files as Record<string, string>);
      await using imgmv = refused('--compose', name);
      await expectEnd(imgmv, 2, says);
    });

    it('are listed by ls', async () => {
      await write({ 'j/compose.yaml': 'services: {web: {image: "web:1.0"}, db: {image: "db:16"}}\n' });
      await using list = runImgmv(['ls', '--compose', at('j'), '--docker-host', scene.source.dockerHost]);
      await expectEnd(list, 0, /^web:1\.0 /m);
      expect(list.stdout).toMatch(/^db:16 /m);
      expect(list.stdout).not.toMatch(/shop|web:2/);
    });
  },
  { required: true },
);
