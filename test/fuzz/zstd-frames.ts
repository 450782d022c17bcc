/** zstd frames made by hand (RFC 8878 section 3.1), honest and not, and what is in them. */
import fc from 'fast-check';

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
const BLOCK_MAX_BYTES = 128 * 1024;

export interface Frames {
  readonly bytes: Buffer;
  /** What a decoder without bounds would give; undefined where it would have to refuse. */
  readonly content: Buffer | undefined;
  /** The same for a decoder of archives, which gives them the window that the first one needs, up to 128 MiB. */
  readonly long: Buffer | undefined;
}

interface Frame {
  readonly bytes: Buffer;
  readonly content: Buffer;
  /** Absent where it has none. */
  readonly windowLog?: number;
}

interface Block {
  readonly repeated: boolean;
  readonly size: number;
  readonly fill: number;
}

const block: fc.Arbitrary<Block> = fc.record({
  repeated: fc.boolean(),
  size: fc.oneof(
    { weight: 4, arbitrary: fc.nat(300) },
    { weight: 1, arbitrary: fc.constantFrom(0, 1, 65_535, BLOCK_MAX_BYTES) },
  ),
  fill: fc.nat(255),
});

/** A window of 2^`windowLog`, and blocks that fit it; `declared` says its size ahead. */
const frame: fc.Arbitrary<Frame> = fc
  .record({
    windowLog: fc.oneof(
      { weight: 5, arbitrary: fc.integer({ min: 17, max: 23 }) },
      fc.integer({ min: 24, max: 31 }),
    ),
    blocks: fc.array(block, { minLength: 1, maxLength: 4 }),
    declared: fc.boolean(),
  })
  .map(({ windowLog, blocks, declared }) => {
    const content = Buffer.concat(blocks.map(({ size, fill }) => Buffer.alloc(size, fill)));
    const head = Buffer.alloc(declared ? 10 : 6);
    head.writeUInt32LE(MAGIC, 0);
    // Four bytes of content size or none; never a single segment, so that the window stands there.
    head[4] = declared ? 0x80 : 0;
    head[5] = (windowLog - 10) << 3;
    if (declared) head.writeUInt32LE(content.length, 6);
    const parts = blocks.map(({ repeated, size, fill }, at) => {
      const blockHead = Buffer.alloc(3);
      const last = at === blocks.length - 1 ? 1 : 0;
      blockHead.writeUIntLE((size << 3) | (repeated ? 2 : 0) | last, 0, 3);
      return Buffer.concat([blockHead, Buffer.alloc(repeated ? 1 : size, fill)]);
    });
    return { bytes: Buffer.concat([head, ...parts]), content, windowLog };
  });

const skippable: fc.Arbitrary<Frame> = fc.nat(40).map((length) => {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(SKIPPABLE + (length % 16), 0);
  head.writeUInt32LE(length, 4);
  return { bytes: Buffer.concat([head, Buffer.alloc(length, 1)]), content: Buffer.alloc(0) };
});

/** Several frames, one behind the other. */
export const frames: fc.Arbitrary<Frames> = fc
  .array(fc.oneof({ weight: 4, arbitrary: frame }, { weight: 1, arbitrary: skippable }), {
    minLength: 1,
    maxLength: 3,
  })
  .map((all) => {
    const content = Buffer.concat(all.map((one) => one.content));
    const logs = all.flatMap(({ windowLog }) => windowLog ?? []);
    const fits = (log: number) => logs.every((one) => one <= log);
    return {
      bytes: Buffer.concat(all.map(({ bytes }) => bytes)),
      content: fits(23) ? content : undefined,
      long: fits((logs[0] ?? 0) > 23 ? 27 : 23) ? content : undefined,
    };
  });

/** One byte repeated to `blocks` times 128 KiB. */
export function bomb(blocks: number): Buffer {
  const bytes = Buffer.alloc(6 + blocks * 4);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes[5] = 7 << 3;
  for (let at = 0; at < blocks; at++)
    bytes.writeUIntLE((BLOCK_MAX_BYTES << 3) | 2 | (at === blocks - 1 ? 1 : 0), 6 + at * 4, 3);
  return bytes;
}

/** Frames of one raw block each. RFC 8878 section 3.1.1. */
export function storedFrames(pieces: readonly Buffer[]): Buffer {
  const made = pieces.map((piece) => {
    const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3, 0, 0, 0]);
    head.writeUIntLE((piece.length << 3) | 1, 6, 3);
    return Buffer.concat([head, piece]);
  });
  return Buffer.concat(made);
}
