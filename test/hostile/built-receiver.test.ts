/** The built receiver and its real engine against a sender that knows the code and lies. docs/engines.md sections 3 and 6. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Digest } from '../../agent/model/image.ts';
import { encodeHeader, encodeTrailer } from '../../proto/entry.ts';
import { type ErrorCode, ImgmvError } from '../../proto/errors.ts';
import { expectSettled, holdings } from '../e2e/scene.ts';
import { type MemoryImage, testImage } from '../memory.ts';
import { type Engine, engineSupport, type Flavour, startEngine } from '../rig/engine.ts';
import { loadImage } from '../rig/images.ts';
import { layerTar } from '../rig/layers.ts';
import { describeOn } from '../rig/suite.ts';
import { type Program, peakMib, program } from './built.ts';
import { offered, ScriptedSender, sendBlobs } from './hosts.ts';
import {
  blobOf,
  bomb,
  descriptor,
  GIB,
  jsonBlob,
  type Lie,
  layersOf,
  metadataOf,
  remade,
  sending,
} from './lies.ts';

const MIB = 2 ** 20;
const PEAK_MAX_MIB = 250;
/** As agent/docker/helpers.ts makes them. */
const PRIVATE_TAG = '0123456789ab-01234567-1700000000-4711.275813-1';
/** An image of the target, and a name that the liars are after. */
const VICTIM = 'alpine:latest';
/** More of its names, one for each lie. */
const victim = (number: number) => `victim:${number}`;
const OTHER: Digest = `sha256:${'ab'.repeat(32)}`;
const FLAVOURS: readonly Flavour[] = ['20', '28c'];

type Liar = (honest: MemoryImage, other: MemoryImage) => Lie;

/** Each goes for a name of an image that is there. What is told is `integrity` where no code stands. */
const lies: readonly (readonly [title: string, lie: Liar, code?: Partial<Record<Flavour, ErrorCode>>])[] = [
  ['a layer more than offered', (image, other) => sending(image, layersOf(other)[1], ...image.blobs)],
  [
    'a layer in place of another',
    (image, other) => sending(image, layersOf(image)[0], layersOf(other)[1], ...metadataOf(image)),
  ],
  ['a layer twice', (image) => sending(image, layersOf(image)[0], ...image.blobs)],
  ['a layer less than promised', (image) => sending(image, ...image.blobs.slice(1))],
  ['no metadata', (image) => sending(image, ...layersOf(image))],
  [
    'the metadata of another image',
    (image, other) => sending(image, ...layersOf(image), ...metadataOf(other)),
  ],
  ['nothing at all', (image) => sending(image)],
  [
    'a plan that swaps its layers',
    (image) => ({ image, change: { diffIds: image.image.diffIds.toReversed() } }),
  ],
  [
    'a plan with the layers of another image',
    (image, { image: { diffIds, layers } }) => ({ image, change: { diffIds, layers } }),
  ],
  [
    'the root of another image',
    (image) => ({ image, change: { root: { ...image.image.root, digest: OTHER } } }),
  ],
  [
    'an index that nobody asked for',
    (image) => sending(image, ...image.blobs, jsonBlob('index', { manifests: [] })),
  ],
  [
    'a config of two million brackets',
    (image) => ({
      image: remade(image, { configBytes: Buffer.from('['.repeat(2 * MIB - 1) + ']'.repeat(2 * MIB - 1)) }),
    }),
  ],
  [
    'an image for windows that is said to be for linux',
    (image) => ({ image: remade(image, { config: { os: 'windows' } }) }),
    { 20: 'engine-refused' },
  ],
  [
    'a layer that is no archive',
    (image) => ({
      image: remade(image, {
        layers: [blobOf('layer', Buffer.alloc(4_096, 'no tar')), ...layersOf(image).slice(1)],
      }),
    }),
    { 20: 'engine-refused', '28c': 'engine-refused' },
  ],
  [
    'a config that names its layers the other way round',
    (image) => ({
      image: remade(image, {
        config: { rootfs: { type: 'layers', diff_ids: image.image.diffIds.toReversed() } },
      }),
    }),
    { '28c': 'engine-refused' },
  ],
];

/** All that an archive could say of names. */
const PLANTED = {
  'io.containerd.image.name': `docker.io/library/${VICTIM}`,
  'org.opencontainers.image.ref.name': 'latest',
};

type Plant = readonly [
  title: string,
  plant: (honest: MemoryImage) => Promise<MemoryImage>,
  store?: 'containerd',
];

