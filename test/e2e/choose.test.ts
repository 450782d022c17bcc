/** Choosing images by patterns, filters, lists and containers: on real engines, the same for send, plan and copy. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineSupport } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { type Imgmv, type ImgmvOptions, type JsonEvent, runImgmv, toldBy } from '../rig/imgmv.ts';
import { busyboxLayer } from '../rig/layers.ts';
import { describeOn } from '../rig/suite.ts';
import { expectEnd, type Scene, startScene } from './scene.ts';

interface Planned {
  readonly id: string;
  readonly refs: readonly { readonly source: string; readonly target: string }[];
}

/** Names by which images go, in their order; the beginning of the id where there is none. */
function planned(events: readonly JsonEvent[]): readonly string[] {
  const plan = events.find(({ event }) => event === 'plan');
  return ((plan?.images ?? []) as readonly Planned[]).flatMap(({ id, refs }) =>
    refs.length > 0 ? refs.map(({ target }) => target) : [id.slice(7, 19)],
  );
}

for (const flavour of ['20', '28c'] as const) {
  describeOn(
    `choosing images, ${flavour}`,
    [await engineSupport(flavour)],
    () => {
      let scene: Scene;
      /** Untagged since another image took its name; the first is what a container runs. */
      let moved: LoadedImage;
      let replaced: LoadedImage;
      let copies = 0;

      beforeAll(async () => {
        scene = await startScene({ source: flavour, target: flavour });
        const base = await busyboxLayer();
        const load = (name: string, Labels?: Readonly<Record<string, string>>) =>
          loadImage(scene.source, {
            name,
            layers: [base, { 'etc/name': `${name} ${++copies}` }],
            config: { Cmd: ['sleep', '1000'], ...(Labels && { Labels }) },
          });
        const start = (name: string, image: string) =>
          scene.source.docker(['run', '--detach', '--network', 'none', '--name', name, image]);
        await load('web:1.0', { team: 'a', release: '' });
        await load('web:1.1', { team: 'b' });
        await load('team/db:v1.16', { team: 'a' });
        await load('reg.example:5000/deep/er/app:5');
        await load('stopped:1');
        moved = await load('moving:1');
        replaced = await load('lost:1');
        await start('runs-web', 'web:1.0');
        await start('runs-web-too', 'web:1.0');
        await start('runs-moved', 'moving:1');
        await start('runs-not', 'stopped:1');
        await scene.source.docker(['rm', '--force', 'runs-not']);
        await load('moving:1');
        await load('lost:1');
        await scene.source.docker(['tag', 'web:1.0', 'web:latest']);
      });
      afterAll(() => scene?.[Symbol.asyncDispose]());

      const short = ({ id }: LoadedImage) => id.slice(7, 19);
      const copy = (args: readonly string[], options?: ImgmvOptions): Imgmv => {
        const to = `docker-archive:${join(scene.directory, `copy-${++copies}.tar`)}`;
        return runImgmv(['copy', '--json', '--docker-host', scene.source.dockerHost, ...args, to], options);
      };
      const copied = async (...args: readonly string[]) => {
        await using imgmv = copy(args);
        await expectEnd(imgmv, 0, /"done"/);
        return [...planned(await toldBy(imgmv))].sort();
      };

      const ALL = [
        'lost:1',
        'moving:1',
        'reg.example:5000/deep/er/app:5',
        'stopped:1',
        'team/db:v1.16',
        'web:1.0',
        'web:1.1',
        'web:latest',
      ];
      it.each<[readonly string[], readonly string[]]>([
        [['--all'], ALL],
        [['--all', '--except', 'web', '--except', '*:1'], ALL.slice(2, 3).concat(ALL.slice(4, 5))],
        [
          ['--label', 'team=a'],
          ['team/db:v1.16', 'web:1.0', 'web:latest'],
        ],
        [['--label', 'team', '--label', 'release', '--except', 'web:1.0'], ['web:latest']],
        [['--since', '2024-01-01', '--except', 'docker.io/*'], ['reg.example:5000/deep/er/app:5']],
        [['--running', '--label', 'team'], ['web:1.0']],
        [['docker-daemon:web:*'], ['web:1.0', 'web:1.1', 'web:latest']],
        [['docker-daemon:web:1.0,1.1'], ['web:1.0', 'web:1.1']],
        [['docker-daemon:*:/^v1\\./'], ['team/db:v1.16']],
        [
          ['docker-daemon:*:5*', 'docker-daemon:docker.io/library/web:1.1'],
          [ALL[2] ?? '', 'web:1.1'],
        ],
      ])('copy %j', async (args, want) => {
        expect(await copied(...args)).toEqual(want);
      });

      it('the image of a container goes by the name that it was started with, unless that is another one’s', async () => {
        expect(await copied('--running')).toEqual([short(moved), 'web:1.0']);
      });

      it('images without a name are those whose name was taken', async () => {
        expect(await copied('--dangling')).toEqual([short(moved), short(replaced)].sort());
        expect(await copied('--dangling', '--all')).toEqual([short(moved), short(replaced), ...ALL].sort());
      });

      it.each([
        ['--label', 'team=c'],
        ['--since', '1d'],
        ['--all', '--except', '*'],
        ['docker-daemon:nothing/*'],
        ['docker-daemon:web:/^2/'],
      ])('that comes to nothing ends with 10 and leaves no file: %s %s', async (...args) => {
        const before = await readdir(scene.directory);
        await using imgmv = copy(args.filter((one) => one !== undefined));
        await expectEnd(imgmv, 10, /"code":"image-not-found"/);
        expect(await readdir(scene.directory)).toEqual(before);
      });

      it('a list is a file or standard input', async () => {
        const file = join(scene.directory, 'images.txt');
        await writeFile(file, '# what goes\nweb:1.0,1.1\n\nteam/*   # the rest\n');
        expect(await copied('--file', file)).toEqual(['team/db:v1.16', 'web:1.0', 'web:1.1']);
        await using piped = copy(['--file', '-', '--except', 'web:1.1'], { input: 'web:*\r\n' });
        await expectEnd(piped, 0, /"done"/);
        expect(planned(await toldBy(piped))).toEqual(['web:1.0', 'web:latest']);
        await using empty = copy(['--file', '-'], { input: '# nothing\n' });
        await expectEnd(empty, 10, /the list on standard input names no image/);
        await using wrong = copy(['--file', '-'], { input: 'web:1.0\nweb:/(/\n' });
        await expectEnd(wrong, 2, /the list on standard input, line 2: /);
        await using lacking = copy(['--file', join(scene.directory, 'none.txt')]);
        await expectEnd(lacking, 2, /cannot read the list .*none\.txt: there is no such file/);
      });

      it('plan and send take the same, and the target gets just that', async () => {
        const choice = ['--running', 'team/*', '*:1.*', '--except', '*:1.1'];
        await using first = await scene.receive();
        await using planner = scene.send(first, [...choice, '--json'], { command: 'plan' });
        await expectEnd(planner, 0, /"plan"/);
        const want = ['team/db:v1.16', 'web:1.0', short(moved)];
        expect([...planned(await toldBy(planner))].sort()).toEqual([...want].sort());
        await using second = await scene.receive();
        await using sender = scene.send(second, [...choice, '--json']);
        await expectEnd(sender, 0, /"done"/);
        const format = ['--no-trunc', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}'];
        const there = (await scene.target.docker(['image', 'ls', ...format])).trim().split('\n');
        expect(there.map((line) => line.split(' ')[0]).sort()).toEqual([
          '<none>:<none>',
          'team/db:v1.16',
          'web:1.0',
        ]);
        expect(there).toContain(`<none>:<none> ${moved.id}`);
      });

      it('nothing chosen is told before the code is used', async () => {
        await using earlier = await scene.receive();
        await expectEnd(scene.send(earlier, ['web:1.0']), 0, /(loaded|present) web:1\.0/);
        const before = await scene.look();
        await using receiver = await scene.receive();
        await using nothing = scene.send(receiver, ['nothing/*']);
        await expectEnd(nothing, 10, /no image on this host: "nothing\/\*"/);
        await using unnamed = scene.send(receiver, []);
        await expectEnd(unnamed, 2, /no image is named\n {2}name one or more, or give --all/);
        await using sender = scene.send(receiver, ['web:1.0']);
        await expectEnd(sender, 0, /present web:1\.0/);
        await scene.expectUnchanged(before, receiver);
      });
    },
    { required: flavour === '20' },
  );
}
