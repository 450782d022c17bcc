/**
 * A paired sender that may push, and files of the target: a classic engine keeps no tars of layers, and makes them anew
 * out of what it finds under the names of their files when it pushes.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { constants, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectEnd } from '../e2e/scene.ts';
import type { MemoryImage } from '../memory.ts';
import { engineSupport } from '../rig/engine.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { registrySupport } from '../rig/registry.ts';
import { describeOn } from '../rig/suite.ts';
import { type Front, inFrontOf } from './front.ts';
import { file, imageOf, link, packedImageOf } from './odd-images.ts';
import { classicTar, rawTar } from './raw-tar.ts';
import { Thief } from './thief.ts';

const MIB = 2 ** 20;
const SECRET = Buffer.concat([Buffer.from('TOP SECRET'), randomBytes(2 ** 20)]);

const GZIP = Buffer.from([0x1f, 0x8b]);
/** What an upload that was given up is followed by. */
const REQUEST = /(?:GET|HEAD|PATCH|POST|PUT) \/v2\//;

/** Whether the secret is in what a registry heard, as it is or in gzip, which may have been given up. */
function isIn(heard: string): boolean {
  const some = SECRET.subarray(0, 1_000);
  return heard.split(REQUEST).some((request) => {
    const bytes = Buffer.from(request, 'latin1');
    const begins = bytes.indexOf(GZIP);
    if (bytes.includes(some)) return true;
    return (
      begins >= 0 &&
      gunzipSync(bytes.subarray(begins), { finishFlush: constants.Z_SYNC_FLUSH }).includes(some)
    );
  });
}

