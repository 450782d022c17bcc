/** Names that change on the way, by rules of the sender, of the receiver or of both. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type Engine, engineSupport } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { type JsonEvent, runImgmv, toldBy } from '../rig/imgmv.ts';
import { busyboxLayer } from '../rig/layers.ts';
import { describeOn } from '../rig/suite.ts';
import { expectEnd, type Scene, startScene } from './scene.ts';

const PAIRS = [
  { source: '20', target: '20' },
  { source: '20', target: '28c' },
  { source: '28c', target: '20' },
] as const;

interface Ended {
  readonly sent: readonly JsonEvent[];
  readonly received: readonly JsonEvent[];
  /** What people read at the sender. */
  readonly text: string;
}

for (const { source, target } of PAIRS) {
  const supports = await Promise.all([...new Set([source, target])].map(engineSupport));
  describeOn(
    `renaming on arrival, ${source} to ${target}`,
    supports,
    () => {
      let scene: Scene;
      let one: LoadedImage;
      let two: LoadedImage;

      beforeAll(async () => {
        scene = await startScene({ source, target });
        const base = await busyboxLayer();
        const load = (name: string) =>
          loadImage(scene.source, { name, layers: [base, { 'etc/name': name }] });
        one = await load('web:1.0');
        two = await load('web:1.1');
        await load('old.reg:5000/a/b/c:5');
        await load('ten:0');
        for (let tag = 1; tag < 10; tag++) await scene.source.docker(['tag', 'ten:0', `ten:${tag}`]);
      });
      afterEach(() => clear(scene.target));
      afterAll(() => scene?.[Symbol.asyncDispose]());

      /** One session: both sides end with `exit`. */
      const move = async (
        send: readonly string[],
        receive: readonly string[] = [],
        exit = 0,
      ): Promise<Ended> => {
        await using receiver = await scene.receive({ args: ['--once', ...receive] });
        await using sender = scene.send(receiver, [...send, '--json']);
        await expectEnd(sender, exit, /"done"/);
        await expectEnd(receiver.imgmv, exit, /"done"/);
        return {
          sent: await toldBy(sender),
          received: await toldBy(receiver.imgmv),
          text: sender.stdout,
        };
      };
      const pairs = (events: readonly JsonEvent[], name: string) => {
        const images = events.flatMap((event) =>
          event.event === name ? ((event.images as readonly JsonEvent[] | undefined) ?? [event]) : [],
        );
        type Refs = readonly { source: string; target: string }[];
        return images
          .flatMap(({ refs }) => (refs as Refs).map((ref) => `${ref.source} ${ref.target}`))
          .sort();
      };
      /** Fails unless both sides tell these names, before and after, and the target has them and no other. */
      const expectNames = async ({ sent, received }: Ended, want: Readonly<Record<string, string>>) => {
        const told = Object.entries(want)
          .map(([to, from]) => `${from} ${to}`)
          .sort();
        for (const events of [sent, received])
          expect([pairs(events, 'plan'), pairs(events, 'image')]).toEqual([told, told]);
        expect(Object.keys(await tags(scene.target)).sort()).toEqual(Object.keys(want).sort());
      };

      it.each<[string, string[], string[], Record<string, string>]>([
        ['a rule of the sender', ['web:1.0', '--retag', 'web=team/web'], [], { 'team/web:1.0': 'web:1.0' }],
        ['a rule of the receiver', ['web:1.0'], ['--retag', 'web=team/web'], { 'team/web:1.0': 'web:1.0' }],
        [
          'rules of both, one on top of the other',
          ['web:1.0', '--retag', 'web=mid.reg/web'],
          ['--retag', 'web=never/web', '--retag', 'mid.reg/*=new.reg:5000/p/*'],
          { 'new.reg:5000/p/web:1.0': 'web:1.0' },
        ],
        [
          'a registry with a port, and one by its address',
          ['old.reg:5000/*', '--retag', 'old.reg:5000/*=10.0.0.1:5001/*'],
          ['--registry', 'reg.example:5000', '--project', 'team'],
          { 'reg.example:5000/team/b/c:5': 'old.reg:5000/a/b/c:5' },
        ],
        [
          'the registry that docker does not show',
          ['docker.io/library/web:1.0', 'old.reg:5000/a/b/c:5', '--retag', 'docker.io/library/*=hub/*'],
          ['--registry', 'docker.io', '--project', 'me'],
          { 'me/hub/web:1.0': 'web:1.0', 'me/b/c:5': 'old.reg:5000/a/b/c:5' },
        ],
        [
          'the old names besides, on both sides',
          ['web:1.0', '--retag', 'web=mid/web', '--keep-names'],
          ['--retag', 'mid/*=new/*', '--keep-names'],
          { 'new/web:1.0': 'web:1.0', 'mid/web:1.0': 'web:1.0', 'web:1.0': 'web:1.0' },
        ],
        [
          'ten names, of which a rule of the receiver makes one',
          ['ten:*'],
          ['--retag', 'ten:9=nine:9', '--retag', 'ten=app:1'],
          { 'app:1': 'ten:0', 'nine:9': 'ten:9' },
        ],
        [
          'a rule of the receiver that gives a name which another one of the image has',
          ['ten:1,2', '--retag', 'ten:2=app:2'],
          ['--retag', 'ten:1=app:2'],
          { 'app:2': 'ten:1' },
        ],
      ])('%s', async (_what, send, receive, want) => {
        await expectNames(await move(send, receive), want);
      });

      it('of an image without a name there is nothing to rename', async () => {
        const ended = await move([one.id, '--retag', '*=x/*'], ['--registry', 'reg.example']);
        await expectNames(ended, {});
      });

      it('two images that would take one name are both refused, by rules of either side', async () => {
        const ended = await move(['web:1.0', 'web:1.1', '--retag', 'web=app:1'], [], 16);
        for (const [events, where] of [
          [ended.sent, `on ${hostname()}: `],
          [ended.received, ''],
        ] as const)
          expect(events.find(({ event }) => event === 'plan')?.images).toMatchObject([
            { action: 'refuse', reason: `${where}app:1 would also be the name of web:1.1 (${two.id})` },
            { action: 'refuse', reason: `${where}app:1 would also be the name of web:1.0 (${one.id})` },
          ]);
        expect(await tags(scene.target)).toEqual({});
        const partly = await move(['web:*', 'ten:0'], ['--retag', 'web=app:1'], 17);
        expect(partly.sent.filter(({ status }) => status === 'refused')).toHaveLength(2);
        expect(Object.keys(await tags(scene.target))).toEqual(['ten:0']);
        // What it is already, and what it is to be.
        await move(['web:1.0', 'web:1.1', '--retag', 'web:1.0=web:1.1'], [], 16);
      });

      it('swaps names, and says which id loses which, before and after', async () => {
        await move(['web:1.0', 'web:1.1']);
        const before = await tags(scene.target);
        const swap = ['--retag', 'web:1.0=web:1.1', '--retag', 'web:1.1=web:1.0'];
        const { sent, received } = await move(['web:1.0', 'web:1.1', ...swap]);
        const after = await tags(scene.target);
        expect(after).toEqual({ 'web:1.0': before['web:1.1'], 'web:1.1': before['web:1.0'] });
        for (const [events, idOf] of [
          [sent, (name: string) => before[name]?.slice('sha256:'.length).slice(0, 12)],
          [received, (name: string) => before[name]],
        ] as const) {
          expect(events.find(({ event }) => event === 'plan')?.images).toMatchObject([
            { refs: [{ source: 'web:1.0', target: 'web:1.1', replaces: idOf('web:1.1') }] },
            { refs: [{ source: 'web:1.1', target: 'web:1.0', replaces: idOf('web:1.0') }] },
          ]);
          expect(events.filter(({ event }) => event === 'image')).toMatchObject([
            { status: 'present', refs: [{ target: 'web:1.1', replaced: idOf('web:1.1') }] },
            { status: 'present', refs: [{ target: 'web:1.0', replaced: idOf('web:1.0') }] },
          ]);
        }
        await using receiver = await scene.receive();
        await using sender = scene.send(receiver, ['web:1.0']);
        await expectEnd(sender, 0, /web:1\.0 was [0-9a-f]{12}, which has lost this name/);
        expect(sender.stderr).toContain(
          `web:1.0 is ${after['web:1.0']?.slice(7, 19)} there now, which will lose this name`,
        );
      });

      it('of a name that is none the sender says so at once, the receiver refuses that image alone', async () => {
        const rule = ['--retag', 'old.reg:5000/*/c=new/*-/c', '--retag', 'old.reg:5000/*=sha256'];
        await using receiver = await scene.receive({ args: ['--once', ...rule.slice(2)] });
        await using early = scene.send(receiver, ['web:1.0', 'old.reg:5000/a/b/c:5', ...rule.slice(2)]);
        await expectEnd(
          early,
          2,
          /--retag "old\.reg:5000\/\*=sha256" turns old\.reg:5000\/a\/b\/c:5 into "sha256:5", which is not a valid name/,
        );
        await using sender = scene.send(receiver, ['web:1.0', 'old.reg:5000/a/b/c:5', '--json']);
        await expectEnd(sender, 17, /which is not a valid name/);
        await expectEnd(receiver.imgmv, 17, /which is not a valid name/);
        expect(Object.keys(await tags(scene.target))).toEqual(['web:1.0']);
        await using bad = scene.send(receiver, ['web:1.0', ...rule.slice(0, 2)]);
        await expectEnd(bad, 2, /is not NAME or NAME:TAG/);
      });

      it('more names than an offer holds are refused before anything moves', async () => {
        const tagged = Array.from({ length: 60 }, (_, tag) => `many:${tag}`);
        await using _added: AsyncDisposable = {
          [Symbol.asyncDispose]: async () => {
            await scene.source.docker(['image', 'rm', ...tagged]);
          },
        };
        for (const name of tagged) await scene.source.docker(['tag', 'ten:0', name]);
        const many = ['many:*', '--retag', 'many=new/many', '--keep-names'];
        await using receiver = await scene.receive({
          args: ['--once', '--registry', 'reg.example', '--keep-names'],
        });
        await using early = scene.send(receiver, many);
        await expectEnd(
          early,
          16,
          /the image sha256:[0-9a-f]{64} cannot be sent: it has 120 names, and at most 100 can be sent/,
        );
        await using sender = scene.send(receiver, ['many:*', 'web:1.0', '--json']);
        await expectEnd(sender, 17, /it would have 120 names, more than 100/);
        await expectEnd(receiver.imgmv, 17, /it would have 120 names, more than 100/);
        expect(Object.keys(await tags(scene.target)).sort()).toEqual(['reg.example/web:1.0', 'web:1.0']);
        // That many fit.
        const { sent } = await move(
          ['many:*', 'ten:*', '--registry', 'reg.example:5000', '--project', 'p'],
          [],
        );
        expect(pairs(sent, 'image')).toHaveLength(70);
      });

      it('copy has the same rules, into an archive and within the engine', async () => {
        const file = join(scene.directory, 'renamed.tar');
        const copy = (...args: readonly string[]) =>
          runImgmv(['copy', '--json', '--docker-host', scene.target.dockerHost, ...args]);
        await using out = runImgmv([
          ...['copy', '--json', '--docker-host', scene.source.dockerHost],
          ...['docker-daemon:web:*', `docker-archive:${file}`, '--retag', 'web=team/web', '--keep-names'],
        ]);
        await expectEnd(out, 0, /"done"/);
        await using into = copy(
          `docker-archive:${file}`,
          'docker-daemon:',
          '--registry',
          'reg.example',
          '--except',
          'team/*',
        );
        await expectEnd(into, 0, /"done"/);
        expect(Object.keys(await tags(scene.target)).sort()).toEqual([
          'reg.example/web:1.0',
          'reg.example/web:1.1',
        ]);
        await using within = copy('--all', 'docker-daemon:', '--retag', 'reg.example/*=*', '--keep-names');
        await expectEnd(within, 0, /"present"/);
        expect(Object.keys(await tags(scene.target)).sort()).toEqual([
          'reg.example/web:1.0',
          'reg.example/web:1.1',
          'web:1.0',
          'web:1.1',
        ]);
        await using clash = copy(
          'docker-daemon:web:*',
          `docker-archive:${join(scene.directory, 'clash.tar')}`,
          '--retag',
          'web=x:1',
        );
        await expectEnd(clash, 16, /x:1 would also be the name of web:1\.1/);
      });
    },
    { required: source === '20' && target === '20' },
  );
}

/** Ids by names. */
async function tags(engine: Engine): Promise<Readonly<Record<string, string>>> {
  const format = ['--no-trunc', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}'];
  const lines = (await engine.docker(['image', 'ls', ...format])).trim().split('\n').filter(Boolean);
  const all = lines.map((line) => line.split(' ') as [string, string]);
  return Object.fromEntries(all.filter(([name]) => name !== '<none>:<none>'));
}

async function clear(engine: Engine): Promise<void> {
  const ids = (await engine.docker(['image', 'ls', '--all', '--quiet'])).trim().split('\n').filter(Boolean);
  if (ids.length > 0) await engine.docker(['image', 'rm', '--force', ...new Set(ids)]);
}
