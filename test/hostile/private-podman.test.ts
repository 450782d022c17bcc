/**
 * A paired sender, and files of a target with podman: it takes a layer that it has already from its disk, by way of links
 * in it.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectEnd } from '../e2e/scene.ts';
import type { MemoryImage } from '../memory.ts';
import { engineSupport } from '../rig/engine.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { registrySupport } from '../rig/registry.ts';
import { describeOn } from '../rig/suite.ts';
import { type Front, inFrontOf } from './front.ts';
import { ScriptedSender, sendBlobs } from './hosts.ts';
import { file, imageOf, link, packedImageOf } from './odd-images.ts';
import { rawTar } from './raw-tar.ts';
import { Thief, wholeOffer } from './thief.ts';

const MIB = 2 ** 20;
/** As many take podman seconds to unpack. */
const MANY_FILES = 60_000;
const SOME_FILES = 25_000;
const large = (name: string) => ({ name, body: randomBytes(33 * MIB) });
const SECRET = Buffer.concat([Buffer.from('TOP SECRET'), randomBytes(MIB)]);

describeOn(
  'a paired sender, and files of a host with podman',
  [await engineSupport('podman'), await registrySupport()],
  () => {
    let thief: Thief;
    let front: Front;
    let victim: string;
    const imagesHere = () => thief.engine.docker(['image', 'ls', '--all', '--quiet']);
    beforeAll(async () => {
      thief = await Thief.atWork('podman');
      victim = await imagesHere();
      front = await inFrontOf(thief.registry, 'pass');
      await writeFile(join(thief.engine.dataRoot, 'secret'), SECRET);
    });
    afterAll(async () => {
      await front[Symbol.asyncDispose]();
      await thief[Symbol.asyncDispose]();
    });

    // With the bytes of the file itself podman's checksum is right.
    it.each([
      ['is not what stands in the layer', 'bait'],
      ['has the bytes that stand in the layer', SECRET],
    ])('podman does not keep a layer that leads to a file which %s', async (_what, body) => {
      const name = `${front.address}/loot/file:1`;
      const there = join(dirname(thief.engine.socketPath), 'data');
      const image = await imageOf(name, [rawTar({ name: 'a/secret', body }, link('a', there))]);
      const { exit } = await thief.steal([image], { registries: [] });
      expect(await thief.engine.docker(['image', 'ls', '--quiet', name])).toBe('');
      expect(exit).toBe(13);
    });

    // A layer that podman has it takes from its disk, through links: an image beside could tell whether a guess is right.
    it('podman loads no image while another one may have such a layer', async () => {
      const there = join(dirname(thief.engine.socketPath), 'data');
      const codes = [];
      for (const guess of [SECRET, randomBytes(SECRET.length)]) {
        const odd = rawTar({ name: 'a/secret', body: guess }, link('a', there));
        const slow = rawTar(...Array.from({ length: MANY_FILES }, (_, at) => file(`${guess[0]}/${at}`)));
        const beside = [1, 2, 3].map((at) => imageOf(`beside:${at}`, [rawTar(file(`${at}`)), odd]));
        const images = [await imageOf('odd:1', [odd, slow]), ...(await Promise.all(beside))];
        codes.push((await thief.outcomesOf(images)).map(({ code }) => code));
      }
      expect(codes).toEqual([Array(4).fill('integrity'), Array(4).fill('integrity')]);
    });

    it('podman does not take a second layer from its disk that came in another compression', async () => {
      const there = join(dirname(thief.engine.socketPath), 'data');
      const codes = [];
      for (const guess of [SECRET, randomBytes(SECRET.length)]) {
        const odd = rawTar({ name: 'a/secret', body: guess }, link('a', there));
        const between = Array.from({ length: 12 }, (_, at) => {
          const files = Array.from({ length: 1_500 }, (_, count) => file(`${guess[0]}/${at}/${count}`));
          return { tar: rawTar(...files), plain: true as const };
        });
        const image = await packedImageOf('twice:1', [{ tar: odd }, ...between, { tar: odd, plain: true }]);
        codes.push((await thief.outcomesOf([image]))[0]?.code);
      }
      expect(codes).toEqual(['integrity', 'integrity']);
    });

    it('podman does not keep a layer that is not offered as what it is', async () => {
      const there = join(dirname(thief.engine.socketPath), 'data');
      const odd = rawTar(file('a/secret'), link('a', there), large('b'));
      const image = await packedImageOf('untold:1', [
        { tar: odd, named: 'blob' },
        { tar: rawTar(large('c')), named: 'blob' },
      ]);
      expect(await thief.outcomesOf([image])).toMatchObject([{ code: 'integrity' }]);
      expect(await imagesHere()).toBe(victim);
    });

    it('podman does not keep such a layer of an image that is given up while it unpacks it', async () => {
      const there = join(dirname(thief.engine.socketPath), 'data');
      const codes = [];
      for (const guess of [SECRET, randomBytes(SECRET.length)]) {
        const files = Array.from({ length: SOME_FILES }, (_, at) => file(`${guess[0]}/${at}`));
        const odd = rawTar({ name: 'a/secret', body: guess }, link('a', there), ...files);
        const images = [
          await imageOf('given-up:1', [odd, rawTar(large('b'), large('c'))]),
          await imageOf('behind:1', [rawTar(file(`${guess[0]}`)), odd]),
        ];
        codes.push(await thief.givesUp(images as [MemoryImage, MemoryImage]));
      }
      expect(codes).toEqual([Array(2).fill('integrity'), Array(2).fill('integrity')]);
      expect(await imagesHere()).toBe(victim);
    });

    it('an image without a name is not left behind by a session that ends while podman loads it', async () => {
      const files = Array.from({ length: MANY_FILES }, (_, at) => file(`nameless/${at}`));
      const one = await imageOf('nameless:1', [rawTar(...files)]);
      const nameless = { ...one, image: { ...one.image, names: [] } };
      await using receiver = await thief.built.receive(['--once', '--json'], { host: thief.engine.place });
      const sender = await ScriptedSender.pairBy(receiver.port, receiver.code);
      await sender.say({ type: 'offer', items: [wholeOffer(nameless, 0)], last: true });
      await sender.hear('answer');
      await sendBlobs(await sender.lane(), 0, nameless.blobs);
      await sleep(1_500);
      await sender.say({ type: 'retry', items: [0], attempt: 7, waitMs: 0 });
      expect(await receiver.imgmv.exit).toMatchObject({ code: 13 });
      expect(await imagesHere()).toBe(victim);
    });

    it('a name that podman would take for one of localhost is refused', async () => {
      const { items } = await thief.steal([await imageOf('a_b.c/web:1', [rawTar(file('web'))])], {
        registries: [],
      });
      expect(items).toMatchObject([
        { action: 'refuse', reason: 'podman would take a_b.c/web:1 for localhost/a_b.c/web:1' },
      ]);
    });

    it('the sender does not hear what podman says of a load that failed', async () => {
      const broken = rawTar({ name: 'dangling', type: '1', linkName: 'nowhere' });
      const [outcome] = await thief.outcomesOf([await imageOf('broken:1', [broken])]);
      expect(outcome).toEqual({ code: 'engine-refused', said: 'podman did not load the image' });
    });

    it('podman loads the layer’s own', async () => {
      const tars = [rawTar(file('usr/lib/own'), link('lib', 'usr/lib'), file('lib/own-2'))];
      const { exit } = await thief.steal([await imageOf('honest/file:1', tars)], { registries: [] });
      expect(exit).toBe(0);
    });

    it('a receiver on podman that may push ends before it shows a code', async () => {
      await using receiver = runImgmv([
        ...['receive', '--once', '--push', `${front.address}/*`, '--docker-host', thief.engine.dockerHost],
        ...['--code-file', join(thief.built.directory, 'no-code')],
      ]);
      await expectEnd(receiver, 16, /nothing can be pushed from this engine: which layers podman pushes/);
      expect(receiver.stderr).not.toMatch(/Listening/);
    });
  },
);
