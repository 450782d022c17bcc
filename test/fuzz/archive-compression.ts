/** What is compressed: known by its first bytes, inflated within bounds, measured, and made part by part. */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { Heads, measured } from '../../agent/archive/contents.ts';
import { compressionByEnding } from '../../agent/archive/open-store.ts';
import { deflater } from '../../agent/archive/tar/deflater.ts';
import {
  type Compression,
  compressionOf,
  inflated,
  unreadCompression,
} from '../../agent/streams/compression.ts';
import { Inflation } from '../../agent/streams/inflation.ts';
import { ReadingMeter } from '../../agent/streams/reading-meter.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { METADATA_MAX_BYTES } from '../../proto/limits.ts';
import { bytesLike, cut, cuts, mutated, rawBytes } from './bytes.ts';
import { decoded, decodedLater, holds } from './refusal.ts';
import { target } from './target.ts';
import { textLike } from './text.ts';
import { bomb, frames, storedFrames } from './zstd-frames.ts';

const MIB = 1024 * 1024;

type Compressed = Exclude<Compression, 'none'>;

/** Bytes of one compression, and what is in them; null where they are to be refused. */
interface Packed {
  readonly compression: Compressed;
  readonly bytes: Buffer;
  readonly content: Buffer | null;
}

const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const plain: fc.Arbitrary<Buffer> = fc.oneof(
  rawBytes(60),
  fc.tuple(fc.nat(20_000), fc.nat(255)).map(([size, fill]) => Buffer.alloc(size, fill)),
);

/** A member with all that RFC 1952 section 2.3 lets it say ahead. */
const member = fc
  .record({
    content: plain,
    level: fc.constantFrom(0, 1, 9),
    extra: fc.option(rawBytes(20)),
    name: fc.option(rawBytes(10)),
    comment: fc.boolean(),
  })
  .map(({ content, level, extra, name, comment }) => {
    const made = gzipSync(content, { level });
    const length = Buffer.alloc(2);
    length.writeUInt16LE(extra?.length ?? 0);
    made[3] = (extra ? 4 : 0) | (name ? 8 : 0) | (comment ? 16 : 0);
    const ahead = [
      ...(extra ? [length, extra] : []),
      ...(name ? [Buffer.from(name.filter((byte) => byte !== 0)), Buffer.of(0)] : []),
      ...(comment ? [Buffer.from('said of it\0')] : []),
    ];
    return { bytes: Buffer.concat([made.subarray(0, 10), ...ahead, made.subarray(10)]), content };
  });

/** What stands behind the end: tapes have zeros, and only gzip was kept on tapes. */
const behind = fc.oneof(
  { weight: 4, arbitrary: fc.constant(Buffer.alloc(0)) },
  { weight: 2, arbitrary: fc.nat(20_000).map((size) => Buffer.alloc(size)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(600), rawBytes(4, 1))
      .map(([zeros, bytes]) => Buffer.concat([Buffer.alloc(zeros), bytes])),
  },
);

const gzips: fc.Arbitrary<Packed> = fc
  .tuple(fc.array(member, { minLength: 1, maxLength: 3 }), behind)
  .map(([members, rest]) => ({
    compression: 'gzip',
    bytes: Buffer.concat([...members.map(({ bytes }) => bytes), rest]),
    content: rest.every((byte) => byte === 0) ? Buffer.concat(members.map(({ content }) => content)) : null,
  }));

const zstds: fc.Arbitrary<Packed> = fc.tuple(frames, behind).map(([{ bytes, long }, rest]) => ({
  compression: 'zstd',
  bytes: Buffer.concat([bytes, rest]),
  content: rest.length === 0 ? (long ?? null) : null,
}));

const packed = fc.oneof(gzips, zstds);

interface InflationCase {
  readonly packed: Packed;
  readonly cutAt: readonly number[];
  /** How many pieces are taken before nobody wants more. */
  readonly takes: number;
}

/** More take their time. */
const PIECES_MAX = 1_000;

/** A source that says whether it was closed. */
function watched(bytes: Buffer, cutAt: readonly number[]) {
  const state = { begun: false, closed: false, bytes: (async function* () {})() as AsyncGenerator<Buffer> };
  state.bytes = (async function* () {
    state.begun = true;
    try {
      const least = Math.ceil(bytes.length / PIECES_MAX);
      yield* cut(
        bytes,
        cutAt.map((length) => Math.max(length, least)),
      );
    } finally {
      state.closed = true;
    }
  })();
  return state;
}

