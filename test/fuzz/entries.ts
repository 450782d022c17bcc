/** Entries of a blob lane, and zstd inside them. PROTOCOL.md section 7. */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { Compressor, Decompressor } from '../../proto/compression.ts';
import {
  type BlobHeader,
  type BlobKind,
  type Digest,
  decodeHeader,
  decodeTrailer,
  encodeHeader,
  encodeTrailer,
} from '../../proto/entry.ts';
import { encodeBlob } from '../../proto/entry-body.ts';
import { EntryReader, type ReceivedBlob } from '../../proto/entry-reader.ts';
import { EntryWriter } from '../../proto/entry-writer.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { SEGMENT_MAX_BYTES } from '../../proto/limits.ts';
import { bytesLike, cut, cuts, inPieces, mutated, mutatedInPlace, rawBytes } from './bytes.ts';
import { decoded, decodedLater, holds, refused } from './refusal.ts';
import { target } from './target.ts';
import { laneOf, writtenLane } from './wire.ts';
import { bomb, frames } from './zstd-frames.ts';

const MIB = 1024 * 1024;
/** Output of zstd is handed out of pieces of 256 KiB, of which one is begun for each body. */
const SLAB_BYTES = 256 * 1024;

const sha256 = (bytes: Buffer): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

async function collected(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

const decompressor = new Decompressor();

const digest = rawBytes(32, 32).map((bytes): Digest => `sha256:${bytes.toString('hex')}`);
const kind = fc.constantFrom<BlobKind>('layer', 'config', 'manifest', 'index');

const header: fc.Arbitrary<Buffer> = fc.oneof(
  fc
    .record({
      kind,
      item: fc.nat(9_999),
      encoding: fc.constantFrom<BlobHeader['encoding']>('identity', 'zstd'),
      size: fc.oneof(fc.nat(4 * MIB), fc.constantFrom(2 ** 40, 4 * MIB, undefined)),
      digest: fc.option(digest, { nil: undefined }),
    })
    .map((blob) => encodeHeader({ type: 'blob', ...blob })),
  fc
    .record({ item: fc.nat(9_999), blobs: fc.nat(), complete: fc.boolean() })
    .map((end) => encodeHeader({ type: 'end', ...end })),
);

const headers = target({
  name: 'entries/header',
  share: 40,
  input: mutatedInPlace(header),
  check: (bytes) => {
    const value = decoded(['protocol-violation'], () => decodeHeader(bytes));
    if (!value) return;
    holds(isDeepStrictEqual(decodeHeader(encodeHeader(value)), value), 'a header is read as it is written');
    const size = value.type === 'end' ? value.blobs : (value.size ?? 0);
    holds(Number.isSafeInteger(size) && value.item < 10_000, 'numbers are within their bounds');
    if (value.type === 'blob')
      holds(size <= (value.kind === 'layer' ? 2 ** 40 : 4 * MIB), 'a size is bounded');
  },
});

const trailers = target({
  name: 'entries/trailer',
  share: 20,
  input: mutatedInPlace(
    fc.oneof(
      fc.constant(encodeTrailer(undefined)),
      fc.nat().map((size) => encodeTrailer({ complete: true, size })),
    ),
  ),
  check: (bytes) => {
    const value = decoded(['protocol-violation'], () => decodeTrailer(bytes));
    if (!value) return;
    holds(Number.isSafeInteger(value.size), 'a size is a whole number');
    if (value.complete) holds(encodeTrailer(value).equals(bytes), 'a trailer is written as it was read');
  },
});

/** Compressed by the real thing. */
const SAMPLES = await Promise.all(
  [Buffer.alloc(0), Buffer.from('hello'), Buffer.alloc(3_000, 'again and '), noise(2_000)].map(
    async (content) => ({
      content,
      bytes: await collected(new Compressor(0).compress(inPieces(content, [512]), () => 3)),
    }),
  ),
);

function noise(bytes: number): Buffer {
  const all = Array.from({ length: Math.ceil(bytes / 32) }, (_, at) =>
    createHash('sha256').update(String(at)).digest(),
  );
  return Buffer.concat(all, bytes);
}

const compressedBytes: fc.Arbitrary<Buffer> = fc.oneof(
  frames.map(({ bytes }) => bytes),
  fc
    .array(fc.constantFrom(...SAMPLES), { maxLength: 3 })
    .map((all) => Buffer.concat(all.map(({ bytes }) => bytes))),
);

/** The output may fill the slab at hand, and needs one more for what is left. */
const outputAllowance = (maxBytes: number) => 2 * MIB + 4 * maxBytes;

const zstd = target<{ bytes: Buffer; cutAt: readonly number[]; maxBytes: number }>({
  name: 'zstd/bounded',
  share: 10,
  input: fc.record({
    bytes: bytesLike(compressedBytes),
    cutAt: cuts,
    maxBytes: fc.oneof(fc.nat(3_000), fc.nat(600_000)),
  }),
  allowance: ({ bytes, maxBytes }) => 2 * outputAllowance(maxBytes) + 32 * bytes.length,
  check: async ({ bytes, cutAt, maxBytes }) => {
    const run = (lengths: readonly number[]) =>
      decodedLater(['integrity'], async () => {
        const parts: Buffer[] = [];
        let total = 0;
        for await (const part of decompressor.decompress(inPieces(bytes, lengths), maxBytes)) {
          parts.push(part);
          total += part.length;
          holds(part.length > 0 && part.length <= SLAB_BYTES, 'pieces are bounded');
          holds(total <= maxBytes, 'never more than was declared, not even on the way');
        }
        return Buffer.concat(parts);
      });
    const [cutUp, atOnce] = [await run(cutAt), await run([bytes.length])];
    holds(isDeepStrictEqual(cutUp, atOnce), 'where it is cut does not matter');
  },
});

const honestFrames = target<{
  bytes: Buffer;
  content: Buffer | null;
  cutAt: readonly number[];
  room: number;
  /** Bytes that are left out at the end, fewer than a frame has. */
  short: number;
}>({
  name: 'zstd/frames',
  share: 6,
  input: fc
    .record({
      made: frames,
      cutAt: cuts,
      room: fc.integer({ min: -1, max: 2 }),
      short: rarely(0, fc.integer({ min: 1, max: 7 })),
    })
    .map(({ made, ...rest }) => ({ bytes: made.bytes, content: made.content ?? null, ...rest })),
  allowance: ({ bytes, content }) => outputAllowance(content?.length ?? 0) + 32 * bytes.length,
  check: async ({ bytes: whole, content, cutAt, room, short }) => {
    const bytes = whole.subarray(0, whole.length - short);
    const maxBytes = Math.max(0, (content?.length ?? MIB) + room);
    const got = await decodedLater(['integrity'], () =>
      collected(decompressor.decompress(inPieces(bytes, cutAt), maxBytes)),
    );
    if (content === null) return holds(got === undefined, 'a window of more than 8 MiB is refused');
    const fits = content.length <= maxBytes && short === 0;
    holds((got !== undefined) === fits, 'exactly what is whole and fits is taken');
    if (fits) holds(got?.equals(content) === true, 'what comes out is what went in');
  },
});

const bombs = target<{ blocks: number; declared: number; cutAt: readonly number[] }>({
  name: 'zstd/bombs',
  share: 0.5,
  input: fc.record({ blocks: fc.integer({ min: 8, max: 8_192 }), declared: fc.nat(4 * MIB), cutAt: cuts }),
  allowance: ({ blocks, declared }) => 2 * MIB + 3 * declared + 32 * 4 * blocks,
  check: async ({ blocks, declared, cutAt }) => {
    let bytes = 0;
    await decodedLater(['integrity'], async () => {
      for await (const part of decompressor.decompress(inPieces(bomb(blocks), cutAt), declared))
        bytes += part.length;
      holds(bytes === blocks * 128 * 1024, 'a bomb that was declared is taken whole');
    });
    holds(bytes <= declared, 'of a bomb nothing comes but what was declared');
  },
});

/** One entry as a sender may write it, and what must come of it. */
interface Spec {
  readonly kind: BlobKind;
  readonly zstd: boolean;
  readonly content: Buffer;
  /** Added to the size in the header, and to that in the trailer. */
  readonly off: number;
  readonly trailerOff: number;
  /** Its length and its digest are in the trailer only. */
  readonly chunked: boolean;
  /** 0 none, 1 the right one, 2 another. */
  readonly digest: number;
  readonly abandoned: boolean;
  /** Changes of the encoded body, as a byte's place and value; null for none. */
  readonly damage: number | null;
  readonly segment: number;
  /** What the reader does with the body: 0 nothing, 1 takes a piece, others take all. */
  readonly reads: number;
}

function rarely<T>(usual: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 8, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other });
}

