/**
 * A base that an engine pulled from a registry. A containerd store keeps its layers as they came, in gzip, where
 * a classic one unpacks them: they must not travel again for that.
 */
import { readFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Engine, engineSupport, type Flavour, startEngine } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { busyboxLayer, type LayerSpec } from '../rig/layers.ts';
import { type Registry, registrySupport, startRegistry } from '../rig/registry.ts';
import { describeOn } from '../rig/suite.ts';
import { startEngineRelay } from './engine-relay.ts';
import { expectRuns, expectSavedWhole, inspect, moved, TALK_MAX_BYTES, told } from './moved.ts';
import { expectEnd, type Scene, startScene } from './scene.ts';

const DATA_BYTES = 3 * 2 ** 20;
const TEST_TIMEOUT_MS = 300_000;

const PAIRS: readonly { source: Flavour; target: Flavour }[] = [
  { source: '20', target: '28c' },
  { source: '28c', target: '28c' },
  { source: '28c', target: '20' },
];

for (const { source, target } of PAIRS) {
  // A classic engine pushes the bases, since that one compresses them.
  const supports = [await engineSupport('20'), await engineSupport('28c'), await registrySupport()];
  describeOn(`a base that was pulled, ${source} to ${target}`, supports, () => {
    let registry: Registry;
    let scene: Scene;
    let seeds = 0;

    beforeAll(async () => {
      registry = await startRegistry();
      scene = await startScene({ source, target });
    });
    afterAll(async () => {
      await scene?.[Symbol.asyncDispose]();
      await registry?.[Symbol.asyncDispose]();
    });

    /** Two layers that no other test has. */
    const newBase = async (name: string): Promise<readonly LayerSpec[]> => [
      { ...(await busyboxLayer()), 'etc/base': name },
      { 'srv/data': { bytes: DATA_BYTES, seed: ++seeds } },
    ];
    /** Puts a base into the registry and pulls it where it is wanted; gives its name. */
    const pull = async (name: string, layers: readonly LayerSpec[], engines: readonly Engine[]) => {
      const base = `${registry.address}/${name}/base:1`;
      await using publisher = await startEngine({ flavour: '20' });
      await loadImage(publisher, { name: base, layers });
      await publisher.docker(['push', base]);
      for (const engine of engines) await engine.docker(['pull', base]);
      return base;
    };
    /** One layer on top of the base, as people make it; it says `name`. */
    const build = async (name: string, base: string): Promise<string> => {
      const app = `${name}/app:1`;
      const dockerfile = `FROM ${base}\nRUN echo -n ${name} > /etc/greeting\n`;
      await scene.source.docker(['build', '--network', 'none', '--tag', app, '-'], { input: dockerfile });
      return app;
    };
    const expectWhole = async (app: string, greeting: string) => {
      const there = await inspect(scene.target, app);
      const here = await inspect(scene.source, app);
      expect(there.RootFS.Layers).toEqual(here.RootFS.Layers);
      if (source === target) expect(there.Id).toBe(here.Id);
      if (target === '28c') expect(await available(scene.target, app)).toBe(true);
      await expectRuns(scene.target, app, greeting);
      await expectSavedWhole(scene, { name: app, diffIds: here.RootFS.Layers });
    };

    if (source === '28c')
      it('that was pulled by its digest arrives without a name, and others beside it', async () => {
        const base = await pull('digest', await newBase('digest'), [scene.source]);
        const format = ['image', 'inspect', '--format', '{{index .RepoDigests 0}}'];
        const byDigest = (await scene.source.docker([...format, base])).trim();
        await scene.source.docker(['image', 'rm', base]);
        await scene.source.docker(['pull', byDigest]);
        await loadImage(scene.source, { name: 'beside:1', layers: [{ beside: 'it' }] });
        const { images } = await moved(scene, [byDigest, 'beside:1']);
        const arrived = images.map(({ status, refs }) => [
          status,
          (refs as { target: string }[]).map(({ target }) => target),
        ]);
        expect(arrived).toHaveLength(2);
        expect(arrived).toEqual(
          expect.arrayContaining([
            ['loaded', []],
            ['loaded', ['beside:1']],
          ]),
        );
        await using receiver = await scene.receive();
        await using planner = scene.send(receiver, ['--all', '--dangling', '--json'], { command: 'plan' });
        await expectEnd(planner, 0, /"plan".*beside:1/);
      });

    it(
      'does not travel, and the image outlives it',
      async () => {
        const base = await pull('pulled', await newBase('pulled'), [scene.source, scene.target]);
        const app = await build('pulled', base);
        const before = await scene.look();
        const { plan } = await moved(scene, [app], { command: 'plan' });
        expect(plan).toEqual([
          expect.objectContaining({ action: 'send', reason: null, layers: 3, layersMissing: 1 }),
        ]);
        expect(plan[0]?.layerList).toMatchObject([{ missing: false }, { missing: false }, { missing: true }]);
        expect(plan[0]?.bytesMissing).toBeLessThan(TALK_MAX_BYTES);
        await scene.expectUnchanged(before);

        const { images, done } = await moved(scene, [app]);
        expect(images).toEqual([
          expect.objectContaining({ status: 'loaded', layersSent: 1, layersSkipped: 2 }),
        ]);
        expect(done.wireBytes).toBeLessThan(TALK_MAX_BYTES);
        await expectWhole(app, 'pulled');
        if (target === '28c') {
          const held = await layersOfManifest(scene.target, base);
          expect(held.map(({ mediaType }) => mediaType)).toEqual([GZIP, GZIP]);
          const rebuilt = await layersOfManifest(scene.target, app);
          expect(rebuilt.slice(0, 2).map(({ digest, size }) => ({ digest, size }))).toEqual(
            held.map(({ digest, size }) => ({ digest, size })),
          );
        }

        const again = await moved(scene, [app, base]);
        const present = expect.objectContaining({ status: 'present', layersSent: 0 });
        expect(again.images).toEqual([present, present]);

        await scene.target.docker(['image', 'rm', base]);
        await scene.target.docker(['image', 'prune', '--force']);
        await expectWhole(app, 'pulled');
      },
      TEST_TIMEOUT_MS,
    );

    if (source === '20') {
      it(
        'travels where the target does not show what it holds, and the plan says why',
        async () => {
          const base = await pull('hidden', await newBase('hidden'), [scene.source, scene.target]);
          const app = await build('hidden', base);
          const reason = expect.stringContaining('does not show which layers it has');
          {
            await using engine = await withoutContent(scene, 'plan.sock');
            await using receiver = await scene.receive(engine.receive);
            await using planner = scene.send(receiver, [app], { command: 'plan' });
            await expectEnd(
              planner,
              0,
              /^hidden\/app:1 .* 3 of 3 .*\n {2}on \S+: the target does not show which layers/m,
            );
            await expectEnd(receiver.imgmv, 0, /"done"/);
          }
          await using engine = await withoutContent(scene, 'send.sock');
          await using receiver = await scene.receive(engine.receive);
          await using sender = scene.send(receiver, [app, '--json']);
          const { plan, images } = await told(sender, receiver);
          expect(plan).toEqual([expect.objectContaining({ action: 'send', reason, layersMissing: 3 })]);
          expect(images).toEqual([expect.objectContaining({ status: 'loaded', layersSent: 3 })]);
          await expectWhole(app, 'hidden');
        },
        TEST_TIMEOUT_MS,
      );
    }

    if (source === '28c' && target === '28c') {
      it(
        'travels to a target that holds it uncompressed, since the image names the blobs, and the plan says so',
        async () => {
          const layers = await newBase('loaded');
          const base = await pull('loaded', layers, [scene.source]);
          await loadImage(scene.target, { name: 'loaded/base:1', layers });
          const app = await build('loaded', base);
          const { plan, images } = await moved(scene, [app]);
          expect(plan).toEqual([
            expect.objectContaining({
              action: 'send',
              reason: expect.stringMatching(/^on \S+: 2 of the layers are there in another compression/),
              layersMissing: 3,
            }),
          ]);
          expect(images).toEqual([expect.objectContaining({ status: 'loaded', layersSent: 3 })]);
          await expectWhole(app, 'loaded');
          await scene.target.docker(['image', 'rm', 'loaded/base:1']);
          await expectWhole(app, 'loaded');
        },
        TEST_TIMEOUT_MS,
      );
    }
  });
}

