/** What every source and every sink must do, whatever is behind it: agent/model/image.ts, as tests. */

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import type { Blob, Digest, Image, Store } from '../../agent/model/image.ts';
import type { Answer, Committed, ImageWriter, Sink } from '../../agent/model/sink.ts';
import type { Source } from '../../agent/model/source.ts';
import { shortId } from '../../agent/peer/discretion.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { type MemoryImage, MemorySource, type TestImageOptions, testImage } from '../memory.ts';

/** One kind of source and sink. */
export interface Ends extends AsyncDisposable {
  /** How its images are kept; test images are made alike. */
  readonly store: Store;
  /** A source that offers these images, each under its own names; undefined for none. Whoever asked disposes of it. */
  readonly source: ((images: readonly MemoryImage[]) => Promise<Source>) | undefined;
  /** A new sink into the one store that these ends have. Whoever asked disposes of it. */
  sink(): Promise<Sink>;
  /** Whether a sink finds what those before it have left; true when left out. A file is written anew each time. */
  readonly lasting?: boolean;
  /** Whether what two images share is kept once; true when left out. */
  readonly sharing?: boolean;
  /** Whether its images are there only once `finish` has resolved; false when left out. */
  readonly atomic?: boolean;
  /** Whether it holds more than one image; true when left out. */
  readonly several?: boolean;
  /** Whether its source knows a layer's digest before its bytes; true when left out. */
  readonly namesDigests?: boolean;
  /** Whether it tells 12 digits only of images that were not offered; false when left out. */
  readonly tellsShortIds?: boolean;
  /** Which image has which name in the store; private and helper names, and images without one, too. */
  held(): Promise<Readonly<Record<string, Digest>>>;
}

