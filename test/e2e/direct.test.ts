/** Layers of a classic engine, read where they lie: when that is done, what is told of it, and what comes of odd ones. */
import { chmod, chown, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { engineSupport, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { runImgmv, toldBy } from '../rig/imgmv.ts';
import { layerPlaces } from '../rig/layer-files.ts';
import { busyboxLayer, type LayerSpec } from '../rig/layers.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { inspect, moved, told } from './moved.ts';
import { expectEnd, type Scene, startScene } from './scene.ts';

const MIB = 2 ** 20;
const LARGE_BYTES = 40 * MIB;
const NOBODY = 65534;

describeOn(
  'layers read where they lie, 20 to 20',
  [await engineSupport('20')],
  () => {
    let scene: Scene;
    let names = 0;
    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());
    afterEach(async () => {
      const held = (await scene.target.docker(['image', 'ls', '-q'])).split('\n').filter((id) => id !== '');
      if (held.length > 0) await scene.target.docker(['image', 'rm', '--force', ...new Set(held)]);
    });

    const small: LayerSpec = { 'data/file': 'as it was', 'data/other': 'other', empty: '' };
    /** On a base of its own: no test finds what another one has done to a layer. */
    const image = async (...layers: readonly LayerSpec[]): Promise<LoadedImage> => {
      const name = `direct:${++names}`;
      return loadImage(scene.source, { name, layers: [{ ...(await busyboxLayer()), name }, ...layers] });
    };
    const large = (seed: number): LayerSpec => ({
      [`large-${seed}/${'deep/'.repeat(30)}file`]: { bytes: LARGE_BYTES, seed },
      [`large-${seed}/file`]: 'as it was',
    });
    const direct = { host: { argv: (command: readonly string[]) => scene.source.place.argv(command) } };
    const arrived = async ({ name, id }: LoadedImage) =>
      expect((await inspect(scene.target, name)).Id).toBe(id);

    it('a plan, a move and the list say so, and nothing is saved meanwhile', async () => {
      const { name, diffIds, ...rest } = await image(small, large(1), large(2));
      const { plan, images } = await moved(scene, [name], direct);
      expect(plan).toMatchObject([{ read: 'store', readReason: null }]);
      expect(images).toMatchObject([{ status: 'loaded', read: 'store', readReason: null, layersSent: 4 }]);
      await arrived({ name, diffIds, ...rest });
      const facts = await Promise.all(
        diffIds.map(async (_, at) => (await layerPlaces(scene.source, diffIds, at)).facts),
      );
      const sizes = await Promise.all(facts.map((place) => readFile(join(place, 'size'), 'utf8')));
      await using listing = runImgmv(
        ['ls', name, '--json', '--docker-host', scene.source.dockerHost],
        direct,
      );
      const [listed] = (await toldBy(listing)).filter(({ event }) => event === 'images');
      expect(listed?.layerBytes).toBe(sizes.reduce((sum, size) => sum + Number(size), 0));
    });

    it('--no-direct has the engine save it', async () => {
      const { name, ...rest } = await image(small);
      const { plan, images } = await moved(scene, [name, '--no-direct'], direct);
      const saved = { read: 'save', readReason: 'reading the store is switched off' };
      expect(plan).toMatchObject([saved]);
      expect(images).toMatchObject([{ status: 'loaded', ...saved }]);
      await arrived({ name, ...rest });
    });

    it('so does an engine whose data is not to be seen from here', async () => {
      const { name, ...rest } = await image(small);
      const { plan } = await moved(scene, [name]);
      const why = expect.stringMatching(/data is not visible from here$/);
      expect(plan).toMatchObject([{ read: 'save', readReason: why }]);
      await arrived({ name, ...rest });
    });

    it('so does a user who may not read it', async () => {
      const { name } = await image(small);
      const place = join(scene.directory, 'of-nobody');
      await mkdir(place);
      await chown(place, NOBODY, NOBODY);
      await chmod(scene.directory, 0o711);
      await chmod(dirname(scene.source.socketPath), 0o711);
      await chmod(scene.source.socketPath, 0o666);
      const user = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--'];
      const host = { argv: (command: readonly string[]) => scene.source.place.argv([...user, ...command]) };
      const args = [`docker-daemon:${name}`, `oci:${join(place, 'layout')}`, '--json'];
      await using copy = runImgmv(['copy', ...args, '--docker-host', scene.source.dockerHost], { host });
      await expectEnd(copy, 0, /"read":"save","readReason":"this user may not read /);
    });

    it.each([
      ['in one load', [small], 1, 'data'],
      ['layer by layer', [large(3), large(4)], 1, 'large-3'],
    ] as const)('a linked directory, %s: that layer is saved, and told', async (_, layers, at, directory) => {
      const loaded = await image(...layers);
      const { files } = await layerPlaces(scene.source, loaded.diffIds, at);
      await rename(join(files, directory), join(files, '../aside'));
      await symlink('../aside', join(files, directory));
      const { plan, images } = await moved(scene, [loaded.name, '--retries', '0'], direct);
      expect(plan).toMatchObject([{ read: 'store' }]);
      expect(images).toMatchObject([
        {
          status: 'loaded',
          read: 'save',
          readReason: expect.stringMatching(new RegExp(`${directory}/.*is below a file, or a link$`)),
        },
      ]);
      await arrived(loaded);
      await rm(join(files, directory));
      await rename(join(files, '../aside'), join(files, directory));
    });

    it('an archive is written all the same, and is whole', async () => {
      const loaded = await image(small, large(5));
      const { files } = await layerPlaces(scene.source, loaded.diffIds, 2);
      await rename(join(files, 'large-5/file'), join(files, 'large-5/aside'));
      await symlink('aside', join(files, 'large-5/file'));
      const file = join(scene.directory, 'direct.tar');
      const args = [`docker-daemon:${loaded.name}`, `docker-archive:${file}`];
      await using copy = runImgmv(
        ['copy', ...args, '--json', '--docker-host', scene.source.dockerHost],
        direct,
      );
      await expectEnd(copy, 0, /"read":"save"/);
      await scene.target.docker(['load', '--input', file]);
      await arrived(loaded);
    });

    it('what no engine can save either is refused with words, and nothing is left', async () => {
      const loaded = await image(small);
      const { files } = await layerPlaces(scene.source, loaded.diffIds, 1);
      await rm(join(files, 'data/file'));
      await mkdir(join(files, 'data/file'));
      const before = await scene.look();
      await using receiver = await scene.receive();
      await using sender = scene.send(receiver, [loaded.name, '--json', '--retries', '0'], direct);
      const { images } = await told(sender, receiver, 13);
      expect(images).toMatchObject([
        {
          status: 'failed',
          error: {
            code: 'integrity',
            message: expect.stringMatching(
              /cannot be read, and not saved by docker either: .*is no regular file$/,
            ),
          },
        },
      ]);
      await scene.expectUnchanged(before);
    });

    it('a file that is another by now is noticed, whatever its size', async () => {
      const loaded = await image(small);
      const { files } = await layerPlaces(scene.source, loaded.diffIds, 1);
      await writeFile(join(files, 'data/file'), 'as it is.');
      await using receiver = await scene.receive();
      await using sender = scene.send(receiver, [loaded.name, '--json', '--retries', '0'], direct);
      // Docker's own save notices it, too, by another checksum.
      const { images } = await told(sender, receiver, 14);
      expect(images).toMatchObject([
        {
          status: 'failed',
          read: 'save',
          readReason: expect.stringMatching(/hold sha256:\w+, not layer sha256:/),
        },
      ]);
    });

    it('an image that is removed before its turn is told as such', async () => {
      const [first, second] = [await image(large(6)), await image(small)];
      await using receiver = await scene.receive();
      const args = [first.name, second.name, '--json', '--limit', '30M', '--retries', '0'];
      await using sender = scene.send(receiver, args, direct);
      await sender.waitFor('progress');
      await scene.source.docker(['image', 'rm', second.name]);
      const { images } = await told(sender, receiver, 17);
      const of = ({ name }: LoadedImage) =>
        images.find(({ refs }) => JSON.stringify(refs).includes(`"${name}"`));
      expect(of(first)).toMatchObject({ status: 'loaded', read: 'store' });
      expect(of(second)).toMatchObject({ status: 'failed', error: { code: 'image-not-found' } });
    });
  },
  { required: true },
);

for (const { flavour, driver } of [
  { flavour: '28', driver: undefined },
  { flavour: '20', driver: 'vfs' },
] as const)
  describeOn(`layers of ${flavour} with ${driver ?? 'overlay2'}`, [await engineSupport(flavour)], () => {
    it('are read as docker saves them, whatever is in them', async () => {
      await using directory = await scratchDirectory();
      await using engine = await startEngine({ flavour, driver });
      const { name } = await loadImage(engine, {
        name: 'many-kinds:1',
        layers: [
          { ...(await busyboxLayer()), large: { bytes: 3 * MIB, seed: 1 } },
          {
            [`${'long/'.repeat(40)}name`]: 'long',
            'not-utf-8-\xff': 'é',
            fifo: { special: 'fifo' },
            zero: { special: 'zero' },
            folder: { special: 'directory' },
            link: { linkTo: '/etc/passwd' },
            empty: '',
            '.wh.bin': '',
          },
          Object.fromEntries(Array.from({ length: 2_000 }, (_, at) => [`many/${at % 300}/${at}`, `${at}`])),
        ],
      });
      const read = async (...args: readonly string[]) => {
        const layout = join(directory.path, `layout-${args.length}`);
        const place = { argv: (command: readonly string[]) => engine.place.argv(command) };
        const how = [...args, '--json', '--docker-host', engine.dockerHost];
        await using imgmv = runImgmv(['copy', `docker-daemon:${name}`, `oci:${layout}`, ...how], {
          host: place,
        });
        await expectEnd(imgmv, 0, args.length > 0 ? /"read":"save"/ : /"read":"store"/);
        return (await readdir(join(layout, 'blobs/sha256'))).sort();
      };
      const blobs = await read();
      expect(blobs).toHaveLength(5);
      expect(blobs).toEqual(await read('--no-direct'));
    });
  });
