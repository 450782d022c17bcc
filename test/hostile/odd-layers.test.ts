/**
 * Layers that strangers made to lead a reader out of them, read by root where they lie: nothing else of the host is
 * opened, whatever a layer says, and nothing odd is taken for what it stands for. strace shows what was opened.
 */
import { appendFile, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { told } from '../e2e/moved.ts';
import { expectEnd, type Scene, startScene } from '../e2e/scene.ts';
import { engineSupport } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { layerPlaces } from '../rig/layer-files.ts';
import type { LayerSpec } from '../rig/layers.ts';
import { describeOn } from '../rig/suite.ts';

const MIB = 2 ** 20;

/** A file of the host that a layer would like to have. */
const HOSTS_OWN = '/etc/hostname';

interface Opened {
  readonly path: string;
  /** Only to know what it is. */
  readonly onlyFound: boolean;
}

describeOn(
  'layers that lead out of themselves',
  [await engineSupport('20')],
  () => {
    let scene: Scene;
    let number = 0;
    beforeAll(async () => {
      scene = await startScene({ source: '20', target: '20' });
    });
    afterAll(() => scene?.[Symbol.asyncDispose]());
    afterEach(async () => {
      expect((await scene.target.docker(['image', 'ls', '-q', '--all'])).trim()).toBe('');
    });

    const loaded = (...layers: readonly LayerSpec[]): Promise<LoadedImage> =>
      loadImage(scene.source, { name: `odd:${++number}`, layers });
    const from = { host: { argv: (command: readonly string[]) => scene.source.place.argv(command) } };

    /** A copy into a layout, and the files that it opened. */
    async function copied({ name }: LoadedImage, exit: number, says: RegExp): Promise<readonly Opened[]> {
      const log = join(scene.directory, `trace-${number}`);
      const strace = ['strace', '-f', '-y', '-e', 'trace=open,openat,openat2', '-o', log];
      const host = {
        argv: (command: readonly string[]) => scene.source.place.argv([...strace, ...command]),
      };
      const args = [`docker-daemon:${name}`, `oci:${join(scene.directory, `layout-${number}`)}`];
      const engine = ['--docker-host', scene.source.dockerHost];
      await using imgmv = runImgmv(['copy', ...args, '--json', '--retries', '0', ...engine], { host });
      await expectEnd(imgmv, exit, says);
      const lines = (await readFile(log, 'utf8')).split('\n');
      return lines.flatMap((line) => {
        const [, path] = /\) = \d+<(.*)>$/.exec(line) ?? [];
        return path === undefined ? [] : [{ path, onlyFound: /O_PATH|0x200000/.test(line) }];
      });
    }

    const read = (opened: readonly Opened[]) =>
      opened.filter((one) => !one.onlyFound).map(({ path }) => path);

    it('a linked directory whose file stands for one of the host', async () => {
      const stolen = await readFile(HOSTS_OWN);
      const name = HOSTS_OWN.split('/').at(-1) as string;
      const image = await loaded(
        { 'etc/keep': 'so that there is such a directory', x: { linkTo: '/etc' }, [`x/${name}`]: stolen },
        { plain: 'plain' },
      );
      const opened = await copied(image, 0, /"read":"save","readReason":"[^}]*is below a file, or a link"/);
      const { files } = await layerPlaces(scene.source, image.diffIds, 0);
      expect(read(opened)).toContainEqual(expect.stringMatching(/diff\/plain$/));
      expect(opened.map(({ path }) => path)).not.toContain(HOSTS_OWN);
      const leaf = files.split('/').slice(-2).join('/');
      expect(read(opened).filter((path) => path.includes(leaf))).toEqual([
        expect.stringMatching(/\/etc\/keep$/),
      ]);
    });

    it.each(['fifo', 'zero', 'directory'] as const)(
      'a %s in place of a file, by way of a link',
      async (special) => {
        const image = await loaded({ file: 'twelve bytes', d: { linkTo: '.' }, 'd/file': { special } });
        const opened = await copied(image, 13, /"code":"integrity"[^}]*is no regular file/);
        expect(opened).toContainEqual({ path: expect.stringMatching(/diff\/file$/), onlyFound: true });
        expect(read(opened)).not.toContainEqual(expect.stringMatching(/diff\/file$/));
      },
    );

    it('a file that is cut, or longer, while it is read', async () => {
      const image = await loaded(
        { plain: 'plain' },
        { first: { bytes: 8 * MIB, seed: number }, file: { bytes: 8 * MIB, seed: number + 1 } },
      );
      const { files } = await layerPlaces(scene.source, image.diffIds, 1);
      await using receiver = await scene.receive();
      const args = [image.name, '--json', '--limit', '4M', '--retries', '0'];
      await using sender = scene.send(receiver, args, from);
      await sender.waitFor('progress');
      await truncate(join(files, 'file'), 4 * MIB);
      const { images } = await told(sender, receiver, 14);
      expect(images).toMatchObject([
        {
          status: 'failed',
          read: 'save',
          readReason: expect.stringMatching(/has 4194304 bytes, not 8388608/),
        },
      ]);
      await appendFile(join(files, 'file'), Buffer.alloc(4 * MIB));
      const opened = await copied(image, 14, /"readReason":"[^"]*(?:\\"[^"]*)*hold sha256:/);
      expect(read(opened)).toContainEqual(expect.stringMatching(/diff\/file$/));
    });
  },
  { required: true },
);
