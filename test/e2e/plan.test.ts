/** `imgmv plan`: what would be sent, and nothing of it on the target. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineSupport } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { busyboxLayer } from '../rig/layers.ts';
import { describeOn } from '../rig/suite.ts';
import { startRelay } from './relay.ts';
import { expectEnd, type Scene, startScene } from './scene.ts';

for (const flavour of ['20', '28c'] as const) {
  describeOn(
    `a plan, ${flavour}`,
    [await engineSupport(flavour)],
    () => {
      let scene: Scene;
      let base: LoadedImage;

      beforeAll(async () => {
        scene = await startScene({ source: flavour, target: flavour });
        const layers = [await busyboxLayer(), { 'etc/greeting': 'hello' }];
        base = await loadImage(scene.source, { name: 'base:1', layers });
        await loadImage(scene.target, { name: 'base:1', layers });
        await loadImage(scene.source, { name: 'above:1', layers: [...layers, { 'etc/above': 'it' }] });
        await loadImage(scene.target, { name: 'above:1', layers: [{ other: 'one' }] });
      });
      afterAll(() => scene?.[Symbol.asyncDispose]());

      it('tells per image and layer what would be sent, and leaves all as it was', async () => {
        const before = await scene.look();
        await using receiver = await scene.receive();
        await using planner = scene.send(receiver, ['base:1', 'above:1', '--json'], { command: 'plan' });
        await expectEnd(planner, 0, /"plan"/);
        await expectEnd(receiver.imgmv, 0, /"done"/);
        const { images, only } = await planner.waitFor('plan');
        expect(only).toBe(true);
        expect(images).toMatchObject([
          { id: base.id, action: 'present', layers: 2, layersMissing: 0, bytesMissing: 0, idChange: null },
          {
            action: 'send',
            layers: 3,
            layersMissing: 1,
            refs: [{ target: 'above:1', replaces: expect.stringMatching(/^[0-9a-f]{12}$/) }],
            layerList: [{ missing: false }, { missing: false }, { missing: true }],
          },
        ]);
        const estimate = await planner.waitFor('estimate');
        expect(estimate).toMatchObject({ rate: expect.any(Number), bytes: expect.any(Number) });
        expect(estimate.rate).toBeGreaterThan(0);
        expect(await planner.waitFor('done')).toMatchObject({ images: 2, failed: 0, bytes: 0, exit: 0 });
        await scene.expectUnchanged(before, receiver);
      });

      it('as text goes to standard output, as a table', async () => {
        await using receiver = await scene.receive();
        await using planner = scene.send(receiver, ['above:1'], { command: 'plan' });
        await expectEnd(planner, 0, /Paired with/);
        const [headings, image, ...more] = planner.stdout.split('\n');
        expect(headings).toMatch(/^IMAGE +PLATFORM +ACTION +LAYERS +TO SEND +OF$/);
        expect(image).toMatch(/^above:1 +linux\/amd64 +send +1 of 3 /);
        expect(more.join('\n')).toMatch(/above:1 is [0-9a-f]{12} there now, which will lose this name/);
        expect(more.filter((line) => /^ {2}[0-9a-f]{12} {3}there /.test(line))).toHaveLength(2);
        expect(more.at(-2)).toMatch(/^To send: .* before compression\. .* were sent to measure the link\.$/);
        await expectEnd(receiver.imgmv, 0, /"done"/);
      });

      it('is made though the connection breaks while the link is measured', async () => {
        await using receiver = await scene.receive();
        // More than pairing and plan have, and less than the first rounds of the measuring.
        await using relay = await startRelay({ port: receiver.port, holdAfterBytes: 150_000 });
        const to = `127.0.0.1:${relay.port}`;
        await using planner = scene.send(receiver, ['above:1', '--json'], { command: 'plan', to });
        await Promise.race([relay.held, planner.exit]);
        relay.cut();
        relay.release();
        await expectEnd(planner, 0, /"reconnecting"/);
        expect((await planner.waitFor('estimate')).rate).toBeGreaterThan(0);
        await expectEnd(receiver.imgmv, 0, /"done"/);
      });

      it('of what the target refuses ends with 16 on both sides', async () => {
        const before = await scene.look();
        await using receiver = await scene.receive({ args: ['--once', '--no-replace'] });
        await using planner = scene.send(receiver, ['above:1'], { command: 'plan' });
        await expectEnd(planner, 16, /refused: on \S+: above:1 is .* --no-replace was given/);
        await expectEnd(receiver.imgmv, 16, /"done"/);
        await scene.expectUnchanged(before, receiver);
      });
    },
    { required: flavour === '20' },
  );
}
