/** From one engine to another that this host reaches, with nobody else: missing layers only. */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { run } from '../rig/command.ts';
import { type Engine, engineSupport, type Flavour, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { type JsonEvent, runImgmv } from '../rig/imgmv.ts';
import { busyboxLayer } from '../rig/layers.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { expectRuns, inspect } from './moved.ts';
import { expectEnd, holdings } from './scene.ts';

const MIB = 2 ** 20;
const PAIRS: readonly (readonly [Flavour, Flavour])[] = [
  ['20', '28c'],
  ['28c', '20'],
];

for (const [older, newer] of PAIRS)
  describeOn(
    `copy from ${older} to ${newer}`,
    [await engineSupport(older), await engineSupport(newer)],
    () => {
      let source: Engine;
      let target: Engine;
      let directory: ScratchDirectory;
      let web: LoadedImage;
      let env: Record<string, string>;

      beforeAll(async () => {
        directory = await scratchDirectory();
        env = { DOCKER_CONFIG: directory.path };
        [source, target] = await Promise.all([
          startEngine({ flavour: older }),
          startEngine({ flavour: newer }),
        ]);
        const base = [await busyboxLayer(), { 'srv/data': { bytes: 3 * MIB, seed: 3 } }];
        await loadImage(source, { name: 'base:1', layers: base });
        web = await loadImage(source, { name: 'web:1', layers: [...base, { 'etc/greeting': 'hello' }] });
        for (const [name, engine] of [
          ['old', source],
          ['new', target],
        ] as const)
          await run(['docker', 'context', 'create', name, '--docker', `host=${engine.dockerHost}`], { env });
      });
      afterEach(async () => {
        const ids = (await target.docker(['image', 'ls', '--all', '--quiet'])).split('\n').filter(Boolean);
        if (ids.length > 0) await target.docker(['image', 'rm', '--force', ...new Set(ids)]);
      });
      afterAll(async () => {
        for (const one of [source, target, directory]) await one?.[Symbol.asyncDispose]();
      });

      const copied = async (args: readonly string[], from: Record<string, string> = {}) => {
        await using imgmv = runImgmv(['copy', ...args, '--json'], { env: { ...env, ...from } });
        await expectEnd(imgmv, 0, /"loaded"/);
        const events: JsonEvent[] = [];
        for await (const event of imgmv.events) events.push(event);
        return events;
      };
      const images = (events: readonly JsonEvent[]) => events.filter(({ event }) => event === 'image');

      it('moves only the layers that the other one lacks, and what arrives is whole', async () => {
        const both = ['--src-docker-host', source.dockerHost, '--dest-docker-host', target.dockerHost];
        await copied(['docker-daemon:base:1', 'docker-daemon:', ...both]);
        const events = await copied(['docker-daemon:web:1', 'docker-daemon:team/web:2', ...both]);
        expect(images(events)).toMatchObject([{ status: 'loaded', layersSkipped: 2, layersSent: 1 }]);
        expect(events.filter(({ event }) => event === 'engine')).toMatchObject([
          { address: source.dockerHost, foundBy: '--src-docker-host' },
          { address: target.dockerHost, foundBy: '--dest-docker-host' },
        ]);
        expect((await inspect(target, 'team/web:2')).RootFS.Layers).toEqual(web.diffIds);
        await expectRuns(target, 'team/web:2', 'hello');
        expect((await holdings(source)).join()).not.toContain('team/web');
      });

      it.each([
        ['--src-docker-host', () => ['--src-docker-host', source.dockerHost], () => target.dockerHost],
        ['--dest-docker-host', () => ['--dest-docker-host', target.dockerHost], () => source.dockerHost],
        ['--src-context', () => ['--src-context', 'old'], () => target.dockerHost],
        ['--dest-context', () => ['--dest-context', 'new'], () => source.dockerHost],
      ])(
        '%s says which engine one side is, and the other one is what docker finds',
        async (_option, args, found) => {
          await copied(['--all', 'docker-daemon:', ...args()], { DOCKER_HOST: found() });
          expect((await inspect(target, 'web:1')).RootFS.Layers).toEqual(web.diffIds);
        },
      );

      it('wins over --docker-host and --context, which are of both sides', async () => {
        const both = ['--docker-host', source.dockerHost];
        await copied(['docker-daemon:web:1', 'docker-daemon:', ...both, '--dest-context', 'new']);
        await copied(['docker-daemon:base:1', 'docker-daemon:', '--context', 'old', '--dest-context', 'new']);
        expect((await holdings(target)).join()).toMatch(/base:1.*web:1/);
      });

      it.each([
        [
          'both of one side',
          ['--src-context', 'old', '--src-docker-host', 'unix:///x'],
          'docker-daemon:',
          'SRC',
        ],
        ['an archive as DEST', ['--dest-context', 'new'], `oci:${'x'}`, 'DEST'],
      ])('refuses %s', async (_what, flags, to) => {
        await using imgmv = runImgmv(['copy', 'docker-daemon:web:1', to, ...flags], {
          env,
          cwd: directory.path,
        });
        await expectEnd(
          imgmv,
          2,
          /--src-docker-host and --src-context exclude each other|--dest-context says which engine DEST means, and DEST is an archive/,
        );
      });

      it('refuses an engine for an archive as SOURCE', async () => {
        const args = [
          'copy',
          `oci:${join(directory.path, 'x')}`,
          'docker-daemon:',
          '--src-docker-host',
          'unix:///x',
        ];
        await using imgmv = runImgmv(args, { env });
        await expectEnd(
          imgmv,
          2,
          /--src-docker-host says which engine SOURCE means, and SOURCE is an archive/,
        );
      });
    },
    { required: older === '20' },
  );
