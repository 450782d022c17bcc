/** What `docker save` gives, in its three shapes, and with what an engine or an image may make wrong in it. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { blobsOfSave } from '../../agent/docker/classic/save.ts';
import type { Digest } from '../../agent/model/image.ts';
import { digestOf } from '../../agent/oci/metadata.ts';
import { v1Ids } from '../../agent/oci/v1-id.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { Stopwatch } from '../../proto/stopwatch.ts';
import { testImage } from '../memory.ts';
import { cut, cuts, mutated } from './bytes.ts';
import { holds, refused } from './refusal.ts';
import { file, lies, prelude, type TarEntry, tar } from './tar.ts';
import { target } from './target.ts';
import { nastyText } from './text.ts';

const hex = (digest: string) => digest.slice('sha256:'.length);
const v1 = (n: number) => createHash('sha256').update(`v1 ${n}`).digest('hex');

const CLASSIC = await testImage({ name: 'web:1.0' });
const CONTAINERD = await testImage({ name: 'web:2.0', store: 'containerd' });
const bytesOf = (all: typeof CLASSIC, kind: string) =>
  all.blobs.filter((blob) => blob.kind === kind).map(({ bytes }) => bytes);
const [CONFIG = Buffer.alloc(0)] = bytesOf(CLASSIC, 'config');
const blobFile = (bytes: Buffer) => file(`blobs/sha256/${hex(digestOf(bytes))}`, bytes);
const known = [...v1Ids(CLASSIC.image.diffIds).keys()];

/** Each with the image that it is of. */
const SHAPES: readonly (readonly TarEntry[])[] = [
  [
    ...bytesOf(CLASSIC, 'layer').flatMap((bytes, at) => {
      const id = known[at] ?? v1(at);
      const json = JSON.stringify({ id, parent: known[at - 1], created: '1970-01-01T01:00:00+01:00' });
      return [
        { ...file(`${id}/`, Buffer.alloc(0)), type: '5' },
        file(`${id}/VERSION`, Buffer.from('1.0')),
        file(`${id}/json`, Buffer.from(json)),
        file(`${id}/layer.tar`, bytes),
      ];
    }),
    { ...file(`${v1(9)}/layer.tar`, Buffer.alloc(0)), type: '2', link: `../${v1(0)}/layer.tar` },
    file(`${hex(CLASSIC.image.id)}.json`, CONFIG),
    file('manifest.json', Buffer.from('[]')),
  ],
  [...CLASSIC.blobs.map(({ bytes }) => blobFile(bytes)), file('oci-layout', Buffer.from('{}'))],
  [
    ...bytesOf(CLASSIC, 'layer').map((bytes) => file(`${hex(digestOf(bytes))}.tar`, bytes)),
    file(`${hex(CLASSIC.image.id)}.json`, CONFIG),
  ],
  [...CONTAINERD.blobs.map(({ bytes }) => blobFile(bytes)), file('index.json', Buffer.from('{}'))],
];

const BROKEN = 'a broken tar';

interface Archive {
  readonly shape: number;
  readonly bytes: Buffer;
  readonly cutAt: readonly number[];
  /** 0 all, 1 none, 2 the first layer. */
  readonly wanted: number;
  /** Whether all headers say what is so. */
  readonly honest: boolean;
}

const change = fc.tuple(fc.nat(6), fc.nat(31), lies, fc.option(prelude), mutatedName());

function mutatedName(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom('manifest.json', `${v1(3)}/json`, `${v1(3)}/layer.tar`, `blobs/sha256/${'0'.repeat(64)}`),
    nastyText.map((text) => text.slice(0, 90)),
  );
}

