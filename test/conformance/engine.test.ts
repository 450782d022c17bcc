/** Real engines as sources and sinks, and what engines alone must do. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { named } from '../../agent/choose/meant.ts';
import { parsePatterns } from '../../agent/choose/pattern.ts';
import { Renaming } from '../../agent/choose/rename.ts';
import { choose } from '../../agent/choose/selection.ts';
import { Engine } from '../../agent/docker/engine.ts';
import { EngineCatalogue } from '../../agent/docker/engine-catalogue.ts';
import { EngineSink, type EngineSinkOptions } from '../../agent/docker/engine-sink.ts';
import { EngineSource } from '../../agent/docker/engine-source.ts';
import { type NamingEngine, setNames } from '../../agent/docker/set-names.ts';
import type { Blob, Digest, Image, Store } from '../../agent/model/image.ts';
import { type MoveOptions, move } from '../../agent/move/move.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { type MemoryImage, MemorySource, testImage } from '../memory.ts';
import { engineSupport, type Flavour, type Engine as RigEngine, startEngine } from '../rig/engine.ts';
import { namesOn } from '../rig/images.ts';
import { describeOn } from '../rig/suite.ts';
import { answersOf, conformance, failureOf } from './conformance.ts';

const FLAVOURS = [
  { flavour: '20', store: 'classic', required: true },
  { flavour: '28c', store: 'containerd', required: false },
  { flavour: 'podman', store: 'classic', required: true },
] as const satisfies readonly { flavour: Flavour; store: Store; required: boolean }[];

describeOn(
  'engine 20, read where it keeps its layers',
  [await engineSupport('20')],
  () => {
    conformance('ends', async () => {
      const rig = await startEngine({ flavour: '20' });
      const engine = await Engine.connect({ dockerHost: rig.dockerHost, env: {} });
      // What the engine says of it is true in its own mounts alone.
      const seen = Object.assign(engine, { info: { ...engine.info, dataRoot: rig.dataRoot } });
      return {
        store: 'classic',
        async source(images) {
          await moveIn(seen, images);
          const source = await sourceOf(
            seen,
            images.flatMap(({ image }) => image.names.map((name) => name.source)),
          );
          for (const { readBy } of await source.images()) expect(readBy()).toEqual({ way: 'store' });
          return source;
        },
        sink: () => sinkOf(seen),
        held: () => namesOn(rig),
        [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
      };
    });
  },
  { required: true },
);

for (const { flavour, store, required } of FLAVOURS) {
  const support = [await engineSupport(flavour)];
  describeOn(
    `engine ${flavour}`,
    support,
    () => {
      conformance('ends', async () => {
        const rig = await startEngine({ flavour });
        const engine = await Engine.connect({ dockerHost: rig.dockerHost, env: {} });
        return {
          store,
          async source(images) {
            await moveIn(engine, images);
            const names = images.flatMap(({ image }) => image.names);
            return sourceOf(
              engine,
              names.map(({ source }) => source),
            );
          },
          sink: () => sinkOf(engine),
          held: () => namesOn(rig),
          [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
        };
      });
    },
    { required },
  );

  describeOn(
    `engine ${flavour} alone`,
    support,
    () => {
      let rig: RigEngine;
      let engine: Engine;
      let web: MemoryImage;

      beforeAll(async () => {
        rig = await startEngine({ flavour });
        engine = await Engine.connect({ dockerHost: rig.dockerHost, env: {} });
        web = await testImage({ name: 'web:1.0', store });
        await moveIn(engine, [web]);
        await rig.docker(['tag', 'web:1.0', 'team/web:latest']);
      });
      afterAll(() => rig?.[Symbol.asyncDispose]());

      const lookUp = async (...references: readonly string[]) =>
        (await (await sourceOf(engine, references)).images()).map(({ image }) => image);
      const offered = async (changes: Partial<Image>): Promise<Image> => {
        const { image } = await testImage({ name: 'offered:1', store });
        return { ...image, ...changes };
      };

      it('finds images as docker does', async () => {
        const hex = web.image.id.slice('sha256:'.length);
        const found = async (reference: string) => (await lookUp(reference))[0];
        expect(await found('web:1.0')).toMatchObject({
          id: web.image.id,
          names: [{ source: 'web:1.0', target: 'web:1.0' }],
        });
        expect((await found('docker.io/library/web:1.0'))?.names).toEqual([
          { source: 'web:1.0', target: 'web:1.0' },
        ]);
        expect((await found('team/web'))?.names).toEqual([
          { source: 'team/web:latest', target: 'team/web:latest' },
        ]);
        for (const id of [web.image.id, hex, hex.slice(0, 12), hex.slice(0, 4)])
          expect(await found(id)).toMatchObject({ id: web.image.id, names: [] });
      });

      it('gives two names of one image as one image', async () => {
        const images = await lookUp('web:1.0', 'team/web', 'web:1.0');
        expect(images.map(({ names }) => names.map(({ target }) => target))).toEqual([
          ['web:1.0', 'team/web:latest'],
        ]);
      });

      it('gives the name of --as', async () => {
        const source = await sourceOf(engine, [web.image.id], { as: 'other:1' });
        expect((await source.images())[0]?.image.names).toEqual([
          { source: web.image.id, target: 'other:1' },
        ]);
      });

      it.each([
        ['wbe:1.0', 'did you mean web:1.0?'],
        ['web', 'did you mean web:1.0?'],
        ['team/web:2', 'did you mean team/web:latest?'],
        ['Web:1.0', 'did you mean web:1.0?'],
        ['nothing-like-it:1', undefined],
      ])('has no %s: %s', async (reference, hint) => {
        const failure = await failureOf(lookUp('web:1.0', reference));
        expect(failure).toMatchObject({
          code: 'image-not-found',
          message: `no such image on this host: "${reference}"`,
          about: 'engine-images',
          hint,
        });
      });

      it('refuses an image for windows', async () => {
        const platform = { os: 'windows', architecture: 'amd64' };
        const answers = await answersOf(await sinkOf(engine), await offered({ platform }));
        expect(answers).toMatchObject([
          { action: 'refuse', reason: 'an image for windows cannot be loaded on linux' },
        ]);
      });

      it('warns of another architecture', async () => {
        const platform = { os: 'linux', architecture: 'arm64' };
        const answers = await answersOf(await sinkOf(engine), await offered({ platform }));
        expect(answers).toMatchObject([
          { action: 'send', warning: expect.stringContaining('made for arm64') },
        ]);
      });

      it(`${store === 'classic' ? 'refuses' : 'takes'} more than 125 layers`, async () => {
        const diffIds = Array.from(
          { length: 126 },
          (_, n): Digest => `sha256:${n.toString(16).padStart(64, '0')}`,
        );
        const [answer] = await answersOf(await sinkOf(engine), await offered({ diffIds }));
        if (store === 'containerd') return expect(answer?.action).toBe('send');
        expect(answer).toMatchObject({
          action: 'refuse',
          reason: 'it has 126 layers, and this engine takes at most 125',
        });
      });

      it('takes an image for present by what only those know who have it', async () => {
        const other: Digest = `sha256:${'a'.repeat(64)}`;
        const layers = [{ digest: other, size: 1, ...(store === 'containerd' && { diffId: other }) }];
        const { config, ...unknown } = web.image;
        const digest = web.blobs.find(({ kind }) => kind === 'config')?.digest as Digest;
        const foreign = {
          ...web.image,
          id: `sha256:${'b'.repeat(64)}` as Digest,
          store: (store === 'classic' ? 'containerd' : 'classic') as Store,
          config: digest,
        };
        const actions = [];
        for (const image of [
          web.image,
          unknown,
          foreign,
          { ...unknown, diffIds: [other], layers },
          { ...web.image, config: other, diffIds: [other], layers },
          { ...foreign, config: other },
          // Its digest is the id of a classic image, which answers tell.
          ...(store === 'classic' ? [{ ...foreign, diffIds: [other], layers }] : []),
        ])
          actions.push((await answersOf(await sinkOf(engine), image))[0]?.action);
        const lies = Array.from({ length: store === 'classic' ? 4 : 3 }, () => 'send');
        expect(actions).toEqual(['present', 'present', 'present', ...lies]);
      });

      it('refuses two images that would take one name, both', async () => {
        const images = [
          await offered({}),
          (await testImage({ name: 'offered:1', layers: [{ x: 'x' }], store })).image,
          (await testImage({ name: 'other:1', layers: [{ y: 'y' }], store })).image,
        ];
        const answers = await answersOf(await sinkOf(engine), ...images);
        expect(answers.map(({ action }) => action)).toEqual(['refuse', 'refuse', 'send']);
        expect(answers.map(({ reason }) => reason)).toEqual([
          `offered:1 would also be the name of ${images[1]?.id}`,
          `offered:1 would also be the name of ${images[0]?.id}`,
          undefined,
        ]);
      });

      it('with --no-replace keeps names, planned or given away meanwhile', async () => {
        const image = await testImage({ name: 'web:1.0', layers: [{ y: 'y' }], store });
        const sink = await sinkOf(engine, { noReplace: true });
        const [refused] = await answersOf(sink, image.image);
        expect(refused).toMatchObject({
          action: 'refuse',
          reason: expect.stringContaining('--no-replace was given'),
        });
        const late = await testImage({ name: 'late:1', layers: [{ z: 'z' }], store });
        const [planned] = await sink.plan([late.image]);
        if (!planned) throw new Error('no answer');
        const writer = await planned.open(new AbortController().signal);
        const { signal } = new AbortController();
        for await (const blob of new MemorySource([]).blobs(late, undefined, signal))
          await writer.write(blob);
        await rig.docker(['tag', 'web:1.0', 'late:1']);
        const failure = await failureOf(writer.commit());
        expect(failure.code).toBe('refused');
        await writer.abort(failure);
        const names = await namesOn(rig);
        expect(names).toHaveProperty(['late:1'], web.image.id);
        expect(Object.keys(names).filter((name) => name.includes('imgmv-incoming'))).toEqual([]);
        expect(Object.values(names)).not.toContain(late.image.id);
        await rig.docker(['image', 'rm', 'late:1']);
      });

      describe('of several names', () => {
        let first: MemoryImage;
        let second: MemoryImage;
        beforeAll(async () => {
          first = await testImage({ name: 'held:1', layers: [{ held: 'held' }], store });
          second = await testImage({ name: 'takes:1', layers: [{ takes: 'takes' }], store });
          await moveIn(engine, [first, second]);
        });
        const namesTo = (...targets: readonly string[]) =>
          targets.map((target) => ({ source: 'takes:1', target }));
        /** It refuses the name `bad:1`. */
        const naming: NamingEngine = {
          inspect: (name) => engine.inspect(name),
          dropName: (name) => engine.dropName(name),
          tag: (from, repository, tag) =>
            repository === 'bad'
              ? Promise.reject(new ImgmvError('engine-refused', 'a bad name'))
              : engine.tag(from, repository, tag),
        };
        const failing = (from: string, ...targets: readonly string[]) =>
          failureOf(setNames(naming, from, namesTo(...targets), { noReplace: false }));

        it('sets none where one fails: what had them has them again', async () => {
          const before = await namesOn(rig);
          const failure = await failing('takes:1', 'free:1', 'held:1', 'takes:1', 'bad:1');
          expect(failure).toMatchObject({ code: 'engine-refused', message: 'a bad name' });
          expect(await namesOn(rig)).toEqual(before);
        });

        it('leaves an image that had none the only one that it got, and says so', async () => {
          const lone = await testImage({ names: [], layers: [{ lone: 'lone' }], store });
          await moveIn(engine, [lone]);
          const failure = await failing(lone.image.id, 'lone:1', 'lone:2', 'bad:1');
          expect(failure).toMatchObject({
            code: 'engine-refused',
            message:
              'a bad name; lone:1 stays with the image: it had no name before, and removing its only name would remove the image',
          });
          expect(await namesOn(rig)).toMatchObject({ 'lone:1': lone.image.id });
          expect(await namesOn(rig)).not.toHaveProperty(['lone:2']);
          await rig.docker(['image', 'rm', 'lone:1']);
        });

        it('keeps none of an image that fails, and nothing of it', async () => {
          const image = await testImage({ names: namesTo('late:1', 'late:2'), layers: [{ l: 'l' }], store });
          const before = await namesOn(rig);
          const sink = await sinkOf(engine, { noReplace: true });
          const [planned] = await sink.plan([image.image]);
          if (!planned) throw new Error('no answer');
          const { signal } = new AbortController();
          const writer = await planned.open(signal);
          for await (const blob of new MemorySource([]).blobs(image, undefined, signal))
            await writer.write(blob);
          await rig.docker(['tag', 'held:1', 'late:2']);
          const failure = await failureOf(writer.commit());
          expect(failure.code).toBe('refused');
          await writer.abort(failure);
          expect(await namesOn(rig)).toEqual({ ...before, 'late:2': first.image.id });
        });
      });

      it('takes an image whose history has no dates, and gives it', async () => {
        const dateless = await testImage({ name: 'dateless:1', store, history: [{ created_by: 'x' }, {}] });
        await moveIn(engine, [dateless]);
        expect(await lookUp('dateless:1')).toMatchObject([{ id: dateless.image.id }]);
      });

      it('takes layers that nobody can tell apart before they come, wanted or not, and again', async () => {
        const specs = [{ lower: 'lower' }, { middle: 'middle' }];
        const base = await testImage({ name: 'untold-base:1', layers: specs, store });
        await moveIn(engine, [base]);
        const image = await testImage({ name: 'untold:1', layers: [...specs, { upper: 'upper' }], store });
        let rounds = 0;
        const source = new (class extends MemorySource {
          override async *blobs(...[one, , signal]: Parameters<MemorySource['blobs']>): AsyncGenerator<Blob> {
            yield* super.blobs(one, undefined, signal);
            if (rounds++ === 0) await rig.docker(['image', 'rm', 'untold-base:1']);
          }
        })([image], { namesDigests: false });
        const { outcomes } = await move(source, await sinkOf(engine), MOVE);
        expect(outcomes).toMatchObject([{ status: 'loaded', targetId: image.image.id }]);
        expect(outcomes[0]?.error).toBeUndefined();
        await rig.docker(['image', 'rm', 'untold:1']);
      });

      it('says who lost a name in the plan, not who keeps it', async () => {
        const image = await testImage({ name: 'web:1.0', layers: [{ y: 'y' }], store });
        const [other] = await answersOf(await sinkOf(engine), image.image);
        expect(other?.refs).toEqual([{ source: 'web:1.0', target: 'web:1.0', replaces: web.image.id }]);
        const [same] = await answersOf(await sinkOf(engine), web.image);
        expect(same).toMatchObject({ action: 'present', refs: web.image.names });
      });
    },
    { required },
  );
}

async function sourceOf(
  engine: Engine,
  references: readonly string[],
  as: { readonly as?: string } = {},
): Promise<EngineSource> {
  const patterns = references.flatMap(parsePatterns);
  const chosen = await choose(new EngineCatalogue(engine, () => {}), { patterns, labels: [], except: [] });
  const renaming = new Renaming({ retag: [], keepNames: false });
  const meant = named(chosen, { ...as, renaming });
  return new EngineSource(engine, { meant, ignoreSpace: false, direct: true, leftOut: () => {} });
}

function sinkOf(engine: Engine, options: Partial<EngineSinkOptions> = {}): Promise<EngineSink> {
  return EngineSink.open(engine, { noReplace: false, ignoreSpace: false, ...options });
}

const MOVE: MoveOptions = {
  signal: new AbortController().signal,
  emit: () => {},
  wireBytes: () => 0,
  jobs: 2,
  retries: 0,
};

async function moveIn(engine: Engine, images: readonly MemoryImage[]): Promise<void> {
  const { outcomes } = await move(new MemorySource(images), await sinkOf(engine), MOVE);
  for (const { error } of outcomes) if (error) throw error;
}
