/** Podman's service as source and as target, by the API that docker's command line speaks to it. */
import { get } from 'node:http';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Engine, engineSupport, type Flavour, startEngine } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { runImgmv, toldBy } from '../rig/imgmv.ts';
import { busyboxLayer, type LayerSpec } from '../rig/layers.ts';
import { startRegistry } from '../rig/registry.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { expectRuns, expectSavedWhole, inspect, moved } from './moved.ts';
import { startMidway } from './relayed.ts';
import { type Between, expectEnd, holdings, sceneOf } from './scene.ts';

const MIB = 2 ** 20;
/** In all just enough to be committed layer by layer. */
const LAYER_BYTES = 17 * MIB;
const TEST_TIMEOUT_MS = 300_000;
const RECONNECT = ['--reconnect', '2s'];

for (const other of ['20', '28c'] as const satisfies readonly Flavour[]) {
  const supports = [await engineSupport('podman'), await engineSupport(other)];
  describeOn(
    `podman and ${other}`,
    supports,
    () => {
      let docker: Engine;
      let podman: Engine;
      let directory: ScratchDirectory;
      let into: Between;
      let outOf: Between;
      let seeds = 0;

      beforeAll(async () => {
        directory = await scratchDirectory();
        docker = await startEngine({ flavour: other });
        podman = await startEngine({ flavour: 'podman' });
        into = sceneOf(docker, podman, directory.path);
        outOf = sceneOf(podman, docker, directory.path);
      });
      afterAll(async () => {
        for (const one of [docker, podman, directory]) await one?.[Symbol.asyncDispose]();
      });

      /** As a pull leaves them in a containerd store: in gzip. */
      const onDocker = (name: string, layers: readonly LayerSpec[]) =>
        loadImage(docker, {
          name,
          layers,
          gzip: other === '28c',
          config: { Healthcheck: { Test: ['CMD', 'true'] } },
        });
      const newBase = async (name: string): Promise<readonly LayerSpec[]> => [
        { ...(await busyboxLayer()), 'etc/base': name },
        { 'srv/data': { bytes: 3 * MIB, seed: ++seeds } },
        { 'etc/greeting': name },
      ];

      it(
        'takes an image, then only the layers that the next one has more, and gives them back',
        async () => {
          const layers = await newBase('both');
          const base = await onDocker('both/base:1', layers);
          const app = await onDocker('both/app:1', [
            ...layers,
            { 'srv/changed': { bytes: MIB, seed: ++seeds } },
          ]);
          const first = await moved(into, ['both/base:1']);
          expect(first.images).toMatchObject([{ status: 'loaded', layersSent: 3 }]);
          const second = await moved(into, ['both/app:1']);
          expect(second.plan).toMatchObject([{ action: 'send', layers: 4, layersMissing: 1 }]);
          expect(second.images).toMatchObject([{ status: 'loaded', layersSent: 1, layersSkipped: 3 }]);
          for (const { name, config, diffIds } of [base, app]) {
            expect(await inspect(podman, name)).toMatchObject({
              Id: config,
              RootFS: { Layers: diffIds },
            });
            await expectRuns(podman, name, 'both');
            await expectSavedWhole(into, { name, diffIds });
          }
          // Docker's API has no health check there.
          const shown = await libpod(podman, `/images/${encodeURIComponent('docker.io/both/app:1')}/json`);
          expect(shown).toMatchObject({ Healthcheck: { Test: ['CMD', 'true'] } });
          const third = await moved(into, ['both/app:1']);
          expect(third.plan).toMatchObject([{ action: 'present', bytesMissing: 0 }]);

          await docker.docker(['image', 'rm', 'both/app:1', 'both/base:1']);
          const back = await moved(outOf, ['both/base:1', 'both/app:1']);
          expect(back.images).toMatchObject([{ status: 'loaded' }, { status: 'loaded', layersSkipped: 3 }]);
          expect(await inspect(docker, 'both/app:1')).toMatchObject({ RootFS: { Layers: app.diffIds } });
          if (other === '20') expect((await inspect(docker, 'both/app:1')).Id).toBe(app.config);
          await expectRuns(docker, 'both/app:1', 'both');
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'takes an image under another name, and by its id, and gives it by id',
        async () => {
          const image = await onDocker('named/web:1', await newBase('named'));
          await moved(into, ['named/web:1', '--as', 'web:renamed']);
          const there = await inspect(podman, 'web:renamed');
          expect(there).toMatchObject({ Id: image.config, RepoTags: ['docker.io/library/web:renamed'] });
          await podman.docker(['image', 'rm', 'web:renamed']);
          const { images } = await moved(into, [image.id]);
          expect(images).toMatchObject([{ status: 'loaded' }]);
          expect((await holdings(podman)).filter((line) => line.includes(image.config))).toEqual([
            `<none>:<none> ${image.config}`,
          ]);
          await docker.docker(['image', 'rm', 'named/web:1']);
          await moved(outOf, [image.config]);
          expect((await holdings(docker)).filter((line) => line.startsWith('<none>'))).toHaveLength(1);
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'does not take a name of `localhost/` for the one of docker.io',
        async () => {
          const layers = await newBase('short');
          const { config } = await onDocker('short:1', layers);
          const { Id: local } = await localImage(podman, 'localhost/short:1');
          const { plan } = await moved(into, ['short:1'], { command: 'send' });
          expect(plan).toMatchObject([{ action: 'send' }]);
          expect(plan[0]?.refs ?? plan[0]?.names).not.toContainEqual(
            expect.objectContaining({ replaces: expect.anything() }),
          );
          const held = await holdings(podman);
          expect(held).toContain(`short:1 ${config}`);
          expect(held).toContain(`localhost/short:1 ${local}`);

          await podman.docker(['image', 'rm', 'docker.io/library/short:1']);
          await using receiver = await outOf.receive();
          await using sender = outOf.send(receiver, ['short:1']);
          await expectEnd(sender, 10, /no such image.*did you mean localhost\/short:1\?/s);
          await moved(outOf, ['localhost/short:1']);
          const { RootFS } = await inspect(podman, 'localhost/short:1');
          expect(await inspect(docker, 'localhost/short:1')).toMatchObject({ RootFS });
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'gives what runs there',
        async () => {
          const { name } = await onDocker('runs/now:1', await newBase('runs'));
          await onDocker('runs/not:1', await newBase('not'));
          await moved(into, [name, 'runs/not:1']);
          await docker.docker(['image', 'rm', name, 'runs/not:1']);
          const container = await podman.docker(['run', '--detach', '--network=none', name, 'sleep', '600']);
          try {
            const { images } = await moved(outOf, ['--running']);
            expect(images).toMatchObject([{ status: 'loaded' }]);
            const held = (await holdings(docker)).join();
            expect(held).toContain(`${name} sha256:`);
            expect(held).not.toContain('runs/not:1');
          } finally {
            await podman.docker(['rm', '--force', '--volumes', container.trim()]);
          }
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'pushes on what was copied into it',
        async () => {
          await using registry = await startRegistry();
          const name = `${registry.address}/team/pod:1`;
          await onDocker(name, await newBase('pushed'));
          const hosts = ['--src-docker-host', docker.dockerHost, '--dest-docker-host', podman.dockerHost];
          const places = [`docker-daemon:${name}`, 'docker-daemon:'];
          await using copy = runImgmv(['copy', ...places, ...hosts, '--push', '--json']);
          const images = (await toldBy(copy)).filter(({ event }) => event === 'image');
          const digest = await registry.digestOf('team/pod', '1');
          expect(digest).toMatch(/^sha256:/);
          expect(images).toMatchObject([{ status: 'loaded', pushed: [{ ref: name, digest, error: null }] }]);
        },
        TEST_TIMEOUT_MS,
      );

      it(
        'keeps what has arrived when the receiver is killed',
        async () => {
          const layers = Array.from({ length: 4 }, (_, at) => ({
            [`srv/${at}`]: { bytes: LAYER_BYTES, seed: at + 9 },
          }));
          const { config, diffIds } = await loadImage(docker, { name: 'big:1', layers });
          {
            await using run = await startMidway(into, 3.5 * LAYER_BYTES, {
              receiveArgs: RECONNECT,
              sendArgs: ['--json', ...RECONNECT],
            });
            await expect.poll(async () => (await holdings(podman)).join()).toContain('imgmv-incoming:');
            run.receiver.imgmv.kill('SIGKILL');
            await Promise.all([run.sender.exit, run.receiver.imgmv.exit]);
          }
          await using receiver = await into.receive();
          await using sender = into.send(receiver, ['big:1', '--json']);
          await expectEnd(sender, 0, /"loaded"/);
          await expectEnd(receiver.imgmv, 0, /"loaded"/);
          expect(Number((await sender.waitFor('image')).layersSkipped)).toBeGreaterThan(0);
          expect(await inspect(podman, 'big:1')).toMatchObject({ Id: config, RootFS: { Layers: diffIds } });
          expect((await holdings(podman)).join()).not.toContain('imgmv-incoming:');
        },
        TEST_TIMEOUT_MS,
      );
    },
    { required: other === '20' },
  );
}

/** What podman answers by an API of its own. */
async function libpod({ socketPath }: Engine, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path: `/v4.0.0/libpod${path}` }, (response) => json(response).then(resolve, reject)).on(
      'error',
      reject,
    );
  });
}

/** An image that was built here, as podman calls such. */
async function localImage(podman: Engine, name: string): Promise<{ readonly Id: string }> {
  await podman.docker(['import', '-', name], { input: Buffer.alloc(1024) });
  return inspect(podman, name);
}