const GZIP = 'application/vnd.docker.image.rootfs.diff.tar.gzip';
const BLOBS = 'containerd/daemon/io.containerd.content.v1.content/blobs/sha256';

interface Layer {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** Out of the manifest that a containerd store has as the image's root. */
async function layersOfManifest(engine: Engine, name: string): Promise<readonly Layer[]> {
  const { Id } = await inspect(engine, name);
  const bytes = await readFile(join(engine.dataRoot, BLOBS, Id.replace('sha256:', '')), 'utf8');
  return (JSON.parse(bytes) as { readonly layers: readonly Layer[] }).layers;
}

/** Whether a containerd store says that it has all of an image; this host's docker is too old to tell. */
async function available({ socketPath }: Engine, name: string): Promise<boolean> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ socketPath, path: `/images/${name}/json?manifests=1` }, resolve).once('error', reject);
  });
  const { Manifests } = (await json(response)) as { Manifests: readonly { Available: boolean }[] };
  return Manifests.length > 0 && Manifests.every(({ Available }) => Available);
}

/** The target, but for the API that shows its blobs, as older engines are. */
async function withoutContent({ target, directory }: Scene, socket: string) {
  const path = join(directory, socket);
  const relay = await startEngineRelay({ socketPath: target.socketPath, path, holdAt: 'POST /grpc' });
  relay.held.then(() => relay.cut());
  return {
    receive: { args: ['--once', '--docker-host', relay.dockerHost] },
    [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose](),
  };
}