const spec: fc.Arbitrary<Spec> = fc.record({
  kind,
  zstd: fc.boolean(),
  content: fc.oneof(fc.constantFrom(...SAMPLES.map(({ content }) => content)), rawBytes(100)),
  off: rarely(0, fc.constantFrom(-1, 1, 1_000_000, -2_000, -3_000)),
  trailerOff: rarely(0, fc.constantFrom(-1, 1)),
  chunked: fc.boolean(),
  digest: fc.nat(2),
  abandoned: rarely(false, fc.constant(true)),
  damage: rarely<number | null>(null, fc.nat(0xffff)),
  segment: fc.integer({ min: 1, max: 4_000 }),
  reads: fc.nat(4),
});

/** What a chunked blob of these may have. */
const CHUNKED_MAX = 50;
const CHUNKED = { size: undefined, digest: undefined };

type Ending = 'verified' | 'integrity' | 'peer-stopped' | 'skipped';

function encode(one: Spec): { bytes: Buffer; ending: Ending | undefined; tooLong: boolean } {
  const { content, off, trailerOff, chunked, abandoned, damage, segment, reads } = one;
  const size = Math.max(0, content.length + off);
  const trailerSize = Math.max(0, content.length + trailerOff);
  const sample = SAMPLES.find((candidate) => candidate.content.equals(content));
  const encoding = one.zstd && sample ? 'zstd' : 'identity';
  const body = Buffer.from(encoding === 'zstd' && sample ? sample.bytes : content);
  const damaged = damage !== null && body.length > 0;
  if (damaged) body[damage % body.length] = (body[damage % body.length] ?? 0) ^ (1 + (damage % 255));
  const named = one.digest === 0 ? undefined : sha256(one.digest === 1 ? content : Buffer.from('other'));
  const segments = cut(body, [segment]).flatMap((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    return [length, part];
  });
  const bytes = Buffer.concat([
    encodeHeader({
      type: 'blob',
      kind: one.kind,
      item: 7,
      encoding,
      ...(chunked ? CHUNKED : { size, digest: named }),
    }),
    ...segments,
    Buffer.alloc(4),
    encodeTrailer(
      abandoned
        ? undefined
        : { complete: true, size: trailerSize, ...(chunked && { digest: named ?? sha256(content) }) },
      chunked,
    ),
  ]);
  // A chunked blob has the bound of the reader in place of its size.
  const right =
    (chunked ? content.length <= CHUNKED_MAX : size === content.length) &&
    trailerSize === content.length &&
    one.digest !== 2;
  const ending = reads < 2 ? 'skipped' : abandoned ? 'peer-stopped' : right ? 'verified' : 'integrity';
  // What is changed in its bytes may by chance be right all the same, where no digest was named.
  const unsure = damaged && reads >= 2 && !abandoned;
  const bound = chunked ? CHUNKED_MAX : size;
  const tooLong = body.length > bound + Math.ceil(bound / 128) + 1_024;
  return { bytes, ending: unsure ? undefined : ending, tooLong };
}

