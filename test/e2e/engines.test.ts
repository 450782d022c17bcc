/** Every pair of engines: what the target has afterwards, and that it runs. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { engineSupport, type Flavour } from '../rig/engine.ts';
import { type LoadedImage, loadImage, loadIndexImage } from '../rig/images.ts';
import { busyboxLayer } from '../rig/layers.ts';
import { describeOn } from '../rig/suite.ts';
import { expectGone, holdings, type Scene, startScene } from './scene.ts';

const GREETING = 'hello from the source';
const PAIRS: readonly { source: Flavour; target: Flavour }[] = [
  { source: '20', target: '20' },
  { source: '20', target: '28c' },
  { source: '28c', target: '20' },
  { source: '28c', target: '28c' },
];

for (const { source, target } of PAIRS) {
  const supports = [await engineSupport(source), await engineSupport(target)];
  describeOn(
    `${source} to ${target}`,
    supports,
    () => {
      let scene: Scene;
      let image: LoadedImage;

      beforeAll(async () => {
        scene = await startScene({ source, target });
        const layers = [await busyboxLayer(), { 'etc/greeting': GREETING }, { 'etc/empty': '' }];
        image = await loadImage(scene.source, { name: 'team/web:1.0', layers, config: { Env: ['A=b'] } });
      });
      afterAll(() => scene?.[Symbol.asyncDispose]());

      const move = async () => {
        const receiver = await scene.receive();
        await using _receiver = receiver;
        await using sender = scene.send(receiver, ['team/web:1.0']);
        expect([await sender.exit, sender.stderr]).toEqual([{ code: 0, signal: null }, expect.any(String)]);
        expect([await receiver.imgmv.exit, receiver.imgmv.stderr]).toEqual([{ code: 0, signal: null }, '']);
        return receiver;
      };

      it('moves an image that is the same there, and runs', async () => {
        const receiver = await move();
        const there = await inspect(scene, 'team/web:1.0');
        expect(there.RootFS.Layers).toEqual(image.diffIds);
        expect(there.Config.Env).toEqual(['A=b']);
        if (source === target) expect(there.Id).toBe(image.id);
        if (target === '20') expect(there.Id).toBe(image.config);
        const command = ['run', '--rm', '--network', 'none', 'team/web:1.0', 'cat', '/etc/greeting'];
        expect(await scene.target.docker(command)).toBe(GREETING);
        expect(await holdings(scene.target)).toEqual([`team/web:1.0 ${there.Id}`]);
        await expectGone(receiver);
      });

      it('knows the same image when it is moved again', async () => {
        await move();
        const before = await scene.look();
        await using receiver = await scene.receive();
        await using sender = scene.send(receiver, ['team/web:1.0', '--json']);
        expect((await sender.exit).code).toBe(0);
        expect((await receiver.imgmv.exit).code).toBe(0);
        const { images } = await sender.waitFor('plan');
        expect(images).toEqual([expect.objectContaining({ action: 'present', bytesMissing: 0 })]);
        await scene.expectUnchanged(before, receiver);
      });
    },
    { required: source === '20' && target === '20' },
  );
}

const containerd = await engineSupport('28c');

describeOn('an index image, 28c to 28c', [containerd], () => {
  it('keeps its id, its index and what of it is absent', async () => {
    await using scene = await startScene({ source: '28c', target: '28c' });
    const layers = [await busyboxLayer(), { 'etc/greeting': GREETING }];
    const image = await loadIndexImage(scene.source, { name: 'web:index', layers, gzip: true });
    await using receiver = await scene.receive();
    await using sender = scene.send(receiver, ['web:index']);
    expect([(await sender.exit).code, sender.stderr]).toEqual([0, expect.any(String)]);
    expect((await receiver.imgmv.exit).code).toBe(0);
    expect((await inspect(scene, 'web:index')).Id).toBe(image.index);
    expect(
      await scene.target.docker(['run', '--rm', '--network', 'none', 'web:index', 'cat', '/etc/greeting']),
    ).toBe(GREETING);
    expect(await holdings(scene.target)).toEqual([`web:index ${image.index}`]);
  });
});

interface Inspected {
  readonly Id: string;
  readonly RootFS: { readonly Layers: readonly string[] };
  readonly Config: { readonly Env: readonly string[] };
}

async function inspect(scene: Scene, name: string): Promise<Inspected> {
  const [found] = JSON.parse(await scene.target.docker(['image', 'inspect', name])) as readonly Inspected[];
  if (!found) throw new Error(`inspect ${name}: nothing`);
  return found;
}