/** They are what they say, and would take the victim's name on the way. */
const plants: readonly Plant[] = [
  [
    'a config with names',
    async (image) =>
      remade(image, { config: { RepoTags: [VICTIM], repo_tags: [VICTIM], config: { Labels: PLANTED } } }),
  ],
  [
    'a layer that is an archive of its own',
    async (image) => {
      const archive = {
        'manifest.json': JSON.stringify([{ Config: 'c.json', RepoTags: [VICTIM], Layers: [] }]),
        repositories: JSON.stringify({ alpine: { latest: '0'.repeat(64) } }),
        'index.json': JSON.stringify({ schemaVersion: 2, manifests: [{ annotations: PLANTED }] }),
        'oci-layout': JSON.stringify({ imageLayoutVersion: '1.0.0' }),
      };
      return remade(image, {
        layers: [blobOf('layer', await layerTar(archive)), ...layersOf(image).slice(1)],
      });
    },
  ],
  [
    'a manifest with names',
    async (image) => remade(image, { manifest: { annotations: PLANTED } }),
    'containerd',
  ],
  [
    'an index of an index with names',
    async (image) =>
      remade(image, {
        above: (manifest) => {
          const type = 'application/vnd.oci.image';
          const platform = { os: 'linux', architecture: 'amd64' };
          const of = (mediaType: string, child: ReturnType<typeof blobOf>) =>
            jsonBlob('index', {
              schemaVersion: 2,
              mediaType: `${type}.index.v1+json`,
              annotations: PLANTED,
              manifests: [{ ...descriptor(mediaType, child), platform, annotations: PLANTED }],
            });
          const inner = of(`${type}.manifest.v1+json`, manifest);
          return [inner, of(`${type}.index.v1+json`, inner)];
        },
      }),
    'containerd',
  ],
];