async function inflatedBytes(
  { compression, bytes }: Packed,
  cutAt: readonly number[],
  takes = Number.POSITIVE_INFINITY,
): Promise<Buffer | undefined> {
  const source = watched(bytes, cutAt);
  const parts: Buffer[] = [];
  const got = await decodedLater(['integrity'], async () => {
    for await (const part of inflated(compression, source.bytes)) {
      holds(part.length > 0 && part.length <= 256 * 1024, 'pieces are bounded');
      parts.push(part);
      if (parts.length >= takes) break;
    }
    return Buffer.concat(parts);
  });
  holds(source.closed || !source.begun, 'the source is closed');
  return got;
}

const allowance = ({ packed: { bytes, content } }: InflationCase) =>
  8 * MIB + 8 * (content?.length ?? 4 * 3 * 128 * 1024) + 32 * bytes.length;

const honest = target<InflationCase>({
  name: 'archive/inflated',
  share: 4,
  input: fc.record({ packed, cutAt: cuts, takes: fc.integer({ min: 1, max: 4 }) }),
  allowance,
  check: async ({ packed: one, cutAt, takes }) => {
    const got = await inflatedBytes(one, cutAt);
    holds((got !== undefined) === (one.content !== null), 'exactly what is whole is taken');
    if (one.content) holds(got?.equals(one.content) === true, 'what comes out is what went in');
    const begun = await inflatedBytes(one, cutAt, takes);
    if (begun && one.content)
      holds(begun.equals(one.content.subarray(0, begun.length)), 'it begins as it should');
  },
});

const damaged = target<InflationCase>({
  name: 'archive/inflated-damaged',
  share: 4,
  input: fc.record({
    packed: packed.chain((one) =>
      mutated(fc.constant(one.bytes)).map((bytes): Packed => ({ ...one, bytes, content: null })),
    ),
    cutAt: cuts,
    takes: fc.integer({ min: 1, max: 4 }),
  }),
  allowance: (one) => 64 * MIB + allowance(one),
  check: async ({ packed: one, cutAt, takes }) => {
    const cutUp = await inflatedBytes(one, cutAt);
    const atOnce = await inflatedBytes(one, [one.bytes.length]);
    holds(isDeepStrictEqual(cutUp, atOnce), 'where it is cut does not matter');
    await inflatedBytes(one, cutAt, takes);
    if (atOnce && one.compression === 'gzip')
      holds(gunzipSync(one.bytes).equals(atOnce), 'another reader reads the same');
  },
});

/** Zeros without an end, or what is nearly so. */
const bombs = target<{ compression: string; mebibytes: number; cutAt: number }>({
  name: 'archive/bombs',
  share: 0.1,
  input: fc.record({
    compression: fc.constantFrom('zstd', 'zstd', 'zstd', 'gzip'),
    mebibytes: fc.integer({ min: 1, max: 1_000 }),
    cutAt: fc.integer({ min: 100, max: 100_000 }),
  }),
  // Of gzip each piece is a buffer of its own; of neither is anything kept.
  allowance: ({ compression, mebibytes }) =>
    8 * MIB + 2 * (compression === 'gzip' ? BOMB_BYTES : Math.min(mebibytes * MIB, 80 * MIB)),
  check: async ({ compression, mebibytes, cutAt }) => {
    const isZstd = compression === 'zstd';
    const bytes = isZstd ? bomb(mebibytes * 8) : BOMB_OF_GZIP;
    const whole = isZstd ? mebibytes * MIB : BOMB_BYTES;
    const source = watched(bytes, [cutAt]);
    let given = 0;
    const ended = await decodedLater(['integrity'], async () => {
      const inflation = new Inflation(BOMB_MAX_BYTES, new ReadingMeter());
      const parts = inflated(isZstd ? 'zstd' : 'gzip', source.bytes, { inflation });
      for await (const part of parts) given += part.length;
      return true;
    });
    holds(given <= BOMB_MAX_BYTES, `no more than ${BOMB_MAX_BYTES} bytes come of it, got ${given}`);
    holds(source.closed, 'the source is closed');
    if (whole <= BOMB_MAX_BYTES) holds(ended === true && given === whole, 'a small one is taken whole');
    else holds(ended === undefined, 'a bomb is refused');
  },
});
const BOMB_MAX_BYTES = 64 * MIB;
const BOMB_BYTES = 96 * MIB;
const BOMB_OF_GZIP = gzipSync(Buffer.alloc(BOMB_BYTES));

