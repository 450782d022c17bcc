/**
 * A paired sender that may push, and files of the target: a classic engine keeps no tars of layers, and makes them anew
 * out of what it finds under the names of their files when it pushes.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { constants, gunzipSync, gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { testImage } from '../memory.ts';
import { engineSupport } from '../rig/engine.ts';
import { registrySupport } from '../rig/registry.ts';
import { describeOn } from '../rig/suite.ts';
import { inFrontOf } from './front.ts';
import { blobOf, descriptor, remade } from './lies.ts';
import { rawTar } from './raw-tar.ts';
import { TAR, Thief } from './thief.ts';

const SECRET = Buffer.concat([Buffer.from('TOP SECRET'), randomBytes(2 ** 20)]);

/** Whether the secret is in what a registry heard, as it is or in gzip that was given up. */
function isIn(heard: Buffer): boolean {
  const some = SECRET.subarray(0, 1_000);
  const begins = heard.indexOf(Buffer.from([0x1f, 0x8b]));
  if (heard.includes(some)) return true;
  if (begins < 0) return false;
  const end = heard.indexOf('PATCH ', begins);
  const sent = heard.subarray(begins, end < 0 ? undefined : end);
  return gunzipSync(sent, { finishFlush: constants.Z_SYNC_FLUSH }).includes(some);
}

describeOn(
  'a paired sender that may push, and files of a host with a classic engine',
  [await engineSupport('20'), await registrySupport()],
  () => {
    it.each(['as it is', 'compressed'])(
      'a layer by which the engine would read a file of its host, %s, is not loaded',
      async (how) => {
        await using thief = await Thief.atWork('20');
        const { engine, registry } = thief;
        await using front = await inFrontOf(registry, 'pass');
        await writeFile(join(engine.dataRoot, 'secret'), SECRET);
        const there = join(dirname(engine.socketPath), 'data');
        const name = `${front.address}/loot/file:1`;
        const tar = rawTar({ name: 'a/secret', body: 'bait' }, { name: 'a', type: '2', linkName: there });
        const layer = blobOf('layer', tar);
        const history = [{ created_by: 'thief' }];
        const plain = remade(await testImage({ name, store: 'classic' }), {
          layers: [layer],
          config: { history },
        });
        const packed = blobOf('layer', gzipSync(tar));
        const compressed = remade(await testImage({ name, store: 'containerd' }), {
          layers: [packed],
          config: { history, rootfs: { type: 'layers', diff_ids: [layer.digest] } },
          manifest: { layers: [descriptor(`${TAR}+gzip`, packed)] },
        });
        const { digest } = packed;
        const image = {
          ...compressed,
          image: {
            ...compressed.image,
            diffIds: [layer.digest],
            layers: [{ digest, size: packed.bytes.length, diffId: layer.digest }],
          },
        };
        const theft = await thief.steal([how === 'compressed' ? image : plain], {
          registries: [front.address],
        });
        expect(theft.items).toMatchObject([{ action: 'send' }]);
        expect(isIn(Buffer.from(front.heard, 'latin1'))).toBe(false);
        expect(await engine.docker(['image', 'ls', '--quiet', name])).toBe('');
        expect(theft.exit).toBe(13);
      },
    );
  },
);