describeOn(
  'a paired sender that may push, and files of a host with a classic engine',
  [await engineSupport('20'), await registrySupport()],
  () => {
    let thief: Thief;
    let front: Front;
    /** Where the daemon sees its data. */
    let there: string;
    beforeAll(async () => {
      thief = await Thief.atWork('20');
      front = await inFrontOf(thief.registry, 'pass');
      there = join(dirname(thief.engine.socketPath), 'data');
      await writeFile(join(thief.engine.dataRoot, 'secret'), SECRET);
    });
    afterAll(async () => {
      await front[Symbol.asyncDispose]();
      await thief[Symbol.asyncDispose]();
    });

    const folder = () => rawTar(file('a/secret'), link('a', there));
    const twin = () => rawTar(file('/x'), link('x', join(there, 'secret')));
    let stolen = 0;
    const ATTACKS: readonly (readonly [string, (name: string) => Promise<MemoryImage>])[] = [
      ['behind a link that was a folder', (name) => imageOf(name, [folder()])],
      ['behind a link that was a file', (name) => imageOf(name, [twin()])],
      ['in a layer that is compressed', (name) => packedImageOf(name, [{ tar: folder() }])],
      [
        'in a layer that is not offered as what it is',
        (name) => packedImageOf(name, [{ tar: folder(), untold: true }]),
      ],
      [
        'behind a link of the layer below, in place of a file',
        (name) => imageOf(name, [rawTar(link('m', there)), rawTar(file('/x'), link('x', 'm/secret'))]),
      ],
      [
        'behind a link of the layer below, in place of a folder',
        (name) => imageOf(name, [rawTar(link('m', there)), rawTar(file('a/secret'), link('a', 'm'))]),
      ],
      [
        'in a folder that was emptied',
        (name) =>
          imageOf(name, [
            rawTar({ name: 'b/', type: '5' }, link('b/x', join(there, 'secret'))),
            rawTar(file('b/x'), { name: '/b' }, { name: 'b/', type: '5' }),
          ]),
      ],
    ];
    const twice = async (name: string) => {
      const again = rawTar(file('/x'), link('x', 'm/secret'));
      const below = rawTar({ name: 'm/', type: '5' }, file('m/secret'));
      const image = await imageOf(name, [below, again, rawTar(link('m', there)), again]);
      // A blob comes once.
      return {
        ...image,
        blobs: image.blobs.filter(
          (blob, at, all) => all.findIndex(({ digest }) => digest === blob.digest) === at,
        ),
      };
    };
    it.each([...ATTACKS, ['behind a link that it has in one of two places', twice] as const])(
      'one %s is not loaded',
      async (_what, imaged) => {
        const name = `${front.address}/loot/file-${++stolen}:1`;
        const theft = await thief.steal([await imaged(name)], { registries: [front.address] });
        expect(theft.items).toMatchObject([{ action: 'send' }]);
        expect(isIn(front.heard)).toBe(false);
        expect(await thief.engine.docker(['image', 'ls', '--quiet', '--filter', 'dangling=true'])).toBe('');
        expect(await thief.engine.docker(['image', 'ls', '--quiet', name])).toBe('');
        expect(theft.exit).toBe(13);
      },
    );

    it('a receiver that does not see the layers, and may push, ends before it shows a code', async () => {
      await using receiver = runImgmv([
        ...[
          'receive',
          '--once',
          '--allow-push',
          `${front.address}/*`,
          '--docker-host',
          thief.engine.dockerHost,
        ],
        ...['--code-file', join(thief.built.directory, 'no-code')],
      ]);
      await expectEnd(
        receiver,
        16,
        /^imgmv: nothing can be pushed from this engine: \S+ is not visible from here\n\s+an image can be made so that/m,
      );
      expect(receiver.stderr).not.toMatch(/Listening/);
    });

    it('one in a layer that a run left is not loaded below another', async () => {
      const name = `${front.address}/loot/below:1`;
      const odd = folder();
      const archive = join(thief.built.directory, 'below.tar');
      await writeFile(archive, classicTar(await imageOf('below:1', [odd])));
      await thief.engine.docker(['load', '--input', archive]);
      const since = Math.floor(Date.now() / 1000);
      const left = `imgmv-incoming:${'a'.repeat(12)}-${'b'.repeat(8)}-${since}-1.1-0`;
      await thief.engine.docker(['tag', 'below:1', left]);
      await thief.engine.docker(['rmi', 'below:1']);
      const { image, blobs } = await imageOf(name, [odd, rawTar(file('above'))]);
      const above = { image, blobs: blobs.filter(({ digest }) => digest !== image.diffIds[0]) };
      const theft = await thief.steal([above], { registries: [front.address] });
      expect(theft.items).toMatchObject([{ action: 'send', missing: [expect.any(String)] }]);
      expect(theft.exit).toBe(13);
      expect(await thief.engine.docker(['image', 'ls', '--quiet', name])).toBe('');
      await thief.engine.docker(['rmi', left]);
    });

    it('the layer’s own behind a link of the layer is pushed', async () => {
      const name = `${front.address}/honest/file-${++stolen}:1`;
      const tar = rawTar(file('usr/lib/own'), link('lib', 'usr/lib'), file(`lib/own-${stolen}`));
      const theft = await thief.steal([await imageOf(name, [tar])], {
        registries: [front.address],
      });
      expect(theft.pushed).toMatchObject([{ ref: name, error: null }]);
    });

    it('one in a large image is not kept', async () => {
      const large = (name: string) => ({ name, body: Buffer.alloc(33 * MIB) });
      const tars = [rawTar(file('a/secret'), large('b'), link('a', there)), rawTar(large('c'))];
      const image = await imageOf(`${front.address}/loot/large:1`, tars);
      const theft = await thief.steal([image], { registries: [front.address] });
      expect(theft.items).toMatchObject([{ action: 'send' }]);
      expect(theft.exit).toBe(13);
      expect(await thief.engine.docker(['image', 'ls', '--all'])).not.toContain('imgmv-incoming');
      expect(isIn(front.heard)).toBe(false);
    });

    it('an image that the engine has from elsewhere is looked at before it is pushed', async () => {
      const name = `${front.address}/loot/elsewhere:1`;
      const image = await imageOf(name, [folder()]);
      const archive = join(thief.built.directory, 'elsewhere.tar');
      await writeFile(archive, classicTar(image));
      await thief.engine.docker(['load', '--input', archive]);
      const { items, pushed } = await thief.steal([image], { registries: [front.address] });
      expect(items).toMatchObject([{ action: 'present' }]);
      expect(pushed).toMatchObject([
        {
          ref: name,
          digest: null,
          error: { code: 'push-failed', message: expect.stringMatching(/would push a file of its host/) },
        },
      ]);
      expect(isIn(front.heard)).toBe(false);
    });
  },
);

describeOn(
  'a paired sender that may push, and a classic engine that has all layers of an image in one folder',
  [await engineSupport('28'), await registrySupport()],
  () => {
    it('a file behind a link of another layer is not loaded', async () => {
      await using thief = await Thief.atWork('28', 'vfs');
      await using front = await inFrontOf(thief.registry, 'pass');
      await writeFile(join(thief.engine.dataRoot, 'secret'), SECRET);
      // As the engine, which runs in a root directory of its own, calls it.
      const there = (await thief.engine.docker(['info', '--format', '{{.DockerRootDir}}'])).trim();
      const name = `${front.address}/loot/file:1`;
      const image = await imageOf(name, [rawTar(link('a', there)), rawTar(file('a/secret'))]);
      const { exit } = await thief.steal([image], { registries: [front.address] });
      expect(isIn(front.heard)).toBe(false);
      expect(exit).toBe(13);
    });
  },
);
