/** A target that has layers of an image already: only the others travel, and the image is whole all the same. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineSupport, type Flavour, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage, loadIndexImage } from '../rig/images.ts';
import { type Imgmv, runImgmv } from '../rig/imgmv.ts';
import { busyboxLayer, type LayerSpec } from '../rig/layers.ts';
import { describeOn } from '../rig/suite.ts';
import { startEngineRelay } from './engine-relay.ts';
import { expectRuns, expectSavedWhole, inspect, moved, TALK_MAX_BYTES, told } from './moved.ts';
import { startRelay } from './relay.ts';
import { holdings, type Scene, startScene } from './scene.ts';

const MIB = 2 ** 20;
const CHANGED_BYTES = MIB;
/** Twice what is taken before the connection is held and the window of a lane, so that it is midway for all. */
const LONG_BYTES = 24 * MIB;
const HOLD_AFTER_BYTES = 4 * MIB;
const TEST_TIMEOUT_MS = 300_000;

const PAIRS: readonly { source: Flavour; target: Flavour }[] = [
  { source: '20', target: '20' },
  { source: '20', target: '28c' },
  { source: '28c', target: '20' },
  { source: '28c', target: '28c' },
];

for (const { source, target } of PAIRS) {
  const supports = [await engineSupport(source), await engineSupport(target)];
  describeOn(
    `layers that the target has, ${source} to ${target}`,
    supports,
    () => {
      let scene: Scene;
      // As a pull leaves them: a blob is then something else than what is in it.
      const gzip = source === '28c';
      let seeds = 0;

      /** What is the target's alone, or the source's: once for each kind of store. */
      const itOnce = (title: string, work: () => Promise<void>, timeoutMs: number) =>
        source === target ? it(title, work, timeoutMs) : undefined;

      beforeAll(async () => {
        scene = await startScene({ source, target });
      });
      afterAll(() => scene?.[Symbol.asyncDispose]());

      const onSource = (name: string, layers: readonly LayerSpec[]) =>
        loadImage(scene.source, { name, layers, gzip });
      /** Puts layers on the target without imgmv, and as they would travel. */
      const onTarget = (name: string, layers: readonly LayerSpec[]) =>
        loadImage(scene.target, { name, layers, gzip });
      /** Three layers that no other test has, the topmost of which says `name`. */
      const newBase = async (name: string): Promise<readonly LayerSpec[]> => [
        { ...(await busyboxLayer()), 'etc/base': name },
        { 'srv/data': { bytes: 3 * MIB, seed: ++seeds } },
        { 'etc/greeting': name },
      ];
      const newLayer = (bytes = CHANGED_BYTES): LayerSpec => ({ 'srv/changed': { bytes, seed: ++seeds } });
      const expectWhole = async (image: LoadedImage, greeting: string) => {
        await expectSame(scene, image, { sameId: source === target });
        await expectRuns(scene.target, image.name, greeting);
        await expectSavedWhole(scene, image);
      };

      it(
        'are not sent for the next image, which is whole; and nothing is, the second time',
        async () => {
          const layers = await newBase('one');
          const base = await onSource('one/base:1', layers);
          const app = await onSource('one/app:1', [...layers, newLayer()]);
          const first = await moved(scene, ['one/base:1']);
          expect(first.plan).toEqual([
            expect.objectContaining({ action: 'send', layers: 3, layersMissing: 3 }),
          ]);
          expect(first.images).toEqual([expect.objectContaining({ layersSent: 3, layersSkipped: 0 })]);
          await expectWhole(base, 'one');

          const second = await moved(scene, ['one/app:1']);
          const changed = lastLayer(app);
          expect(second.plan).toEqual([
            expect.objectContaining({ action: 'send', layers: 4, layersMissing: 1 }),
          ]);
          expectAbout(second.plan[0]?.bytesMissing, changed.bytes);
          expect(second.images).toEqual([
            expect.objectContaining({ status: 'loaded', layersSent: 1, layersSkipped: 3 }),
          ]);
          expect(second.images[0]?.wireBytes).toBeGreaterThan(CHANGED_BYTES);
          expect(second.images[0]?.wireBytes).toBeLessThan(1.1 * changed.bytes + TALK_MAX_BYTES);
          await expectWhole(app, 'one');
          await expectWhole(base, 'one');

          const there = await inspect(scene.target, 'one/app:1');
          const before = await scene.look();
          const third = await moved(scene, ['one/app:1', 'one/base:1']);
          for (const at of [0, 1]) {
            expect(third.plan[at]).toMatchObject({ action: 'present', layersMissing: 0, bytesMissing: 0 });
            expect(third.images[at]).toMatchObject({ status: 'present', layersSent: 0, bytes: 0 });
          }
          // Between stores of different kinds the root is the target's own: of that a sender is told 12 digits.
          expect(third.images[0]?.layersSkipped).toBe(4);
          expect(there.Id).toContain(third.images[0]?.targetId);
          expect(third.done).toMatchObject({ bytes: 0, failed: 0, exit: 0 });
          expect(third.done.wireBytes).toBeLessThan(TALK_MAX_BYTES);
          await scene.expectUnchanged(before);
        },
        TEST_TIMEOUT_MS,
      );

      itOnce(
        'a layer that lies in the image more than once',
        async () => {
          const [bottom, data, greeting] = (await newBase('twice')) as [LayerSpec, LayerSpec, LayerSpec];
          await onTarget('twice/base:1', [bottom, data, greeting]);
          const changed = newLayer();
          const both = await onSource('twice/app:1', [bottom, data, greeting, changed, greeting, changed]);
          const { plan, images } = await moved(scene, ['twice/app:1']);
          // A classic store finds a layer by what is below it: the greeting is missing on top of the change.
          const missing = target === '20' ? 2 : 1;
          expect(plan).toEqual([expect.objectContaining({ layers: 4, layersMissing: missing })]);
          expect(images).toEqual([
            expect.objectContaining({ layersSent: missing, layersSkipped: 4 - missing }),
          ]);
          expect(images[0]?.wireBytes).toBeLessThan(1.1 * lastLayer(both).bytes + TALK_MAX_BYTES);
          await expectWhole(both, 'twice');
        },
        TEST_TIMEOUT_MS,
      );

      itOnce(
        'images that share a base, in one run: it travels once',
        async () => {
          const layers = await newBase('shared');
          const left = await onSource('shared/left:1', [...layers, newLayer()]);
          const right = await onSource('shared/right:1', [...layers, newLayer()]);
          const { plan, images, done } = await moved(scene, ['shared/left:1', 'shared/right:1']);
          expect(plan.map(({ layersMissing }) => layersMissing)).toEqual([4, 1]);
          expect(images).toEqual([
            expect.objectContaining({ layersSent: 4, layersSkipped: 0 }),
            expect.objectContaining({ layersSent: 1, layersSkipped: 3 }),
          ]);
          const sizes = [...left.layers, lastLayer(right)].map(({ bytes }) => bytes);
          expect(done.wireBytes).toBeLessThan(1.1 * sum(sizes) + TALK_MAX_BYTES);
          await expectWhole(left, 'shared');
          await expectWhole(right, 'shared');
        },
        TEST_TIMEOUT_MS,
      );

      itOnce(
        'outlive the image that brought them',
        async () => {
          const layers = await newBase('outlive');
          await onSource('outlive/base:1', layers);
          const app = await onSource('outlive/app:1', [...layers, newLayer()]);
          await moved(scene, ['outlive/base:1']);
          const { images } = await moved(scene, ['outlive/app:1']);
          expect(images).toEqual([expect.objectContaining({ layersSent: 1 })]);
          await scene.target.docker(['image', 'rm', 'outlive/base:1']);
          await expectWhole(app, 'outlive');
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'are asked for again when they are removed during the transfer',
        async () => {
          const layers = await newBase('midway');
          await onTarget('midway/base:1', layers);
          const app = await onSource('midway/app:1', [...layers, newLayer(LONG_BYTES)]);
          await using receiver = await scene.receive();
          await using relay = await startRelay({ port: receiver.port, holdAfterBytes: HOLD_AFTER_BYTES });
          const to = `127.0.0.1:${relay.port}`;
          await using sender = scene.send(receiver, ['midway/app:1', '--json'], { to });
          expect(await receiver.imgmv.waitFor('plan')).toMatchObject({ images: [{ layersMissing: 1 }] });
          await reached(relay.held, sender);
          await scene.target.docker(['image', 'rm', 'midway/base:1']);
          relay.release();
          const { images } = await told(sender, receiver);
          expect(images).toEqual([
            expect.objectContaining({ status: 'loaded', layersSent: 4, layersSkipped: 0, error: null }),
          ]);
          await expectWhole(app, 'midway');
          await expectNothingIncoming(scene);
        },
        TEST_TIMEOUT_MS,
      );

      itOnce(
        'are asked for again when they are removed under the load',
        async () => {
          const layers = await newBase('late');
          await onTarget('late/base:1', layers);
          const app = await onSource('late/app:1', [...layers, newLayer()]);
          // It is written when all layers were found to be there, and before the engine puts them together.
          const holdAt = target === '20' ? 'manifest.json' : 'oci-layout';
          const path = join(scene.directory, 'relay.sock');
          const { socketPath } = scene.target;
          await using relay = await startEngineRelay({ socketPath, path, holdAt });
          await using receiver = await scene.receive({
            args: ['--once', '--docker-host', relay.dockerHost],
          });
          await using sender = scene.send(receiver, ['late/app:1', '--json']);
          expect(await receiver.imgmv.waitFor('plan')).toMatchObject({ images: [{ layersMissing: 1 }] });
          await reached(relay.held, sender);
          await scene.target.docker(['image', 'rm', 'late/base:1']);
          relay.release();
          const { images } = await told(sender, receiver);
          expect(images).toEqual([
            expect.objectContaining({ status: 'loaded', layersSkipped: 0, error: null }),
          ]);
          // A classic engine forgets the layer that came, too.
          expect(images[0]?.layersSent).toBeGreaterThanOrEqual(target === '20' ? 5 : 4);
          await expectWhole(app, 'late');
          await expectNothingIncoming(scene);
        },
        TEST_TIMEOUT_MS,
      );

      itOnce(
        'are asked for when the image that was to bring them fails',
        async () => {
          const layers = await newBase('failing');
          await onSource('failing/first:1', [...layers, newLayer()]);
          const next = await onSource('failing/next:1', [...layers, newLayer()]);
          const path = join(scene.directory, 'cut.sock');
          const { socketPath } = scene.target;
          const holdAt = target === '20' ? 'manifest.json' : 'oci-layout';
          await using relay = await startEngineRelay({ socketPath, path, holdAt });
          await using receiver = await scene.receive({
            args: ['--once', '--docker-host', relay.dockerHost],
          });
          const images = ['failing/first:1', 'failing/next:1', '--retries', '0'];
          await using sender = scene.send(receiver, [...images, '--json']);
          await reached(relay.held, sender);
          relay.cut();
          const end = await told(sender, receiver, 17);
          expect(end.plan.map(({ layersMissing }) => layersMissing)).toEqual([4, 1]);
          expect(end.images).toEqual([
            expect.objectContaining({ status: 'failed' }),
            expect.objectContaining({ status: 'loaded', error: null }),
          ]);
          // A containerd store keeps what came of the load that broke.
          if (target === '20') expect(end.images[1]).toMatchObject({ layersSent: 4, layersSkipped: 0 });
          await expectWhole(next, 'failing');
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'an image by id, on top of its base',
        async () => {
          const layers = await newBase('nameless');
          await onTarget('nameless/base:1', layers);
          const app = await onSource('nameless/app:1', [...layers, newLayer()]);
          const { images } = await moved(scene, [app.id]);
          expect(images).toEqual([expect.objectContaining({ layersSent: 1, layersSkipped: 3 })]);
          const id = String(images[0]?.targetId);
          await expectWhole({ ...app, name: id }, 'nameless');
          const there = await holdings(scene.target);
          expect(there).toContain(`<none>:<none> ${id}`);
          expect(String(there)).not.toContain('imgmv-incoming');
          await scene.target.docker(['image', 'rm', id]);
        },
        TEST_TIMEOUT_MS,
      );

      if (target === '28c') {
        it(
          'compressed or not: they are the same to an image',
          async () => {
            const layers = await newBase('packed');
            // The source has them the other way: a containerd source then has other blobs, and sends all.
            await loadImage(scene.target, { name: 'packed/base:1', layers, gzip: !gzip });
            const app = await onSource('packed/app:1', [...layers, newLayer()]);
            const { images } = await moved(scene, ['packed/app:1']);
            const sent = source === '20' ? 1 : 4;
            expect(images).toEqual([
              expect.objectContaining({ status: 'loaded', layersSent: sent, layersSkipped: 4 - sent }),
            ]);
            await expectWhole(app, 'packed');
            const again = await moved(scene, ['packed/app:1']);
            expect(again.images).toEqual([expect.objectContaining({ status: 'present', layersSent: 0 })]);
          },
          TEST_TIMEOUT_MS,
        );
      }

      if (source === '28c') {
        it(
          'an index image on top of its base',
          async () => {
            const layers = await newBase('index');
            await loadIndexImage(scene.source, { name: 'index/base:1', layers, gzip });
            const options = { name: 'index/app:1', layers: [...layers, newLayer()], gzip };
            const app = await loadIndexImage(scene.source, options);
            await moved(scene, ['index/base:1']);
            const { plan, images } = await moved(scene, ['index/app:1']);
            expect(plan).toEqual([expect.objectContaining({ layers: 4, layersMissing: 1 })]);
            const targetId = target === '28c' ? app.index : app.config;
            expect(images).toEqual([
              expect.objectContaining({ layersSent: 1, layersSkipped: 3, id: app.index, targetId }),
            ]);
            expect((await inspect(scene.target, 'index/app:1')).Id).toBe(targetId);
            await expectWhole(app, 'index');
            const again = await moved(scene, ['index/app:1']);
            expect(again.images).toEqual([expect.objectContaining({ status: 'present', targetId })]);
            expect(again.done.wireBytes).toBeLessThan(TALK_MAX_BYTES);
          },
          TEST_TIMEOUT_MS,
        );
      }
    },
    { required: source === '20' && target === '20' },
  );
}

describeOn('a source (20) whose clock is in a time zone', [await engineSupport('20')], () => {
  it(
    'sends the missing layers alone, though the ids of its layers cover the zone',
    async () => {
      await using scene = await startScene({ source: '20', target: '20' });
      await using source = await startEngine({ flavour: '20', timeZone: 'America/New_York' });
      const layers = [
        { ...(await busyboxLayer()), 'srv/data': { bytes: 3 * MIB, seed: 1 } },
        { 'etc/greeting': 'zone' },
      ];
      await loadImage(source, { name: 'base:1', layers });
      const app = await loadImage(source, { name: 'app:1', layers: [...layers, { 'srv/new': 'new' }] });
      for (const [name, sent, skipped] of [
        ['base:1', 2, 0],
        ['app:1', 1, 2],
      ] as const) {
        await using receiver = await scene.receive();
        const where = ['--to', `127.0.0.1:${receiver.port}`, '--code-file', receiver.codeFile];
        await using sender = runImgmv(['send', name, '--json', ...where, '--docker-host', source.dockerHost]);
        const { images } = await told(sender, receiver);
        expect(images).toMatchObject([{ status: 'loaded', layersSent: sent, layersSkipped: skipped }]);
      }
      await expectSame(scene, app, { sameId: true });
      await expectRuns(scene.target, 'app:1', 'zone');
    },
    TEST_TIMEOUT_MS,
  );
});

/** Resolves when `point` does; rejects if the sender ends before. */
async function reached(point: Promise<void>, sender: Imgmv): Promise<void> {
  const ended = sender.exit.then(() => Promise.reject(new Error(sender.stdout + sender.stderr)));
  await Promise.race([point, ended]);
}

async function expectSame({ target }: Scene, image: LoadedImage, { sameId }: { sameId: boolean }) {
  const there = await inspect(target, image.name);
  expect(there.RootFS.Layers).toEqual(image.diffIds);
  if (sameId) expect(there.Id).toBe(image.id);
  if (target.flavour === '20') expect(there.Id).toBe(image.config);
}

async function expectNothingIncoming({ target }: Scene): Promise<void> {
  const strays = (await holdings(target)).filter((line) => /imgmv-incoming|<none>|spooled/.test(line));
  expect(strays).toEqual([]);
}

function lastLayer({ layers }: LoadedImage): { readonly bytes: number } {
  const last = layers.at(-1);
  if (!last) throw new Error('an image without layers');
  return last;
}

/** Within a tenth. */
function expectAbout(bytes: unknown, want: number): void {
  expect(bytes).toBeGreaterThan(0.9 * want);
  expect(bytes).toBeLessThan(1.1 * want);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