/** `makeEnds` is called once: tests use images and names of their own. */
export function conformance(name: string, makeEnds: () => Promise<Ends>): void {
  describe(name, () => {
    let ends: Ends;
    const never = new AbortController().signal;

    beforeAll(async () => {
      ends = await makeEnds();
    });
    afterAll(() => ends?.[Symbol.asyncDispose]());

    const sourceOf = (context: TestContext, images: readonly MemoryImage[]): Promise<Source> =>
      ends.source?.(images) ?? context.skip('it is a sink only');
    const imageOf = (options: TestImageOptions) => testImage({ ...options, store: ends.store });

    describe('its source', () => {
      it('tells its images as they are', async (context) => {
        if (ends.several === false) context.skip('it holds one image');
        const images = [await imageOf({ name: 'told:1' }), await imageOf({ name: 'told:2' })];
        await using source = await sourceOf(context, images);
        const told = await source.images();
        const facts = images.map(({ image: { id, names, diffIds, platform, store } }) => ({
          image: { id, names, diffIds, platform, store },
        }));
        expect(told).toMatchObject(facts);
        expect(await source.images()).toEqual(told);
        expect(told.map(({ image }) => image.withheld)).toEqual([undefined, undefined]);
        source.expect([]);
        expect(Object.values(source.waits()).every((ms) => ms >= 0)).toBe(true);
      });

      for (const [hint, name] of [
        ['', 'given:1'],
        [' after a hint', 'given:2'],
      ])
        it(`gives each blob once, its bytes as they were, and metadata behind what it names${hint}`, async (context) => {
          const image = await imageOf({
            name: `${name}`,
            layers: [{ a: 'a' }, { b: { bytes: 300_000, seed: 1 } }],
          });
          await using source = await sourceOf(context, [image]);
          const [from] = await source.images();
          if (!from) throw new Error('no image');
          source.expect([{ from, layers: undefined }]);
          if (hint !== '') from.prepare(undefined, never);
          const seen = [];
          for await (const blob of from.blobs(undefined, never)) seen.push(await read(blob));
          const want = image.blobs.map(({ kind, digest, bytes }) => ({ kind, digest, size: bytes.length }));
          const metadata = (all: typeof want) => all.filter(({ kind }) => kind !== 'layer');
          expect(metadata(seen)).toEqual(metadata(want));
          expect(seen).toHaveLength(want.length);
          expect(seen).toEqual(expect.arrayContaining(want));
        });

      it('gives the layers that are wanted, and again what is wanted once more', async (context) => {
        const image = await imageOf({ name: 'wanted:1', layers: [{ a: 'wanted' }, { b: 'not' }] });
        await using source = await sourceOf(context, [image]);
        const [from] = await source.images();
        const [wanted, other] = image.image.diffIds;
        if (!from || !wanted || !other) throw new Error('no image, or no layers');
        for (const [layer, others] of [
          [wanted, [other]],
          [other, [wanted]],
        ] as const) {
          source.expect([{ from, layers: [layer] }]);
          const seen = new Map<Digest, Blob['kind']>();
          for await (const blob of from.blobs([layer], never)) {
            const { kind, digest } = await read(blob);
            seen.set(digest, kind);
          }
          expect(seen.get(layer)).toBe('layer');
          // One that learns digests only from the bytes may give them all.
          if (ends.namesDigests !== false) for (const one of others) expect(seen.has(one)).toBe(false);
          expect([...seen.values()]).toContain('config');
        }
      });

      it('stops with the reason of the signal', async (context) => {
        const image = await imageOf({ name: 'stopped:1' });
        await using source = await sourceOf(context, [image]);
        const [from] = await source.images();
        if (!from) throw new Error('no image');
        source.expect([{ from, layers: undefined }]);
        const reason = new ImgmvError('sigint', 'stopped by the test');
        await expect(
          from.blobs(undefined, AbortSignal.abort(reason))[Symbol.asyncIterator]().next(),
        ).rejects.toThrow(reason);
      });
    });

    describe('its sink', () => {
      /** Plans one image and opens its writer. */
      async function begin(
        sink: Sink,
        { image }: MemoryImage,
      ): Promise<{ answer: Answer; writer: ImageWriter }> {
        const [planned] = await sink.plan([image]);
        if (!planned) throw new Error('no answer');
        return { answer: planned.answer, writer: await planned.open(never) };
      }

      async function writeAll(writer: ImageWriter, image: MemoryImage): Promise<void> {
        for await (const blob of new MemorySource([]).blobs(image, undefined, never))
          await writer.write(blob);
      }

      it('has nothing under a name before the commit, and the image after it', async () => {
        const image = await imageOf({ name: 'whole:1' });
        const before = await ends.held();
        await using sink = await ends.sink();
        const { answer, writer } = await begin(sink, image);
        expect(answer).toMatchObject({ action: 'send', refs: image.image.names });
        await writeAll(writer, image);
        expect(await ends.held()).toEqual(before);
        const { targetId, refs } = await committed(writer);
        await sink.finish();
        expect({ targetId, refs }).toEqual({ targetId: image.image.id, refs: image.image.names });
        expect(await ends.held()).toEqual({ ...before, 'whole:1': targetId });
      });

      it('is what its facts say, and has what it committed when they say', async () => {
        const image = await imageOf({ name: 'facts:1' });
        const before = await ends.held();
        await using sink = await ends.sink();
        const { writer } = await begin(sink, image);
        const { facts } = sink;
        // A file keeps images as they come, and another host says what it has.
        expect([ends.store, 'classic', undefined]).toContain(facts.store);
        expect(facts.atomic).toBe(ends.atomic === true);
        await writeAll(writer, image);
        const { targetId } = await committed(writer);
        const after = { ...before, 'facts:1': targetId };
        expect(await ends.held()).toEqual(facts.atomic ? before : after);
        await sink.finish();
        expect(await ends.held()).toEqual(after);
      });

      it('counts what it waits for, what it works off and what it keeps, and takes nothing back', async () => {
        const image = await imageOf({ name: 'counted:1', layers: [{ a: { bytes: 400_000, seed: 5 } }] });
        await using sink = await ends.sink();
        const { writer } = await begin(sink, image);
        const counts = () => [writer.loadedBytes(), writer.keptBytes(), ...Object.values(sink.waits())];
        const before = counts();
        expect(before.slice(0, 2)).toEqual([0, 0]);
        await writeAll(writer, image);
        const written = counts();
        await committed(writer);
        const done = counts();
        for (const [earlier, later] of [
          [before, written],
          [written, done],
        ])
          for (const [at, count] of (earlier ?? []).entries())
            expect(later?.[at]).toBeGreaterThanOrEqual(count);
        expect(writer.loadedBytes()).toBeLessThanOrEqual(2 * image.image.bytes + 400_000);
        expect(writer.keptBytes()).toBeLessThanOrEqual(image.image.bytes);
        await sink.finish();
      });

      it('plans and takes once more what failed', async () => {
        const image = await imageOf({ name: 'again:1' });
        const before = await ends.held();
        await using sink = await ends.sink();
        const first = await begin(sink, image);
        await writeAll(first.writer, { ...image, blobs: image.blobs.slice(0, 1) });
        await first.writer.abort(new ImgmvError('engine-refused', 'failed by the test'));
        await sink.retrying({ images: [image.image], attempt: 1, waitMs: 0 });
        const { answer, writer } = await begin(sink, image);
        expect(answer).toMatchObject({ action: 'send' });
        await writeAll(writer, image);
        const { targetId } = await committed(writer);
        await sink.finish();
        expect(await ends.held()).toEqual({ ...before, 'again:1': targetId });
      });

      it('has all names of an image, or none', async (context) => {
        if (ends.several === false) context.skip('it holds one image, under one name at most');
        const names = ['both:1', 'both:2'].map((name) => ({ source: name, target: name }));
        const image = await imageOf({ names, layers: [{ both: 'names' }] });
        const before = await ends.held();
        {
          await using sink = await ends.sink();
          const { writer } = await begin(sink, image);
          await writeAll(writer, image);
          await writer.abort(new ImgmvError('sigint', 'stopped by the test'));
        }
        expect(await ends.held()).toEqual(before);
        await using sink = await ends.sink();
        const { writer } = await begin(sink, image);
        await writeAll(writer, image);
        const { refs, targetId } = await committed(writer);
        await sink.finish();
        expect(refs.map(({ target }) => target).sort()).toEqual(['both:1', 'both:2']);
        expect(await ends.held()).toEqual({ ...before, 'both:1': targetId, 'both:2': targetId });
      });

      it('keeps what it committed when the next one is aborted', async (context) => {
        if (ends.several === false) context.skip('it holds one image');
        const good = await imageOf({ name: 'stays:1' });
        const bad = await imageOf({ name: 'goes:1' });
        const before = await ends.held();
        await using sink = await ends.sink();
        const [first, second] = await sink.plan([good.image, bad.image]);
        if (!first || !second) throw new Error('no answers');
        const writer = await first.open(never);
        await writeAll(writer, good);
        const { targetId } = await committed(writer);
        const failing = await second.open(never);
        await writeAll(failing, { ...bad, blobs: bad.blobs.slice(0, 1) });
        await failing.abort(new ImgmvError('integrity', 'aborted by the test'));
        await sink.finish();
        expect(await ends.held()).toEqual({ ...before, 'stays:1': targetId });
      });

      it('may end without an image', async () => {
        const before = await ends.held();
        await using sink = await ends.sink();
        expect(await sink.plan([])).toEqual([]);
        await sink.finish();
        expect(await ends.held()).toEqual(before);
      });

      it('takes blobs in any order', async () => {
        const image = await imageOf({ name: 'reversed:1' });
        await using sink = await ends.sink();
        const { writer } = await begin(sink, image);
        await writeAll(writer, { ...image, blobs: image.blobs.toReversed() });
        await writer.commit();
        await sink.finish();
        expect(await ends.held()).toHaveProperty(['reversed:1'], image.image.id);
      });

      it('takes layers whose digest nobody names', async () => {
        const image = await imageOf({ name: 'unnamed:1' });
        await using sink = await ends.sink();
        const { writer } = await begin(sink, image);
        for await (const { digest, ...blob } of new MemorySource([]).blobs(image, undefined, never))
          await writer.write({ ...blob, ...(blob.kind !== 'layer' && digest && { digest }) });
        await writer.commit();
        await sink.finish();
        expect(await ends.held()).toHaveProperty(['unnamed:1'], image.image.id);
      });

      it('leaves nothing of what is aborted midway', async () => {
        const image = await imageOf({
          name: 'aborted:1',
          layers: [{ a: 'a' }, { b: { bytes: 300_000, seed: 2 } }],
        });
        const before = await ends.held();
        await using sink = await ends.sink();
        const { writer } = await begin(sink, image);
        const [first] = image.blobs;
        if (!first) throw new Error('no blob');
        await writeAll(writer, { ...image, blobs: [first] });
        await writer.abort(new ImgmvError('integrity', 'aborted by the test'));
        expect(await ends.held()).toEqual(before);
      });

      it.each(['layer', 'config'] as const)('refuses an image that lacks a %s', async (kind) => {
        const layers = [{ lacking: kind }, { top: kind }];
        const image = await imageOf({ name: `lacking-${kind}:1`, layers });
        const before = await ends.held();
        await using sink = await ends.sink();
        const { writer } = await begin(sink, image);
        const missing = image.blobs.findIndex((blob) => blob.kind === kind);
        await writeAll(writer, { ...image, blobs: image.blobs.toSpliced(missing, 1) });
        const failure = await failureOf(writer.commit());
        expect(failure.code).toBe('integrity');
        await writer.abort(failure);
        expect(await ends.held()).toEqual(before);
      });

      it('refuses a layer that is not what its digest says', async () => {
        const image = await imageOf({ name: 'altered:1' });
        const before = await ends.held();
        await using sink = await ends.sink();
        const { writer } = await begin(sink, image);
        const [layer] = image.blobs;
        if (!layer) throw new Error('no blob');
        const { kind, digest } = layer;
        const altered = Buffer.from(layer.bytes);
        altered.writeUInt8(altered.readUInt8(0) ^ 1, 0);
        const body = (async function* () {
          yield altered;
        })();
        // A peer's word comes from the other host, when the image is to be complete at the latest.
        const taking = writer.write({ kind, digest, size: altered.length, body }).then(() => writer.commit());
        const failure = await failureOf(taking);
        expect(failure.code).toBe('integrity');
        await writer.abort(failure);
        expect(await ends.held()).toEqual(before);
      });

      it('says which image lost a name', async (context) => {
        if (ends.lasting === false) context.skip('it finds nothing of those before it');
        const first = await imageOf({ name: 'moving:1' });
        const second = await imageOf({ name: 'moving:1', layers: [{ other: 'other' }] });
        for (const [image, replaced] of [
          [first, undefined],
          [second, first.image.id],
        ] as const) {
          await using sink = await ends.sink();
          const { answer, writer } = await begin(sink, image);
          const told = replaced && (ends.tellsShortIds ? shortId(replaced) : replaced);
          expect(answer.refs[0]?.replaces).toBe(told);
          await writeAll(writer, image);
          expect((await committed(writer)).refs[0]?.replaced).toBe(told);
        }
        expect(await ends.held()).toHaveProperty(['moving:1'], second.image.id);
      });

      it('needs no blobs of an image that is there, and gives it its new name', async (context) => {
        if (ends.lasting === false) context.skip('it finds nothing of those before it');
        const image = await imageOf({ name: 'there:1' });
        const again = {
          ...image,
          image: { ...image.image, names: [{ source: 'there:1', target: 'there:2' }] },
        };
        for (const [one, action] of [
          [image, 'send'],
          [again, 'present'],
        ] as const) {
          await using sink = await ends.sink();
          const { answer, writer } = await begin(sink, one);
          expect(answer.action).toBe(action);
          if (action === 'send') await writeAll(writer, one);
          expect((await committed(writer)).targetId).toBe(image.image.id);
        }
        const { id } = image.image;
        expect(await ends.held()).toMatchObject({ 'there:1': id, 'there:2': id });
      });

      it('asks only for the layers that it lacks', async (context) => {
        if (ends.lasting === false) context.skip('it finds nothing of those before it');
        const shared = [{ shared: 'one' }, { shared: 'two' }];
        const first = await imageOf({ name: 'base:1', layers: shared });
        const second = await imageOf({ name: 'above:1', layers: [...shared, { above: 'it' }] });
        for (const image of [first, second]) {
          await using sink = await ends.sink();
          const { answer, writer } = await begin(sink, image);
          const wanted = image === first ? first.image.diffIds : second.image.diffIds.slice(-1);
          expect(answer).toMatchObject({ action: 'send', missing: wanted });
          for await (const blob of new MemorySource([]).blobs(image, answer.missing, never))
            await writer.write(blob);
          expect((await committed(writer)).targetId).toBe(image.image.id);
        }
        expect(await ends.held()).toMatchObject({ 'base:1': first.image.id, 'above:1': second.image.id });
      });

      it('asks for a shared layer once, and again where it did not come', async (context) => {
        if (ends.sharing === false || ends.several === false)
          context.skip('each of its images has all its layers');
        const shared = { sharedByTwo: 'layer' };
        const one = await imageOf({ name: 'one:1', layers: [shared, { one: 'one' }] });
        const two = await imageOf({ name: 'two:1', layers: [shared, { two: 'two' }] });
        const before = await ends.held();
        await using sink = await ends.sink();
        const [first, second] = await sink.plan([one.image, two.image]);
        if (!first || !second) throw new Error('no answers');
        expect(first.answer.missing).toEqual(one.image.diffIds);
        expect(second.answer.missing).toEqual(two.image.diffIds.slice(-1));
        const failing = await first.open(never);
        await failing.abort(new ImgmvError('integrity', 'the first one fails'));
        const writer = await second.open(never);
        const source = new MemorySource([]);
        for await (const blob of source.blobs(two, second.answer.missing, never)) await writer.write(blob);
        const end = await writer.commit();
        expect(end).toEqual({ missing: two.image.diffIds.slice(0, 1) });
        const again = 'missing' in end ? end.missing : [];
        for await (const blob of source.blobs(two, again, never)) await writer.write(blob);
        expect((await committed(writer)).targetId).toBe(two.image.id);
        await sink.finish();
        expect(await ends.held()).toEqual({ ...before, 'two:1': two.image.id });
      });

      it('takes an image without a name', async () => {
        const image = await imageOf({ names: [], layers: [{ nameless: 'yes' }] });
        const names = Object.keys(await ends.held());
        await using sink = await ends.sink();
        const { writer } = await begin(sink, image);
        await writeAll(writer, image);
        expect(await writer.commit()).toMatchObject({ targetId: image.image.id, refs: [] });
        await sink.finish();
        const held = await ends.held();
        expect(
          Object.keys(held).filter((name) => !names.includes(name) && !name.startsWith('<none>')),
        ).toEqual([]);
      });

      it('plans several images, answers in their order', async (context) => {
        if (ends.several === false) context.skip('it holds one image');
        const images = [await imageOf({ name: 'first:1' }), await imageOf({ name: 'second:1' })];
        await using sink = await ends.sink();
        const planned = await sink.plan(images.map(({ image }) => image));
        expect(planned.map(({ answer: { image, action } }) => [image.id, action])).toEqual(
          images.map(({ image }) => [image.id, 'send']),
        );
        for (const [index, one] of planned.entries()) {
          const writer = await one.open(never);
          await writeAll(writer, images[index] as MemoryImage);
          await writer.commit();
        }
        await sink.finish();
        expect(await ends.held()).toMatchObject({
          'first:1': images[0]?.image.id,
          'second:1': images[1]?.image.id,
        });
      });
    });
  });
}

/** What `work` fails with. */
export async function failureOf(work: Promise<unknown>): Promise<ImgmvError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ImgmvError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

/** What a sink says to these images. */
export async function answersOf(sink: Sink, ...images: readonly Image[]): Promise<readonly Answer[]> {
  return (await sink.plan(images)).map(({ answer }) => answer);
}

/** Commits an image that has come whole. */
async function committed(writer: ImageWriter): Promise<Committed> {
  const end = await writer.commit();
  if ('missing' in end) throw new Error(`missing: ${end.missing.join(' ')}`);
  return end;
}

async function read({ kind, body }: Blob): Promise<{ kind: Blob['kind']; digest: Digest; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { kind, digest: `sha256:${hash.digest('hex')}`, size };
}
