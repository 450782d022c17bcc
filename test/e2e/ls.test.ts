/** `imgmv ls`: what there is, and what it shares, against what the engine itself says. */
import { get } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { type ImgmvOptions, runImgmv } from '../rig/imgmv.ts';
import { busyboxLayer, CREATED } from '../rig/layers.ts';
import { loadMany } from '../rig/many.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { expectEnd } from './scene.ts';

interface Listed {
  readonly id: string;
  readonly names: readonly string[];
  readonly sharedBytes: number | null;
  readonly sharedWith: readonly string[];
}

for (const flavour of ['20', '28c'] as const) {
  describeOn(
    `imgmv ls, ${flavour}`,
    [await engineSupport(flavour)],
    () => {
      let engine: Engine;
      let web: LoadedImage;
      let db: LoadedImage;
      let alone: LoadedImage;

      beforeAll(async () => {
        engine = await startEngine({ flavour });
      });
      afterAll(() => engine?.[Symbol.asyncDispose]());

      const ls = (args: readonly string[] = [], options?: ImgmvOptions) =>
        runImgmv(['ls', '--docker-host', engine.dockerHost, ...args], options);
      const listed = async (...args: readonly string[]) => {
        await using imgmv = ls(['--json', ...args]);
        await expectEnd(imgmv, 0, /"images"/);
        return (await imgmv.waitFor('images')).images as readonly Listed[];
      };

      it('of an engine without images is an empty table, and a success', async () => {
        await using imgmv = ls();
        await expectEnd(imgmv, 0, /^docker /);
        expect(imgmv.stdout).toMatch(/^NAME +ID +PLATFORM +SIZE +SHARED +AGE\n$/);
        expect(await listed()).toEqual([]);
        await using labelled = ls(['--label', 'x']);
        await expectEnd(labelled, 10, /no image on this host matches --label x/);
      });

      it('is a table in a pipe: a line for each name, and the sum', async () => {
        const base = await busyboxLayer();
        const top = { 'etc/top': { bytes: 300_000, seed: 1 } };
        web = await loadImage(engine, { name: 'web:1.0', layers: [base, top] });
        db = await loadImage(engine, {
          name: 'reg.example:5000/team/db:16',
          layers: [base, { 'etc/db': 'db' }],
        });
        alone = await loadImage(engine, { name: 'alone:1', layers: [{ 'etc/alone': 'alone' }] });
        await engine.docker(['tag', 'web:1.0', 'web:latest']);
        await using imgmv = ls();
        await expectEnd(imgmv, 0, /^docker .* \(--docker-host\)\n/);
        const [headings, ...rows] = imgmv.stdout.trimEnd().split('\n');
        expect(headings).toMatch(/^NAME +ID +PLATFORM +SIZE +SHARED +AGE$/);
        const short = (id: string) => id.slice(7, 19);
        expect(rows.map((row) => row.split(/ {2,}/).slice(0, 3))).toEqual([
          ['alone:1', short(alone.id), 'linux/amd64'],
          ['reg.example:5000/team/db:16', short(db.id), 'linux/amd64'],
          ['web:1.0', short(web.id), 'linux/amd64'],
          ['web:latest', short(web.id), 'linux/amd64'],
          [expect.stringMatching(/^3 images, [0-9.]+ MB; [0-9.]+ MB with each shared layer counted once\.$/)],
        ]);
        expect(rows[0]).toMatch(/ - +\d+ (months|years)$/);
        expect(rows[1]).toMatch(/ [0-9.]+ MB with 1 other +\d+ (months|years)$/);
        await using quiet = ls(['--quiet']);
        await expectEnd(quiet, 0, /^NAME/);
        expect(quiet.stderr).toBe('');
        expect(quiet.stdout).toBe(imgmv.stdout);
      });

      it('as JSON is one event, with numbers as the engine has them', async () => {
        await using imgmv = ls(['--json']);
        await expectEnd(imgmv, 0, /"images"/);
        const { images } = await imgmv.waitFor('images');
        const of = ({ id }: LoadedImage) => (images as readonly Listed[]).find((one) => one.id === id);
        const sizes = await engineSizes(engine);
        expect(of(web)).toEqual({
          id: web.id,
          names: ['web:1.0', 'web:latest'],
          platform: 'linux/amd64',
          bytes: sizes.get(web.id)?.Size,
          sharedBytes: expect.any(Number),
          sharedWith: [db.id],
          created: CREATED.toISOString(),
        });
        expect(of(alone)).toMatchObject({ sharedBytes: 0, sharedWith: [] });
        for (const one of [web, db, alone]) {
          // A containerd store counts files; what is shared on the way is blobs.
          const want =
            flavour === '20' ? sizes.get(one.id)?.SharedSize : one === alone ? 0 : one.layers[0]?.bytes;
          expect(of(one)?.sharedBytes).toBe(want);
        }
        expect(
          imgmv.stdout
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line).event),
        ).toEqual(['engine', 'images']);
      });

      it('says what is shared with images that were not asked for', async () => {
        expect(await listed('web:1.0')).toMatchObject([{ names: ['web:1.0'], sharedWith: [db.id] }]);
        expect(await listed(web.id.slice(7, 19))).toMatchObject([{ names: ['web:1.0', 'web:latest'] }]);
      });

      it('exits 10 for what is not there, and says what comes close', async () => {
        await using missing = ls(['wbe:1.0']);
        await expectEnd(missing, 10, /no such image on this host: "wbe:1\.0"\n {2}did you mean web:1\.0/);
        await using pattern = ls(['nothing/*', 'web:1.0']);
        await expectEnd(pattern, 10, /no image on this host: "nothing\/\*"/);
        await using path = ls(['../../version']);
        await expectEnd(path, 10, /no such image on this host: "\.\.\/\.\.\/version"/);
        await using bad = ls(['web:/(/']);
        await expectEnd(bad, 2, /names no image: .*Unterminated group/);
        await using twice = ls(['--file', 'a', '--file', 'b']);
        await expectEnd(twice, 2, /There is a already/);
      });

      it('shows an image on which others were built, and which has no name any more', async () => {
        const config = { Cmd: ['sleep', '1000'] };
        const layers = [await busyboxLayer(), { 'etc/parent': 'it' }];
        const parent = await loadImage(engine, { name: 'parent:1', layers, config });
        await engine.docker(['run', '--detach', '--network', 'none', '--name', 'runs', 'parent:1']);
        await engine.docker(['commit', 'runs', 'child:1']);
        await engine.docker(['tag', 'alone:1', 'parent:1']);
        expect(await listed('--running')).toMatchObject([{ id: parent.id, names: [] }]);
        expect(await listed(parent.id.slice(7, 19))).toMatchObject([{ id: parent.id, names: [] }]);
        expect(await listed('--running', '--since', '2024-01-01')).toHaveLength(1);
        await engine.docker(['rm', '--force', 'runs']);
      });

      it('does not show what an interrupted run has kept', async () => {
        const kept = 'imgmv-incoming:0123456789ab-01234567-1700000000-4711.275813-1';
        const { id } = await loadImage(engine, { name: 'kept:1', layers: [{ 'etc/kept': 'it' }] });
        await engine.docker(['tag', 'kept:1', kept]);
        expect(await listed('kept:1')).toMatchObject([{ id, names: ['kept:1'] }]);
        await engine.docker(['image', 'rm', 'kept:1']);
        for (const args of [[], ['--all', '--dangling']])
          expect((await listed(...args)).map((image) => image.id)).not.toContain(id);
        await using named = ls([kept]);
        await expectEnd(named, 10, /no such image/);
        expect(await listed(id.slice(7, 19))).toMatchObject([{ id, names: [] }]);
        await engine.docker(['image', 'rm', kept]);
      });

      it('of archives says what they share with one another', async () => {
        await using directory = await scratchDirectory();
        const file = join(directory.path, 'both.tar.zst');
        const one = join(directory.path, 'alone.tar');
        const host = ['--docker-host', engine.dockerHost];
        const places = ['docker-daemon:web:1.0', 'docker-daemon:reg.example:5000/team/db:16'];
        await using copied = runImgmv(['copy', ...host, ...places, `docker-archive:${file}`]);
        await expectEnd(copied, 0, /2 images done/);
        await using other = runImgmv(['copy', ...host, 'docker-daemon:alone:1', `oci-archive:${one}`]);
        await expectEnd(other, 0, /written alone:1/);
        const from = ['ls', '--json', '--from', `docker-archive:${file}`, '--from', `oci-archive:${one}`];
        await using imgmv = runImgmv(from);
        await expectEnd(imgmv, 0, /"images"/);
        const { images } = await imgmv.waitFor('images');
        const [first, second, third] = images as readonly Listed[];
        expect(first).toMatchObject({ names: ['web:1.0'], sharedWith: [second?.id] });
        expect(second).toMatchObject({ names: ['reg.example:5000/team/db:16'], sharedWith: [first?.id] });
        expect(third).toMatchObject({ names: ['alone:1'], sharedWith: [], sharedBytes: 0 });
        await using narrowed = runImgmv([...from, '--except', 'web', '--since', '2024-01-01']);
        await expectEnd(narrowed, 0, /"names":\["reg.example:5000\/team\/db:16"\].*"names":\["alone:1"\]/);
        expect(narrowed.stdout).not.toContain('web:1.0');
        await using none = runImgmv([...from, '--since', '1d']);
        await expectEnd(none, 10, /matches --since/);
      });

      it('leaves out what is removed while it looks', async () => {
        const names = await loadMany(engine, 60);
        const removing = engine.docker(['image', 'rm', ...names]);
        for (let run = 0; run < 4; run++) {
          await using imgmv = ls(['--json']);
          await expectEnd(imgmv, 0, /"names":\["web:1\.0","web:latest"\]/);
        }
        await removing;
        expect((await listed()).flatMap((image) => image.names)).not.toContain(names[0]);
      });
    },
    { required: flavour === '20' },
  );
}

interface Size {
  readonly Id: string;
  readonly Size: number;
  readonly SharedSize: number;
}

/** What `docker system df` has, to the byte. */
async function engineSizes({ socketPath }: Engine): Promise<ReadonlyMap<string, Size>> {
  const df = await new Promise<{ Images: readonly Size[] }>((resolve, reject) => {
    get({ socketPath, path: '/system/df' }, (response) => {
      json(response).then((told) => resolve(told as { Images: readonly Size[] }), reject);
    }).on('error', reject);
  });
  return new Map(df.Images.map((one) => [one.Id, one]));
}