interface Measured {
  readonly bytes: Buffer;
  /** What is in it, one layer deep; null where it is not compressed, or is not said. */
  readonly content: Buffer | null;
}

const nested: fc.Arbitrary<Measured> = fc
  .tuple(
    fc.oneof(
      rawBytes(40),
      rawBytes(40).map((bytes) => gzipSync(bytes)),
      rawBytes(40).map((bytes) => storedFrames([bytes])),
      fc.constantFrom(Buffer.from([0x1f, 0x8b]), Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.of(0x1f)),
    ),
    fc.boolean(),
    cuts,
  )
  .map(([content, gzip, at]) => {
    const pieces = content.length === 0 ? [content] : cut(content, at);
    return {
      content,
      bytes: gzip ? Buffer.concat(pieces.map((piece) => gzipSync(piece))) : storedFrames(pieces),
    };
  });

const text = fc
  .tuple(
    fc.constantFrom('{', '[', ' ', 'D', 'x', '\u00a0', '\ufeff{'),
    fc.oneof(
      fc.nat(200),
      fc.constantFrom(METADATA_MAX_BYTES - 1, METADATA_MAX_BYTES, METADATA_MAX_BYTES + 1),
    ),
  )
  .map(
    ([head, size]): Measured => ({
      bytes: Buffer.concat([Buffer.from(head), Buffer.alloc(size, 'y')]),
      content: null,
    }),
  );