const archive: fc.Arbitrary<Archive> = fc
  .record({
    shape: fc.nat(SHAPES.length - 1),
    changes: fc.array(change, { maxLength: 3 }),
    ends: fc.boolean(),
    cutAt: cuts,
    wanted: fc.nat(2),
  })
  .map(({ shape, changes, ends, cutAt, wanted }) => {
    const entries = [...(SHAPES[shape] ?? [])];
    for (const [kind, where, lie, before, name] of changes) {
      const at = where % Math.max(1, entries.length);
      const entry = entries[at] ?? file('x', Buffer.alloc(0));
      if (kind === 0) entries.splice(at, 1);
      else if (kind === 1) entries.push(...entries.splice(at, 1));
      else if (kind === 2) entries.splice(at, 0, entry);
      else if (kind === 3) entries[at] = { ...entry, ...lie };
      else if (kind === 4) entries[at] = { ...entry, name };
      else if (kind === 5) entries[at] = { ...entry, body: entry.body.subarray(0, where * 3) };
      if (before) entries.splice(at, 0, before);
    }
    const honest = changes.every(([kind, , , before]) => kind !== 3 && !before);
    return { shape, bytes: tar(entries, ends), cutAt, wanted, honest };
  });

const saves = target<Archive>({
  name: 'engine/save',
  share: 8,
  input: fc.oneof(
    { weight: 4, arbitrary: archive },
    {
      weight: 1,
      arbitrary: archive.chain((made) =>
        mutated(fc.constant(made.bytes)).map((bytes) => ({ ...made, bytes, honest: false })),
      ),
    },
  ),
  check: async ({ shape, bytes, cutAt, wanted, honest }) => {
    const cutUp = await blobsIn(shape, cut(bytes, cutAt), wanted);
    const atOnce = await blobsIn(shape, [bytes], wanted);
    const broken = [cutUp, atOnce].some(([first]) => first === BROKEN);
    // What tar-stream makes of a header that lies depends on how it comes. And of a classic image it is known when
    // all has come: whether what is behind that is whole, nobody need see.
    if (broken && !honest) return;
    holds(!broken, 'a tar that is honest is read');
    holds(isDeepStrictEqual(cutUp, atOnce), `where it is cut does not matter:\n${cutUp}\n${atOnce}`);
  },
});

/** What came, and whether all of it did. */
async function blobsIn(shape: number, pieces: readonly Buffer[], wanted: number): Promise<readonly string[]> {
  const { image } = shape === SHAPES.length - 1 ? CONTAINERD : CLASSIC;
  const [first] = image.diffIds as readonly [Digest, ...Digest[]];
  const asked = wanted === 0 ? undefined : new Set(wanted === 1 ? [] : [first]);
  const stream = Readable.from(pieces);
  const came: string[] = [];
  try {
    for await (const blob of blobsOfSave(stream, image, new Stopwatch(), asked)) {
      const hash = createHash('sha256');
      let size = 0;
      for await (const part of blob.body) {
        hash.update(part);
        size += part.length;
      }
      const digest = `sha256:${hash.digest('hex')}`;
      holds(size === blob.size, 'a blob has the size that was announced');
      // A layer's digest is compared by whoever takes it; metadata's is compared here.
      if (blob.kind !== 'layer') holds(blob.digest === digest, 'metadata is what its digest says');
      came.push(`${blob.kind} ${blob.digest} ${size} ${digest}`);
    }
    holds(
      came.some((blob) => blob.includes(image.root.digest)),
      'a save that ends well has brought the root',
    );
    return [...came, 'whole'];
  } catch (error) {
    // The tar reader's own errors; whoever calls says whose archive it was.
    const ofTheTar = error instanceof Error && error.constructor === Error;
    if (!ofTheTar) refused(['integrity', 'engine-refused'], error);
    // How much came before it showed depends on how the bytes come.
    return [error instanceof ImgmvError ? error.code : BROKEN];
  }
}

/** Ids that are made up for layers: one for each layer but the top one, each other if any layer below is. */
const ids = target<{ layers: readonly number[]; created: string }>({
  name: 'engine/v1-ids',
  share: 4,
  input: fc.record({ layers: fc.array(fc.nat(3), { maxLength: 12 }), created: nastyText }),
  check: ({ layers, created }) => {
    const diffIds = layers.map((layer): Digest => `sha256:${String(layer).repeat(64)}`);
    const found = [...v1Ids(diffIds, created)];
    holds(found.length === Math.max(0, diffIds.length - 1), 'each layer but the top one has an id');
    for (const [at, [id, diffId]] of found.entries())
      holds(/^[0-9a-f]{64}$/.test(id) && diffId === diffIds[at], 'ids are in the order of the layers');
  },
});

export const saveTargets = [saves, ids];