for (const flavour of FLAVOURS) {
  const store = flavour === '28c' ? 'containerd' : 'classic';
  describeOn(
    `the built receiver on ${flavour}, and a sender that knows the code and lies`,
    [await engineSupport(flavour)],
    () => {
      let engine: Engine;
      let built: Program;

      beforeAll(async () => {
        engine = await startEngine({ flavour });
        built = await program(engine);
        await loadImage(engine, { name: VICTIM, layers: [{ 'etc/alpine-release': '3' }] });
      });
      afterAll(async () => {
        await built?.[Symbol.asyncDispose]();
        await engine?.[Symbol.asyncDispose]();
      });

      const honest = (name: string) =>
        testImage({ name, store, layers: [{ 'srv/a': `${name} a` }, { 'srv/b': `${name} b` }] });

      /** Fails unless it ends with `exit` and no crash, and the engine then holds what it did, and `added`. */
      async function harmless(
        exit: number,
        attack: (evil: ScriptedSender, peak: () => Promise<number>) => Promise<void>,
        added: readonly string[] = [],
      ): Promise<void> {
        const before = await holdings(engine);
        await using receiver = await built.receive();
        const evil = await ScriptedSender.pairBy(receiver.port, receiver.code);
        await attack(evil, () => peakMib(receiver.imgmv));
        const { code, signal } = await receiver.imgmv.exit;
        const { stdout, stderr } = receiver.imgmv;
        expect({ code, signal, stderr, stdout }).toEqual({
          code: exit,
          signal: null,
          stderr: '',
          stdout: expect.not.stringContaining('"internal"'),
        });
        for (const name of added) await engine.docker(['image', 'rm', name]);
        await expectSettled(() => holdings(engine), before);
      }

      /** Offers, sends and ends well; gives the result. */
      async function move(evil: ScriptedSender, { image, change }: Lie) {
        const { items } = await evil.offer([image], change);
        expect(items).toMatchObject([{ action: 'send' }]);
        const lane = await evil.lane();
        await sendBlobs(lane, 0, image.blobs);
        const result = await evil.hear('result');
        await evil.say({ type: 'finish' });
        await Promise.all([evil.end(), lane.end()]);
        return result;
      }

      it('the script itself is sound: told to be honest, it moves an image', async () => {
        const image = await honest('web:1.0');
        await harmless(
          0,
          async (evil) => {
            expect(await move(evil, { image })).toMatchObject({ status: 'loaded' });
            expect(await holdings(engine)).toContain(`web:1.0 ${image.image.id}`);
          },
          ['web:1.0'],
        );
      });

      it(`${lies.length} lies in one session: nothing of them is loaded, each is told, and an honest image moves`, async () => {
        const names = lies.map((_, number) => victim(number));
        for (const name of names) await engine.docker(['tag', VICTIM, name]);
        const told: Record<string, string | undefined> = {};
        await harmless(
          17,
          async (evil) => {
            const all = await Promise.all(
              lies.map(async ([, lie], number) =>
                lie(await honest(victim(number)), await honest(`other:${number}`)),
              ),
            );
            const last = await honest('web:1.0');
            const offers = [...all, { image: last }].map(({ image, change }: Lie, number) => ({
              ...offered(image, number),
              ...change,
            }));
            await evil.say({ type: 'offer', items: offers, last: true });
            const { items } = await evil.hear('answer');
            expect(items.map(({ action }) => action)).toEqual(offers.map(() => 'send'));
            const lane = await evil.lane();
            for (const [number, { image }] of [...all, { image: last }].entries()) {
              await sendBlobs(lane, number, image.blobs);
              const result = await evil.hear('result');
              expect(result.item).toBe(number);
              told[lies[number]?.[0] ?? 'honest'] = result.error?.code ?? result.status;
            }
            await evil.say({ type: 'finish' });
            await Promise.all([evil.end(), lane.end()]);
          },
          ['web:1.0'],
        );
        const want = lies.map(([title, , code]) => [title, code?.[flavour] ?? 'integrity'] as const);
        expect(told).toEqual({ ...Object.fromEntries(want), honest: 'loaded' });
        await engine.docker(['image', 'rm', ...names]);
      });

      const planted = plants.filter(([, , only]) => only === undefined || only === store);
      it.each(planted.map(([title, plant]) => [title, plant] as const))(
        '%s is loaded under the offered name, and under no other',
        async (_title, plant) => {
          const image = await plant(await honest('web:1.0'));
          await harmless(
            0,
            async (evil) => {
              const before = await holdings(engine);
              expect(await move(evil, { image })).toMatchObject({ status: 'loaded' });
              const want = [...before, `web:1.0 ${image.image.id}`].sort();
              await expectSettled(() => holdings(engine), want);
            },
            ['web:1.0'],
          );
        },
      );

      it.each([
        [`imgmv-incoming:${PRIVATE_TAG}`],
        [`docker.io/library/imgmv-incoming:${PRIVATE_TAG}`],
        [`index.docker.io/imgmv-incoming:${PRIVATE_TAG}`],
      ])('%s, a name for incomplete images, is refused however it is spelled', async (name) => {
        const image = await honest(name);
        await harmless(16, async (evil) => {
          expect((await evil.offer([image])).items).toMatchObject([{ action: 'refuse' }]);
          await evil.say({ type: 'finish' });
          await evil.end();
        });
      });

      it('one name for two images, spelled in two ways, is refused, also one by one', async () => {
        const images = await Promise.all(['web:1.0', 'docker.io/library/web:1.0'].map(honest));
        await harmless(11, async (evil) => {
          const { items: answers } = await evil.offer(images);
          expect(answers.map(({ action }) => action)).toEqual(['refuse', 'refuse']);
          // Nor does either get it by being tried again without the other one.
          for (const item of [0, 1]) {
            await evil.say({ type: 'retry', items: [item], attempt: item + 1, waitMs: 0 });
            expect((await evil.hear('answer')).items).toMatchObject([{ item, action: 'refuse' }]);
          }
          evil.control.lane.fail(new ImgmvError('sigterm', 'enough'));
        });
      });

      const bombs = [
        ['33 kB that become a GiB, declared as a MiB', MIB],
        ['33 kB that become a GiB, declared as that', GIB],
      ] as const;
      it.each(bombs.filter(([, size]) => size === MIB || store === 'classic'))(
        '%s: bounded memory, and nothing is loaded',
        async (_title, size) => {
          const image = await honest(VICTIM);
          await harmless(13, async (evil, peak) => {
            await evil.offer([image]);
            const lane = await evil.lane();
            const body = bomb();
            const length = Buffer.alloc(4);
            length.writeUInt32BE(body.length);
            const digest = layersOf(image)[0]?.digest;
            // What a body of a GiB may take on the lane is far more than this one does: the bounds are in its output.
            await lane.write(
              encodeHeader({ type: 'blob', kind: 'layer', item: 0, encoding: 'zstd', size, digest }),
              length,
              body,
              Buffer.alloc(4),
              encodeTrailer({ complete: true, size }),
              encodeHeader({ type: 'end', item: 0, blobs: 1, complete: true }),
            );
            const result = await evil.hear('result');
            expect(result).toMatchObject({ status: 'failed', error: { code: 'integrity' } });
            const mib = await peak();
            console.log(`${flavour}: ${mib} MiB at most`);
            expect(mib).toBeLessThan(PEAK_MAX_MIB);
            await evil.say({ type: 'finish' });
            await Promise.all([evil.end(), lane.end()]);
          });
        },
      );

      it('an offer of one-byte records: it is taken, in bounded memory', async () => {
        await harmless(0, async (evil, peak) => {
          const json = Buffer.from(
            JSON.stringify({ type: 'offer', items: [], last: true, x: 'x'.repeat(20_000) }),
          );
          const length = Buffer.alloc(4);
          length.writeUInt32BE(json.length);
          for (const byte of Buffer.concat([length, json])) await evil.control.lane.write(Buffer.of(byte));
          await evil.hear('answer');
          const mib = await peak();
          console.log(`${flavour}: ${mib} MiB at most`);
          expect(mib).toBeLessThan(PEAK_MAX_MIB);
          await evil.say({ type: 'finish' });
          await evil.end();
        });
      });
    },
    { required: flavour === '20' },
  );
}