const measures = target<{ one: Measured; cutAt: readonly number[]; honest: boolean }>({
  name: 'archive/measure',
  share: 10,
  input: fc.oneof(
    { weight: 30, arbitrary: fc.record({ one: nested, cutAt: cuts, honest: fc.constant(true) }) },
    {
      weight: 15,
      arbitrary: fc.record({
        one: bytesLike(nested.map(({ bytes }) => bytes)).map((bytes): Measured => ({ bytes, content: null })),
        cutAt: cuts,
        honest: fc.constant(false),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        one: text,
        cutAt: fc.constant([METADATA_MAX_BYTES / 3]),
        honest: fc.constant(false),
      }),
    },
  ),
  allowance: ({ one }) => 8 * MIB + 8 * one.bytes.length,
  check: async ({ one: { bytes, content }, cutAt, honest: known }) => {
    const cutUp = await factsOf(bytes, cutAt);
    const atOnce = await factsOf(bytes, [Math.max(1, bytes.length)]);
    holds(isDeepStrictEqual(cutUp, atOnce), 'where it is cut does not matter');
    const { facts, file } = cutUp;
    holds(file.compression === compressionOf(bytes), 'a compression is known by the first bytes');
    holds(facts !== 'integrity' || file.compression !== 'none', 'only what is compressed is refused');
    if (facts !== 'integrity') {
      holds(facts.size === bytes.length && facts.digest === sha256(bytes), 'a file is what its bytes are');
      holds(
        (facts.inside !== undefined) === (file.compression !== 'none'),
        'what is compressed holds something',
      );
    }
    if (file.bytes)
      holds(
        file.bytes.equals(bytes) && bytes.length <= METADATA_MAX_BYTES,
        'what is kept is small, and is the file',
      );
    const small =
      /^[\s[{D]/.test(bytes.subarray(0, 1).toString('latin1')) && bytes.length <= METADATA_MAX_BYTES;
    holds(
      (file.bytes !== undefined) === (small && file.compression === 'none'),
      'exactly small texts are kept',
    );
    if (!known || content === null) return;
    const want = { size: content.length, digest: sha256(content) };
    const got = facts === 'integrity' ? undefined : facts.inside;
    holds(isDeepStrictEqual(got, want), `it holds ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
  },
});

async function factsOf(bytes: Buffer, cutAt: readonly number[]) {
  const head = watched(bytes, cutAt);
  const file = await new Heads().of(bytes.length, head.bytes);
  await head.bytes.return(undefined);
  const source = watched(bytes, cutAt);
  const inflation = new Inflation(Number.MAX_SAFE_INTEGER, new ReadingMeter());
  const facts = await decodedLater(['integrity'], () => measured(source.bytes, file.compression, inflation));
  holds(source.closed || !source.begun, 'the source is closed');
  // How it puts what is wrong may depend on where it sees it.
  return { file, facts: facts ?? ('integrity' as const) };
}

/** Heads of files, and endings of their names. */
const known = target<{ head: Buffer; path: string }>({
  name: 'archive/compression',
  share: 20,
  input: fc.record({
    head: bytesLike(
      fc.constantFrom(
        Buffer.from('1f8b0800', 'hex'),
        Buffer.from('28b52ffd00', 'hex'),
        Buffer.from('BZh91AY'),
        Buffer.from('fd377a585a00', 'hex'),
      ),
      8,
    ),
    path: textLike(
      fc.constantFrom('x.tar', 'x.tar.gz', 'x.tgz', 'x.tar.zst', 'x.tar.xz', 'x.tar.bz2', 'x.zip', 'x'),
    ),
  }),
  check: ({ head, path }) => {
    const hex = head.toString('hex');
    const want = hex.startsWith('1f8b') ? 'gzip' : hex.startsWith('28b52ffd') ? 'zstd' : 'none';
    holds(compressionOf(head) === want, `it is ${want}`);
    const other = hex.startsWith('425a68') ? 'bzip2' : hex.startsWith('fd377a585a00') ? 'xz' : undefined;
    holds(unreadCompression(head) === other, `it is ${other}`);
    const written = decoded(['usage'], () => compressionByEnding(path));
    if (written === 'gzip') holds(/gz$/.test(path), 'what is called gzip is gzip');
    if (written === 'zstd') holds(/zste?d?$|tzst$/.test(path), 'what is called zstd is zstd');
    if (written === undefined) holds(/\.\w+$/.test(path), 'an ending is what is refused');
  },
});

interface Part {
  readonly pieces: readonly Buffer[];
  /** It breaks off, and is taken back. */
  readonly breaks: boolean;
}

/** As an archive is written: entry by entry, of which some break off. */
const deflated = target<{ compression: string; parts: readonly Part[] }>({
  name: 'archive/deflated',
  share: 1,
  input: fc.record({
    compression: fc.constantFrom('gzip', 'zstd', 'none'),
    parts: fc.array(
      fc.record({ pieces: fc.array(plain, { maxLength: 3 }), breaks: fc.nat(3).map((n) => n === 0) }),
      { maxLength: 4 },
    ),
  }),
  allowance: ({ parts }) =>
    16 * MIB + 32 * parts.reduce((sum, { pieces }) => sum + Buffer.concat(pieces).length, 0),
  check: async ({ compression, parts }) => {
    const made = deflater(compression as Compression);
    let written = Buffer.alloc(0);
    for (const { pieces, breaks } of parts) {
      const takeBack = made.mark();
      const start = written;
      try {
        for await (const chunk of made.part(broken(pieces, breaks)))
          written = Buffer.concat([written, chunk]);
        holds(!breaks, 'what breaks off is told');
      } catch (error) {
        if (error !== BREAK) throw error;
        takeBack();
        written = start;
      }
    }
    written = Buffer.concat([written, made.end()]);
    const kept = Buffer.concat(parts.flatMap(({ pieces, breaks }) => (breaks ? [] : pieces)));
    if (compression === 'none') return holds(written.equals(kept), 'it is as it was');
    if (compression === 'gzip') {
      // RFC 1952: what begins with no part has no header, and is no gzip.
      if (parts.every(({ breaks }) => breaks)) return;
      holds(gunzipSync(written).equals(kept), 'it becomes what it was');
    }
    if (written.length === 0) return holds(kept.length === 0, 'nothing comes of nothing');
    const again = await inflatedBytes(
      { compression: compression as Compressed, bytes: written, content: null },
      [1_000],
    );
    holds(again?.equals(kept) === true, 'it becomes what it was');
  },
});

const BREAK = new ImgmvError('peer-lost', 'a part that breaks off');

async function* broken(pieces: readonly Buffer[], breaks: boolean): AsyncGenerator<Buffer> {
  yield* pieces;
  if (breaks) throw BREAK;
}

export const archiveCompressionTargets = [honest, damaged, bombs, measures, known, deflated];
