/** Layers that have arrived stay when a side dies or is stopped, and the next run does not get them again. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineSupport, type Flavour } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { type Imgmv, runImgmv, toldBy } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { type Relayed, startMidway } from './relayed.ts';
import { expectEnd, holdings, type Scene, startScene } from './scene.ts';

const MIB = 2 ** 20;
/** In all just enough to be committed layer by layer. */
const LAYER_BYTES = 17 * MIB;
const LAYERS = 4;
const IMAGE_BYTES = LAYERS * LAYER_BYTES;
/** A connection that is lost for good need not be waited for. */
const RECONNECT = ['--reconnect', '2s'];
const TEST_TIMEOUT_MS = 300_000;

for (const flavour of ['20', '28c'] as const satisfies readonly Flavour[]) {
  describeOn(
    `what has arrived, ${flavour} to ${flavour}`,
    [await engineSupport(flavour)],
    () => {
      let scene: Scene;
      let id: string;

      beforeAll(async () => {
        scene = await startScene({ source: flavour, target: flavour });
        // 20.10 saves layers in an order that their digests make: with these seeds the lowest comes first, on which all stand.
        const layers = Array.from({ length: LAYERS }, (_, at) => ({
          [`srv/${at}`]: { bytes: LAYER_BYTES, seed: at + 9 },
        }));
        ({ id } = await loadImage(scene.source, { name: 'big:1', layers }));
      });
      afterAll(() => scene?.[Symbol.asyncDispose]());

      /** Stands still from the moment on when all but half a layer has been sent. */
      const midway = () =>
        startMidway(scene, IMAGE_BYTES - LAYER_BYTES / 2, {
          receiveArgs: RECONNECT,
          sendArgs: ['--json', ...RECONNECT],
        });
      const helpers = async () =>
        (await holdings(scene.target)).filter((line) => line.startsWith('imgmv-incoming:'));
      const told = async (imgmv: Imgmv) => (await toldBy(imgmv)).find(({ event }) => event === 'image');
      const clean = async (...args: readonly string[]) => {
        const cleaning = runImgmv(['clean', '--json', '--docker-host', scene.target.dockerHost, ...args]);
        await expectEnd(cleaning, 0, /"cleaned"/);
        const cleaned = (await toldBy(cleaning)).find(({ event }) => event === 'cleaned');
        return cleaned as unknown as Readonly<Record<'removed' | 'kept', readonly unknown[]>> & {
          readonly freedBytes: number;
        };
      };
      const moved = async () => {
        const found = await scene.target.docker(['image', 'inspect', '--format', '{{.Id}}', 'big:1']);
        expect(found.trim()).toBe(id);
        expect(await helpers()).toEqual([]);
        await scene.target.docker(['image', 'rm', 'big:1']);
      };

      it.each<readonly [string, (run: Relayed) => unknown]>([
        ['the receiver is killed', ({ receiver }) => receiver.imgmv.kill('SIGKILL')],
        ['the sender is killed', ({ sender }) => sender.kill('SIGKILL')],
      ])(
        'is not sent again after %s',
        async (_what, strike) => {
          {
            await using run = await midway();
            await expect.poll(helpers).not.toEqual([]);
            strike(run);
            await Promise.all([run.sender.exit, run.receiver.imgmv.exit]);
          }
          expect(await scene.target.docker(['image', 'ls', '-q', 'big'])).toBe('');
          expect(await helpers()).not.toEqual([]);
          await using receiver = await scene.receive();
          await using sender = scene.send(receiver, ['big:1', '--json']);
          await expectEnd(sender, 0, /"loaded"/);
          await expectEnd(receiver.imgmv, 0, /"loaded"/);
          const again = await told(sender);
          expect(again?.layersSkipped).toBeGreaterThan(0);
          expect(again?.wireBytes).toBeLessThan(IMAGE_BYTES - LAYER_BYTES / 2);
          await moved();
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'is removed by force while its session goes on, which gets it again',
        async () => {
          await using run = await midway();
          await expect.poll(helpers, { timeout: 30_000 }).not.toEqual([]);
          expect(await clean()).toMatchObject({ removed: [] });
          const forced = await clean('--force');
          expect(forced.removed).toContainEqual(expect.objectContaining({ image: id }));
          expect(forced.kept).toEqual([]);
          expect(await helpers()).toEqual([]);
          run.relay.release();
          await expectEnd(run.sender, 0, /"loaded"/);
          await expectEnd(run.receiver.imgmv, 0, /"loaded"/);
          await moved();
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'is told after a signal, and gone after clean, which leaves alone what is under way',
        async () => {
          await using run = await midway();
          await expect.poll(helpers).not.toEqual([]);
          const during = await clean();
          expect(during).toMatchObject({ removed: [], freedBytes: 0 });
          expect(during.kept).not.toEqual([]);
          for (const one of during.kept)
            expect(one).toMatchObject({
              image: id,
              reason: expect.stringMatching(/is still running: --force/),
            });
          run.receiver.imgmv.kill('SIGINT');
          await expectEnd(run.receiver.imgmv, 130, /stopped by SIGINT/);
          await expectEnd(run.sender, 11, /the other host stopped/);
          for (const side of [run.sender, run.receiver.imgmv])
            expect(await told(side)).toMatchObject({ status: 'failed', kept: expect.any(Number) });
          expect((await told(run.receiver.imgmv))?.kept).toBeGreaterThanOrEqual(LAYER_BYTES);
          expect((await told(run.sender))?.kept).toBeGreaterThanOrEqual(LAYER_BYTES);
          const after = await clean();
          expect(after.kept).toEqual([]);
          expect(after.freedBytes).toBeGreaterThanOrEqual(LAYER_BYTES);
          expect(after.freedBytes).toBeLessThan(2 * IMAGE_BYTES);
          expect(after.removed).toContainEqual(expect.objectContaining({ image: id }));
          expect(await helpers()).toEqual([]);
          expect(await clean()).toMatchObject({ removed: [], kept: [] });
        },
        TEST_TIMEOUT_MS,
      );
    },
    { required: flavour === '20' },
  );
}
