/** A large image into real engines, layer by layer: in every order, broken off, taken up, and pruned under way. */

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { Engine } from '../../agent/docker/engine.ts';
import { EngineSink } from '../../agent/docker/engine-sink.ts';
import { Helpers, helpersAmong } from '../../agent/docker/helpers.ts';
import type { Digest, Store } from '../../agent/model/image.ts';
import type { ImageWriter } from '../../agent/model/sink.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { type MemoryBlob, type MemoryImage, testImage } from '../memory.ts';
import { engineSupport, type Flavour, type Engine as RigEngine, startEngine } from '../rig/engine.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { answersOf } from './conformance.ts';

const MIB = 2 ** 20;
const FLAVOURS = [
  { flavour: '20', store: 'classic', required: true },
  { flavour: '28c', store: 'containerd', required: false },
  { flavour: 'podman', store: 'classic', required: true },
] as const satisfies readonly { flavour: Flavour; store: Store; required: boolean }[];

const LAYERWISE_MIN_BYTES = 10 * MIB;
/**
 * A base, two small layers, a copy of one of them, two large ones, and another copy on top: 12 MiB in all. The
 * size from which on engines get them one by one is lowered for that; whole-size images are in kept.test.ts.
 */
const LAYERS = [
  { 'srv/base': { bytes: 5 * MIB, seed: 1 } },
  { 'etc/small': 'small\n' },
  { 'etc/other': 'other\n' },
  { 'srv/middle': { bytes: 3 * MIB, seed: 2 } },
  { 'etc/small': 'small\n' },
  { 'srv/top': { bytes: 4 * MIB, seed: 3 } },
  { 'etc/small': 'small\n' },
];

