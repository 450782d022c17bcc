/** A disk that is too full is told in the plan, before anything travels. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Engine, engineSupport } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import type { Place } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { expectEnd, holdings, type Scene, startScene } from './scene.ts';

const MIB = 2 ** 20;
/** docker load takes this twice, once as it comes and once unpacked: more than the target has. */
const BIG_BYTES = 90 * MIB;
const TARGET_BYTES = 128 * MIB;

/** An engine's data is on a tmpfs that only those see who share the daemon's mounts. */
const beside = ({ pid }: Engine): Place => ({
  argv: (command) => ['nsenter', `--mount=/proc/${pid}/ns/mnt`, ...command],
});

describeOn(
  'a target with little room',
  [await engineSupport('20')],
  () => {
    let scene: Scene;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20', targetBytes: TARGET_BYTES });
      await loadImage(scene.source, { name: 'big:1', layers: [{ big: { bytes: BIG_BYTES, seed: 1 } }] });
      await loadImage(scene.source, { name: 'small:1', layers: [{ small: 'one' }] });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());

    it('refuses what does not fit, and takes what does', async () => {
      await using receiver = await scene.receive({ host: beside(scene.target) });
      await using sender = scene.send(receiver, ['big:1', 'small:1', '--json']);
      await expectEnd(
        sender,
        17,
        /it needs 189 MB under \S+ on the target while it is loaded, and 1[0-9]{2} MB are free/,
      );
      await expectEnd(receiver.imgmv, 17, /"done"/);
      expect(await sender.waitFor('plan')).toMatchObject({
        images: [{ action: 'refuse', bytesMissing: 0 }, { action: 'send' }],
      });
      expect((await holdings(scene.target)).map((held) => held.split(' ')[0])).toEqual(['small:1']);
    });

    it('takes it with --ignore-space, and tells what docker makes of it, once', async () => {
      const before = await scene.look();
      await using receiver = await scene.receive({
        args: ['--once', '--ignore-space'],
        host: beside(scene.target),
      });
      await using sender = scene.send(receiver, ['big:1', '--json']);
      for (const imgmv of [sender, receiver.imgmv]) {
        await expectEnd(imgmv, 14, /no space left on device/);
        expect(imgmv.stdout).toMatch(/free some room on the disk of docker/);
        expect(imgmv.stdout).not.toContain('"retrying"');
      }
      await scene.expectUnchanged(before, receiver);
    });
  },
  { required: true },
);

describeOn(
  'a source with little room',
  [await engineSupport('20')],
  () => {
    let scene: Scene;

    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20', sourceBytes: 2.5 * BIG_BYTES });
      await loadImage(scene.source, { name: 'big:1', layers: [{ big: { bytes: BIG_BYTES, seed: 1 } }] });
      await loadImage(scene.source, {
        name: 'fill:1',
        layers: [{ fill: { bytes: BIG_BYTES / 2, seed: 2 } }],
      });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());

    it('does not begin to save what there is no room for, and sends what there is room for', async () => {
      await using receiver = await scene.receive();
      await using sender = scene.send(receiver, ['big:1', 'fill:1', '--json'], {
        host: beside(scene.source),
      });
      await expectEnd(
        sender,
        17,
        /it needs 95 MB under \S+ on the source while it is saved, and [0-9]{2} MB are/,
      );
      await expectEnd(receiver.imgmv, 17, /while it is saved/);
      expect(await sender.waitFor('plan')).toMatchObject({
        images: [{ action: 'refuse', bytesMissing: 0 }, { action: 'send' }],
      });
      expect((await holdings(scene.target)).map((held) => held.split(' ')[0])).toEqual(['fill:1']);
    });

    it('tries with --ignore-space, and tells what docker makes of it, once', async () => {
      const before = await scene.look();
      await using receiver = await scene.receive();
      await using sender = scene.send(receiver, ['big:1', '--ignore-space', '--json'], {
        host: beside(scene.source),
      });
      for (const imgmv of [sender, receiver.imgmv]) {
        await expectEnd(imgmv, 14, /no space left on device/);
        expect(imgmv.stdout).not.toContain('"retrying"');
      }
      await scene.expectUnchanged(before, receiver);
    });
  },
  { required: true },
);
