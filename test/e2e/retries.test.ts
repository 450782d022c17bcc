/** An engine that dies and comes back on the way: what failed is tried again in the same session. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineSupport, type Flavour } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { type Imgmv, toldBy } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { startMidway } from './relayed.ts';
import { expectEnd, expectGone, expectSettled, holdings, type Scene, startScene } from './scene.ts';

const MIB = 2 ** 20;
const LAYER_BYTES = 36 * MIB;
const HOLD_AFTER_BYTES = 40 * MIB;
const SENDER = ['--json', '--reconnect', '10s'];
const TEST_TIMEOUT_MS = 300_000;

for (const flavour of ['20', '28c'] as const satisfies readonly Flavour[]) {
  describeOn(
    `an engine that comes back, ${flavour} to ${flavour}`,
    [await engineSupport(flavour)],
    () => {
      let scene: Scene;
      let id: string;

      beforeAll(async () => {
        scene = await startScene({ source: flavour, target: flavour });
        // Large enough to be committed layer by layer.
        const large = (...seeds: readonly number[]) =>
          seeds.map((seed) => ({ [`srv/${seed}`]: { bytes: LAYER_BYTES, seed } }));
        ({ id } = await loadImage(scene.source, { name: 'big:1', layers: large(1, 2) }));
        await loadImage(scene.source, { name: 'other:1', layers: large(3, 4) });
        await loadImage(scene.source, { name: 'small:1', layers: [{ small: 'one' }] });
      });
      afterAll(() => scene?.[Symbol.asyncDispose]());

      const told = async (imgmv: Imgmv) =>
        (await toldBy(imgmv)).flatMap((event) => {
          if (event.event !== 'retrying' && event.event !== 'image') return [];
          const [ref] = event.refs as readonly { target: string }[];
          return `${ref?.target} ${event.status ?? event.event}`;
        });

      it.each(['source', 'target'] as const)(
        'at the %s: all arrives, both sides end well, and nothing is left',
        async (side) => {
          const images = ['big:1', 'small:1'];
          // However long the engine takes to come back.
          const sendArgs = [...SENDER, '--retries', '20'];
          await using run = await startMidway(scene, HOLD_AFTER_BYTES, { images, sendArgs });
          scene[side].kill('SIGKILL');
          run.relay.release();
          await run.sender.waitFor('retrying');
          await scene[side].restart();
          await expectEnd(run.sender, 0, /"retrying".*"loaded"/s);
          await expectEnd(run.receiver.imgmv, 0, /"retrying".*"loaded"/s);
          for (const process of [run.sender, run.receiver.imgmv]) {
            const lines = await told(process);
            expect(lines.filter((line) => line.endsWith('loaded')).sort()).toEqual([
              'big:1 loaded',
              'small:1 loaded',
            ]);
            expect(lines).toContain('big:1 retrying');
            expect(lines.filter((line) => line.endsWith('failed'))).toEqual([]);
          }
          const names = async () =>
            (await holdings(scene.target)).map((line) => line.split(' ')[0]).sort() as readonly string[];
          await expectSettled(names, images);
          const found = await scene.target.docker(['image', 'inspect', '--format', '{{.Id}}', 'big:1']);
          expect(found.trim()).toBe(id);
          await scene.target.docker(['image', 'rm', ...images]);
          await expectGone(run.receiver);
        },
        TEST_TIMEOUT_MS,
      );

      // It comes last: the engine of the target stays dead.
      it(
        'is waited for as often as was asked for, and no more',
        async () => {
          const sendArgs = [...SENDER, '--retries', '1'];
          const images = ['other:1'];
          await using run = await startMidway(scene, HOLD_AFTER_BYTES, { images, sendArgs });
          scene.target.kill('SIGKILL');
          run.relay.release();
          await expectEnd(run.sender, 14, /lost the docker engine at unix:/);
          await expectEnd(run.receiver.imgmv, 14, /lost the docker engine at unix:/);
          for (const process of [run.sender, run.receiver.imgmv])
            expect(await told(process)).toEqual(['other:1 retrying', 'other:1 failed']);
          await expectGone(run.receiver);
        },
        TEST_TIMEOUT_MS,
      );
    },
    { required: flavour === '20' },
  );
}