for (const { flavour, store, required } of FLAVOURS) {
  describeOn(
    `layer by layer into ${flavour}`,
    [await engineSupport(flavour)],
    () => {
      let rig: RigEngine;
      let engine: Engine;
      let big: MemoryImage;
      const open: AsyncDisposable[] = [];

      beforeAll(async () => {
        rig = await startEngine({ flavour });
        engine = await Engine.connect({ dockerHost: rig.dockerHost, env: {} });
        big = await testImage({ name: 'big:1', store, layers: LAYERS });
      });
      afterEach(async () => {
        for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
        await rig.docker(['image', 'rm', '-f', 'big:1']).catch(() => {});
        for (const { name } of helpersAmong(await engine.list())) await engine.dropName(name);
      });
      afterAll(() => rig?.[Symbol.asyncDispose]());

      /** As a session of its own would have it. */
      async function begin(image = big.image) {
        const sink = await EngineSink.open(engine, {
          noReplace: false,
          ignoreSpace: false,
          layerwiseMinBytes: LAYERWISE_MIN_BYTES,
        });
        open.push(sink);
        const [planned] = await sink.plan([image]);
        if (!planned) throw new Error('no answer');
        const writer = await planned.open(new AbortController().signal);
        return { sink, writer, missing: planned.answer.missing ?? [] };
      }
      const layer = (at: number) => big.blobs[at] as MemoryBlob;
      const metadata = () => big.blobs.filter(({ kind }) => kind !== 'layer');
      const kept = async () => helpersAmong(await engine.list()).map(({ image }) => image);
      const complete = async (writer: ImageWriter) => {
        for (const blob of metadata()) await give(writer, blob);
        expect(await writer.commit()).toMatchObject({ targetId: big.image.id });
        const shown = await rig.docker(['image', 'inspect', '--format', '{{json .RootFS.Layers}}', 'big:1']);
        expect(JSON.parse(shown)).toEqual(big.image.diffIds);
        // A containerd store that lacks a blob of it would save next to nothing.
        await using scratch = await scratchDirectory();
        const archive = join(scratch.path, 'big.tar');
        await rig.docker(['save', 'big:1', '-o', archive]);
        expect((await stat(archive)).size).toBeGreaterThan(12 * MIB);
        expect(helpersAmong(await engine.list())).toEqual([]);
        expect((await rig.docker(['image', 'ls', '-aq'])).trim().split('\n')).toHaveLength(1);
      };
      /** Podman does not understand docker's own command; what it comes to is the same. */
      const prune = async () => {
        if (flavour !== 'podman') return rig.docker(['image', 'prune', '-a', '-f']);
        return rig.docker(['image', 'rm', ...helpersAmong(await engine.list()).map(({ name }) => name)]);
      };
      /** Those that are not copies of others. */
      const UNIQUE = [0, 1, 2, 3, 5];

      it.each([
        ['from the bottom up', UNIQUE],
        ['from the top down', [...UNIQUE].reverse()],
        ['in no order', [3, 1, 5, 0, 2]],
      ])('comes %s', async (_order, order) => {
        const { writer } = await begin();
        for (const at of order) await give(writer, layer(at));
        await expect.poll(kept).not.toEqual([]);
        await complete(writer);
      });

      it('comes from a source that tells digests last', async () => {
        const { writer } = await begin();
        for (const at of [5, 0, 3, 1, 2]) await give(writer, layer(at), false);
        await complete(writer);
      });

      it('is taken up by the next run where one was given up', async () => {
        const first = await begin();
        expect(new Set(first.missing)).toEqual(new Set(big.image.diffIds));
        await give(first.writer, layer(0));
        await give(first.writer, layer(1));
        await expect.poll(() => first.writer.keptBytes()).toBeGreaterThanOrEqual(layer(0).bytes.length);
        await give(first.writer, layer(3));
        if (store === 'containerd')
          await expect.poll(() => first.writer.keptBytes()).toBeGreaterThan(8 * MIB);
        await first.writer.abort(new ImgmvError('peer-lost', 'lost'));
        const shown = await rig.docker(['image', 'ls', '--format', '{{.Repository}}']);
        expect(new Set(shown.trim().split('\n'))).toEqual(new Set(['imgmv-incoming']));
        expect(new Set(await kept())).toEqual(new Set([big.image.id]));
        await first.sink[Symbol.asyncDispose]();

        const second = await begin();
        // Of a classic store only what stands on committed layers can be kept: the third had not come.
        const absent = store === 'containerd' ? [2, 5] : [2, 3, 5];
        expect(second.missing).toEqual(expect.arrayContaining(absent.map((at) => layer(at).digest)));
        const there = store === 'containerd' ? [0, 3] : [0];
        for (const at of there) expect(second.missing).not.toContain(layer(at).digest);
        for (const at of UNIQUE)
          if (second.missing.includes(layer(at).digest)) await give(second.writer, layer(at));
        await complete(second.writer);
      });

      it('of a run that was killed while the engine loaded it loses the private name', async () => {
        const first = await begin();
        for (const at of UNIQUE) await give(first.writer, layer(at));
        await complete(first.writer);
        const killed = new Helpers('0123456789ab');
        const [repository = '', tag = ''] = killed.nextName().split(':');
        killed[Symbol.dispose]();
        await engine.tag('big:1', repository, tag);
        const second = await begin();
        expect(helpersAmong(await engine.list())).toMatchObject([{ id: big.image.id, image: undefined }]);
        expect(await second.writer.commit()).toMatchObject({ targetId: big.image.id });
        expect(helpersAmong(await engine.list())).toEqual([]);
      });

      it('keeps the private name where that is its only one', async () => {
        const first = await begin();
        for (const at of UNIQUE) await give(first.writer, layer(at));
        await complete(first.writer);
        const killed = new Helpers('0123456789ab');
        const [repository = '', tag = ''] = killed.nextName().split(':');
        killed[Symbol.dispose]();
        await engine.tag('big:1', repository, tag);
        await rig.docker(['image', 'rm', 'big:1']);
        const byId = await begin({ ...big.image, names: [] });
        expect(await byId.writer.commit()).toMatchObject({ targetId: big.image.id });
        expect(await engine.inspect(big.image.id)).toBeDefined();
      });

      it.each(['', 'docker.io/library/', 'index.docker.io/'])(
        'is refused under a name that looks like a private one, with %j in front',
        async (front) => {
          using helpers = new Helpers('0123456789ac');
          const target = `${front}${helpers.nextName()}`;
          const { sink } = await begin();
          const [answer] = await answersOf(sink, { ...big.image, names: [{ source: 'big:1', target }] });
          expect(answer).toMatchObject({ action: 'refuse', reason: expect.stringContaining(target) });
        },
      );

      it('keeps nothing of what has come in part', async () => {
        const { writer } = await begin();
        const half = layer(0).bytes.subarray(0, 2 * MIB);
        const broken = (async function* () {
          yield half;
          throw new ImgmvError('peer-lost', 'lost');
        })();
        const { digest, bytes } = layer(0);
        await expect(
          writer.write({ kind: 'layer', digest, size: bytes.length, body: broken }),
        ).rejects.toThrow('lost');
        await writer.abort(new ImgmvError('peer-lost', 'lost'));
        expect(helpersAmong(await engine.list())).toEqual([]);
        expect(writer.keptBytes()).toBe(0);
      });

      it('asks again for what was pruned under way, and takes what comes meanwhile', async () => {
        const { writer } = await begin();
        await give(writer, layer(0));
        await expect.poll(() => writer.keptBytes()).toBeGreaterThan(0);
        await prune();
        for (const at of [1, 2, 3]) await give(writer, layer(at));
        // By now a classic engine has refused them, since they have nothing to stand on.
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        await give(writer, layer(5));
        for (const blob of metadata()) await give(writer, blob);
        const end = await writer.commit();
        if (!('missing' in end)) throw new Error('it missed nothing');
        expect(end.missing).toContain(layer(0).digest);
        for (const at of UNIQUE) if (end.missing.includes(layer(at).digest)) await give(writer, layer(at));
        await complete(writer);
      });

      it('fails for a layer whose bytes are others than its digest says, and keeps the good ones', async () => {
        const { writer } = await begin();
        await give(writer, layer(0));
        await expect.poll(() => writer.keptBytes()).toBeGreaterThan(0);
        const bad = { ...layer(3), bytes: Buffer.from(layer(3).bytes) };
        bad.bytes.writeUInt8(bad.bytes.readUInt8(MIB) ^ 1, MIB);
        await expect(give(writer, bad)).rejects.toThrow(/came as/);
        await writer.abort(new ImgmvError('integrity', 'bad'));
        expect(new Set(await kept())).toEqual(new Set([big.image.id]));
      });

      it('removes after a day what a session left, though it goes on, and of its own nothing', async () => {
        const first = await begin();
        await give(first.writer, layer(0));
        await expect.poll(kept, { timeout: 20_000 }).toHaveLength(1);
        const [helper] = helpersAmong(await engine.list());
        expect(helper).toMatchObject({ live: true });
        const aged = (helper?.name ?? '').replace(/-[0-9]{10}-/, '-1700000000-');
        const [, tag = ''] = aged.split(':');
        await engine.tag(helper?.name ?? '', 'imgmv-incoming', tag);
        const names = async () => helpersAmong(await engine.list()).map(({ name }) => name);
        await first.sink.plan([big.image]);
        expect(await names()).toContain(aged);
        await begin();
        expect(await names()).toEqual([helper?.name]);
        await first.sink[Symbol.asyncDispose]();
        expect(helpersAmong(await engine.list())).toMatchObject([{ name: helper?.name, live: false }]);
        await begin();
        expect(await names()).toEqual([helper?.name]);
      });
    },
    { required },
  );
}

async function give(writer: ImageWriter, blob: MemoryBlob, namesDigest = true): Promise<void> {
  const { kind, digest, bytes } = blob;
  const body = (async function* () {
    for (let at = 0; at < bytes.length; at += 64 * 1024) yield bytes.subarray(at, at + 64 * 1024);
  })();
  await writer.write({ kind, size: bytes.length, body, ...(namesDigest && { digest: digest as Digest }) });
}