/** What a reader makes of a stream: an ending a blob, and with what the stream ended. */
async function readEntries(
  pieces: readonly Buffer[],
  reads: readonly number[],
  chunkedMax = CHUNKED_MAX,
): Promise<readonly string[]> {
  const reader = new EntryReader(laneOf(pieces), () => chunkedMax);
  const endings: string[] = [];
  try {
    for (let at = 0; ; at++) {
      const item = await reader.next();
      if (!item) return [...endings, 'end'];
      if ('type' in item) endings.push(`image ${item.item} ended with ${item.blobs}, ${item.complete}`);
      else endings.push(await readBody(item, reads[at % Math.max(1, reads.length)] ?? 2, chunkedMax));
    }
  } catch (error) {
    refused(['protocol-violation'], error);
    // Whether it shows in the piece that is taken of a body or behind it depends on how large the pieces are.
    while (endings.at(-1) === 'skipped') endings.pop();
    return [...endings, 'protocol-violation'];
  }
}

async function readBody(blob: ReceivedBlob, reads: number, chunkedMax: number): Promise<string> {
  if (reads === 0) return 'skipped';
  const hash = createHash('sha256');
  let size = 0;
  try {
    for await (const part of blob.body) {
      size += part.length;
      holds(size <= (blob.size ?? chunkedMax), 'a body is never longer than declared, not even on the way');
      hash.update(part);
      if (reads === 1) return 'skipped';
    }
  } catch (error) {
    // The lane cannot go on behind that one.
    if (error instanceof ImgmvError && error.code === 'protocol-violation') throw error;
    refused(['integrity', 'peer-stopped'], error);
    holds(decoded(['internal'], () => blob.verified()) === undefined, 'what failed has no digest');
    return reads === 1 ? 'skipped' : (error as ImgmvError).code;
  }
  holds(blob.verified() === `sha256:${hash.digest('hex')}`, 'a digest is that of the bytes that came');
  holds(size === (blob.size ?? size), 'a blob has its size');
  holds(blob.digest === undefined || blob.digest === blob.verified(), 'a digest is the one that was named');
  return reads === 1 ? 'skipped' : 'verified';
}

