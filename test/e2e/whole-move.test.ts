/** A server moves by a move file: chosen, renamed, sent, loaded, pushed on and reported, by real engines and a real registry. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ReportData } from '../../cli/report/model.ts';
import { NOBODY } from '../nobody.ts';
import { engineSupport, type Flavour } from '../rig/engine.ts';
import { type Imgmv, type JsonEvent, runImgmv, toldBy } from '../rig/imgmv.ts';
import { PASSWORD, type Registry, registrySupport, startRegistry, USER } from '../rig/registry.ts';
import { describeOn } from '../rig/suite.ts';
import { TALK_MAX_BYTES, told } from './moved.ts';
import { expectEnd, type Receiver, type Scene, startScene } from './scene.ts';
import { catalogOf, furnish, namesAt, type Server, writeProject } from './server.ts';

const TEST_TIMEOUT_MS = 300_000;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

interface ImageEvent extends JsonEvent {
  readonly id: string;
  readonly targetId: string;
  readonly refs: readonly { readonly source: string; readonly target: string }[];
  readonly pushed?: readonly { readonly ref: string; readonly digest: string | null }[];
}

for (const target of ['20', '28c'] as const satisfies readonly Flavour[])
  describeOn(
    `the move of a server to ${target}`,
    [await engineSupport('20'), await engineSupport(target), await registrySupport()],
    () => {
      let scene: Scene;
      let registry: Registry;
      let server: Server;
      /** Whatever is kept on disk meanwhile goes here. */
      let tmp: string;
      let moveFile: string;

      beforeAll(async () => {
        [scene, registry] = await Promise.all([startScene({ source: '20', target }), startRegistry()]);
        server = await furnish(scene.source);
        await writeProject(scene.directory);
        tmp = join(scene.directory, 'tmp');
        moveFile = join(scene.directory, 'move.yaml');
        await mkdir(tmp);
        await mkdir(join(scene.directory, 'reports'));
      }, TEST_TIMEOUT_MS);
      afterAll(async () => {
        await registry?.[Symbol.asyncDispose]();
        await scene?.[Symbol.asyncDispose]();
      });

      /** The new names without the registry's, and the images that have them. */
      const expected = (): ReadonlyMap<string, string> =>
        new Map([
          ['ours/team/web:1.0', server.web.id],
          ['ours/team/db:16', server.db.id],
          ...Array.from({ length: 10 }, (_, at) => [`ours/many:v${at}`, server.many.id] as const),
          ['moved/proxy:3', server.proxy.id],
          ['ours/shop-worker:latest', server.worker.id],
          ['ours/live/app:2', server.live.id],
        ]);
      const newNames = () => [...expected().keys()].sort();
      const at = (name: string) => join(scene.directory, name);
      const json = (text: string) => JSON.parse(text) as ReportData;
      const images = (events: readonly JsonEvent[]) =>
        events.filter((one): one is ImageEvent => one.event === 'image');

      const receive = (...more: string[]) =>
        scene.receive({
          args: ['--once', '--allow-push', `${registry.address}/*`, ...more],
          env: { TMPDIR: tmp },
        });
      const writeMove = ({ port, codeFile }: Receiver, more: readonly string[] = []) =>
        writeFile(
          moveFile,
          [
            `to: 127.0.0.1:${port}`,
            `code-file: ${codeFile.slice(scene.directory.length + 1)}`,
            `docker-host: ${scene.source.dockerHost}`,
            'images: [team/*, "many:/^v[0-9]$/", old.example/infra/*]',
            'running: true',
            'compose: shop',
            'except: "*:dev"',
            'retag:',
            `  "old.example/infra/*": ${registry.address}/moved/*`,
            `registry: ${registry.address}`,
            'project: ours',
            'then-push: true',
            'report: reports/sent.json',
            'jobs: 2',
            ...more,
            '',
          ].join('\n'),
        );
      const withMove = (command: 'send' | 'plan', ...more: string[]): Imgmv =>
        runImgmv([command, '--move', moveFile, ...more], { env: { TMPDIR: tmp } });

      /** Fails unless a report has what the events say. */
      const expectSame = ({ images: shown, totals, exit }: ReportData, events: readonly JsonEvent[]) => {
        expect(shown).toHaveLength(images(events).length);
        for (const { id, status, targetId, refs, pushed = [], bytes, wireBytes } of images(events)) {
          const renamed = refs.map((ref) => ({ ...ref, renamed: ref.source !== ref.target }));
          expect(shown.find((one) => one.id === id)).toMatchObject({
            status,
            targetId,
            refs: renamed,
            pushed,
            bytes,
            wireBytes,
          });
        }
        const done = events.find(({ event }) => event === 'done');
        expect({ images: totals.images, wireBytes: totals.wireBytes, exit }).toEqual({
          images: done?.images,
          wireBytes: done?.wireBytes,
          exit: done?.exit,
        });
      };

      /** Fails unless it is the target's names, and the digests that were told are what the registry has. */
      const expectPushed = async (events: readonly JsonEvent[]) => {
        const pushed = images(events).flatMap((event) => event.pushed ?? []);
        expect(pushed.map(({ ref }) => ref.slice(registry.address.length + 1)).sort()).toEqual(newNames());
        for (const { ref, digest } of pushed) {
          const [repository = '', tag = ''] = ref.slice(registry.address.length + 1).split(/:(?=[^:]*$)/);
          expect([ref, digest]).toEqual([ref, await registry.digestOf(repository, tag)]);
          expect(digest).toMatch(DIGEST);
        }
      };

      it(
        'is seen, planned and made: under the new names alone, pushed and reported',
        async () => {
          const before = await scene.look();
          await using list = runImgmv(['ls', '--json', '--docker-host', scene.source.dockerHost]);
          const { images: listed } = await list.waitFor('images');
          expect((await list.exit).code).toBe(0);
          const ids = (listed as readonly { readonly id: string }[]).map(({ id }) => id);
          expect(ids).toEqual(expect.arrayContaining([...expected().values(), server.dangling]));

          await using asked = await receive();
          await writeMove(asked);
          await using plan = withMove('plan', '--json');
          expect([(await plan.exit).code, plan.stderr]).toEqual([0, '']);
          expect((await asked.imgmv.exit).code).toBe(0);
          const planned = (await plan.waitFor('plan')).images as readonly ImageEvent[];
          expect(await readdir(at('reports'))).toEqual([]);
          await scene.expectUnchanged(before, asked);

          await using receiver = await receive('--report', at('reports/received.json'));
          await writeMove(receiver);
          await using sender = withMove('send', '--json');
          await told(sender, receiver);
          const [sent, received] = [await toldBy(sender), await toldBy(receiver.imgmv)];
          expect(
            images(sent)
              .map(({ id }) => id)
              .sort(),
          ).toEqual(planned.map(({ id }) => id).sort());
          const here = newNames().map((name) => `${registry.address}/${name}`);
          expect(await namesAt(scene.target)).toEqual(here.sort());
          for (const [name, id] of expected()) {
            const full = `${registry.address}/${name}`;
            const event = images(sent).find(({ refs }) => refs.some(({ target }) => target === full));
            const found = (await scene.target.docker(['image', 'inspect', '-f', '{{.Id}}', full])).trim();
            expect([event?.id, event?.targetId]).toEqual([id, found]);
          }
          expect(await catalogOf(registry)).toEqual(newNames());
          await expectPushed(sent);
          await expectPushed(received);
          expectSame(json(await readFile(at('reports/sent.json'), 'utf8')), sent);
          expectSame(json(await readFile(at('reports/received.json'), 'utf8')), received);
          expect(await readdir(tmp)).toEqual([]);
          expect(await readdir(scene.directory)).toEqual(['move.yaml', 'reports', 'shop', 'tmp'].sort());
          const after = await scene.look();
          expect(after.source).toEqual(before.source);
          expect(after.target.shown.filter((line) => /imgmv|spooled/.test(line))).toEqual([]);
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'a second time finds all of it there, and sends no layer',
        async () => {
          await using receiver = await receive();
          await writeMove(receiver);
          await using sender = withMove('send', '--json');
          const { images: ends, done } = await told(sender, receiver);
          expect(ends.map(({ status, layersSent }) => ({ status, layersSent }))).toEqual(
            ends.map(() => ({ status: 'present', layersSent: 0 })),
          );
          expect(ends).toHaveLength(6);
          expect(done.wireBytes).toBeLessThan(TALK_MAX_BYTES);
          await expectPushed(await toldBy(sender));
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'with keep-names has the old names besides, and pushes the new ones alone',
        async () => {
          await using receiver = await receive();
          await writeMove(receiver, ['keep-names: true']);
          await using sender = withMove('send', '--json');
          await told(sender, receiver);
          const old = ['live/app:2', 'old.example/infra/proxy:3', 'shop-worker:latest'];
          const more = ['team/db:16', 'team/web:1.0', ...Array.from({ length: 10 }, (_, i) => `many:v${i}`)];
          const fresh = newNames().map((name) => `${registry.address}/${name}`);
          expect(await namesAt(scene.target)).toEqual([...old, ...more, ...fresh].sort());
          expect(await catalogOf(registry)).toEqual(newNames());
          await expectPushed(await toldBy(sender));
          for (const name of [...old, ...more]) await scene.target.docker(['image', 'rm', name]);
        },
        TEST_TIMEOUT_MS,
      );

      // What they set has names of its own each, and most of the time the first of the others waits.
      it.concurrent(
        'names that the receiving side alone gives are told by both',
        async () => {
          const place = ['--registry', registry.address, '--project', 'theirs'];
          await using receiver = await scene.receive({
            args: ['--once', '--push', `${registry.address}/*`, ...place],
          });
          await using sender = scene.send(receiver, ['team/web:1.0', 'many:v3', '--json']);
          await told(sender, receiver);
          for (const events of [await toldBy(sender), await toldBy(receiver.imgmv)]) {
            const names = images(events).map(({ refs }) =>
              refs.map(({ source, target }) => [source, target]),
            );
            expect(names).toEqual([
              [['team/web:1.0', `${registry.address}/theirs/team/web:1.0`]],
              [['many:v3', `${registry.address}/theirs/many:v3`]],
            ]);
            const pushed = images(events).flatMap((event) => event.pushed ?? []);
            expect(pushed.map(({ digest }) => digest)).toEqual([
              await registry.digestOf('theirs/team/web', '1.0'),
              await registry.digestOf('theirs/many', 'v3'),
            ]);
          }
          expect(await namesAt(scene.target)).toEqual(
            expect.not.arrayContaining(['team/web:1.0', 'many:v3']),
          );
        },
        TEST_TIMEOUT_MS,
      );

      it.concurrent.each([
        [
          'is gone',
          false,
          [/connection refused/, /is 127\.0\.0\.1:\d+ up, and can the engine reach it\?/],
          /its registry cannot be reached from there$/,
        ],
        [
          'wants another password',
          true,
          [/unauthorized|401/i, /the credentials came from .*`docker login/],
          /no permission to push there, or no valid credentials$/,
        ],
      ] as const)(
        'a registry that %s takes nothing back: 17, on both sides, and in the report',
        async (_what, htpasswd, here, kind) => {
          await using locked = htpasswd ? await startRegistry({ htpasswd }) : undefined;
          const address = locked?.address ?? NOBODY;
          const auth = Buffer.from(`${USER}:not-${PASSWORD}`).toString('base64');
          const docker = at(`docker-${htpasswd}`);
          await mkdir(docker);
          await writeFile(join(docker, 'config.json'), JSON.stringify({ auths: { [address]: { auth } } }));
          const report = at(`reports/failed-${htpasswd}.json`);
          const there = at(`reports/there-${htpasswd}.json`);
          await using receiver = await scene.receive({
            args: ['--once', '--allow-push', `${address}/*`, '--report', there],
            env: { DOCKER_CONFIG: docker },
          });
          const args = ['team/web:1.0', '--then-push', '--registry', address];
          await using sender = scene.send(receiver, [...args, '--json', '--report', report]);
          await told(sender, receiver, 17);
          const names = [`${address}/team/web:1.0`];
          expect(await namesAt(scene.target)).toEqual(expect.arrayContaining(names));
          // What the registry said is in the report of the host that pushes.
          for (const [file, [says, hint]] of [
            [there, here],
            [report, [kind, /^what the registry said is shown on /]],
          ] as const) {
            const { exit, images: shown, totals } = json(await readFile(file, 'utf8'));
            expect([exit, totals.failed]).toEqual([17, 0]);
            expect(shown).toHaveLength(1);
            for (const { status, pushed, tries } of shown) {
              expect(tries).toBe(1);
              expect(['loaded', 'present']).toContain(status);
              expect(pushed).toMatchObject([
                {
                  digest: null,
                  error: {
                    code: 'push-failed',
                    message: expect.stringMatching(says),
                    hint: expect.stringMatching(hint),
                  },
                },
              ]);
            }
          }
          await scene.target.docker(['image', 'rm', ...names]);
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'a target that pushes nothing refuses then-push, and says what would allow it',
        async () => {
          const before = await scene.look();
          await using receiver = await scene.receive();
          await writeMove(receiver);
          await using sender = withMove('send');
          await expectEnd(
            sender,
            16,
            /^imgmv: \S+ does not push images: nothing was sent\n {2}`imgmv receive --allow-push 'registry\.example\/team\/\*'` there allows it; the code is used, and that shows a new one\n$/m,
          );
          expect((await receiver.imgmv.exit).code).toBe(16);
          await scene.expectUnchanged(before, receiver);
        },
        TEST_TIMEOUT_MS,
      );
    },
    { required: true },
  );