const specs = target<{ all: readonly Spec[]; cutAt: readonly number[] }>({
  name: 'entries/senders',
  share: 6,
  input: fc.record({ all: fc.array(spec, { minLength: 1, maxLength: 4 }), cutAt: cuts }),
  allowance: ({ all }) => 4 * MIB * (1 + all.length),
  check: async ({ all, cutAt }) => {
    const made = all.map(encode);
    const stream = Buffer.concat(made.map(({ bytes }) => bytes));
    const reads = all.map((one) => one.reads);
    const endings = await readEntries(cut(stream, cutAt), reads);
    const atOnce = await readEntries([stream], reads);
    holds(isDeepStrictEqual(endings, atOnce), `where it is cut does not matter: ${endings}; ${atOnce}`);
    const violated = endings.at(-1) === 'protocol-violation';
    holds(violated === made.some(({ tooLong }) => tooLong), 'exactly a body beyond its bound is a violation');
    if (violated) return;
    holds(endings.length === made.length + 1, 'every entry is read');
    for (const [at, { ending }] of made.entries())
      holds(ending === undefined || endings[at] === ending, `entry ${at} is ${endings[at]}, want ${ending}`);
  },
});

const streams = target<{ stream: Buffer; cutAt: readonly number[]; reads: readonly number[] }>({
  name: 'entries/stream',
  share: 14,
  input: fc.record({
    stream: mutated(
      fc
        .array(
          fc.oneof(
            spec.map((one) => encode(one).bytes),
            header,
            bytesLike(header),
          ),
          { maxLength: 4 },
        )
        .map((all) => Buffer.concat(all)),
    ),
    cutAt: cuts,
    reads: fc.array(fc.nat(4), { minLength: 1, maxLength: 3 }),
  }),
  // A body may hold much more than its bytes are: RLE blocks of 128 KiB.
  allowance: ({ stream }) => 8 * MIB + 32 * stream.length,
  check: async ({ stream, cutAt, reads }) => {
    const endings = await readEntries(cut(stream, cutAt), reads);
    const atOnce = await readEntries([stream], reads);
    holds(isDeepStrictEqual(endings, atOnce), `where it is cut does not matter: ${endings}; ${atOnce}`);
  },
});

/** What a writer writes a reader reads, whatever the blob's own pieces are. */
const roundTrip = target<{
  content: Buffer;
  pieces: readonly number[];
  cutAt: readonly number[];
  as: number;
}>({
  name: 'entries/round-trip',
  share: 4,
  input: fc.record({
    content: fc.oneof(
      { weight: 40, arbitrary: rawBytes(2_000) },
      {
        weight: 1,
        arbitrary: fc
          .constantFrom(SEGMENT_MAX_BYTES, SEGMENT_MAX_BYTES + 1)
          .map((size) => Buffer.alloc(size, 1)),
      },
    ),
    pieces: fc.array(fc.integer({ min: 100, max: 2_000_000 }), { minLength: 1, maxLength: 4 }),
    cutAt: fc.array(fc.integer({ min: 400, max: 100_000 }), { minLength: 1, maxLength: 4 }),
    as: fc.nat(3),
  }),
  allowance: ({ content }) => 4 * MIB + 128 * content.length,
  check: async ({ content, pieces, cutAt, as }) => {
    const { lane, written } = writtenLane();
    const writer = new EntryWriter(lane);
    const named = as === 0 ? {} : { digest: sha256(content) };
    const body = inPieces(content, pieces);
    const size = as === 3 ? undefined : content.length;
    const blob = { kind: 'layer', size, compressed: as === 2, ...named, body } as const;
    await writer.blob(
      3,
      encodeBlob(blob, compressor, () => 1),
    );
    await writer.end(3, 1, true);
    const endings = await readEntries(cut(written(), cutAt), [2], content.length);
    holds(isDeepStrictEqual(endings, ['verified', 'image 3 ended with 1, true', 'end']), `got ${endings}`);
  },
});
const compressor = new Compressor(0);

export const entryTargets = [headers, trailers, zstd, honestFrames, bombs, specs, streams, roundTrip];
