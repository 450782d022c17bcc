/** Streams of zstd within bounds: round trips, a level that changes on the way, and what is refused. */

import { describe, expect, test } from 'vitest';
import { Compressor, Decompressor } from '../../proto/compression.ts';
import { randomBytes } from '../rig/layers.ts';
import { codeOf } from './wire.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

function decompress(source: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  return new Decompressor().decompress(source, maxBytes);
}

async function* inPieces(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function collect(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

function compressed(bytes: Buffer, level = 3, pieces = 64 * 1024): Promise<Buffer> {
  return collect(new Compressor().compress(inPieces(bytes, pieces), () => level));
}

function decompressed(frames: Buffer, maxBytes: number, pieces = 64 * 1024): Promise<Buffer> {
  return collect(decompress(inPieces(frames, pieces), maxBytes));
}

/** Counts what comes without keeping it. */
async function drain(source: AsyncIterable<Buffer>, onChunk: (chunk: Buffer) => void): Promise<void> {
  for await (const chunk of source) onChunk(chunk);
}

/** An empty frame that asks for a window of 2^`windowLog`: RFC 8878 section 3.1.1.1.2, then a last raw block. */
function emptyFrame(windowLog: number): Buffer {
  return Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (windowLog - 10) << 3, 0x01, 0x00, 0x00]);
}

/** One byte repeated to a GiB in a few thousand bytes of blocks: RFC 8878 section 3.1.1.2.2, RLE_Block. */
function bomb(bytes: number): Buffer {
  const blockBytes = 128 * 1024;
  const blocks = bytes / blockBytes;
  // Frame header: no size, no checksum, a window of 128 KiB (exponent 7, mantissa 0).
  const frame = Buffer.alloc(6 + blocks * 4);
  frame.set([0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3]);
  for (let block = 0; block < blocks; block++) {
    const last = block === blocks - 1 ? 1 : 0;
    frame.writeUIntLE((blockBytes << 3) | (1 << 1) | last, 6 + block * 4, 3);
  }
  return frame;
}

describe('round trips', () => {
  const mixed = Buffer.concat([
    Buffer.alloc(3 * MIB, 'the same again and again '),
    randomBytes({ bytes: 2 * MIB, seed: 1 }),
    randomBytes({ bytes: 3 * MIB, seed: 2, halfCompressible: true }),
  ]);

  test.each([1, 3, 7, 19])('at level %i', async (level) => {
    const sample = level === 19 ? mixed.subarray(0, MIB) : mixed;
    const frames = await compressed(sample, level);
    expect(frames.readUInt32LE(0)).toBe(0xfd2fb528);
    expect(frames.length).toBeLessThan(sample.length);
    expect((await decompressed(frames, sample.length)).equals(sample)).toBe(true);
  });

  test.each([1, 3, 4096, 300_000])('read in pieces of %i', async (pieces) => {
    const sample = mixed.subarray(0, pieces < 10 ? 20_000 : mixed.length);
    const frames = await compressed(sample, 3, 100_000);
    expect((await decompressed(frames, sample.length, pieces)).equals(sample)).toBe(true);
  });

  test('of nothing at all', async () => {
    const frames = await compressed(Buffer.alloc(0));
    expect(frames.toString('hex', 0, 4)).toBe('28b52ffd');
    expect(await decompressed(frames, 0)).toHaveLength(0);
  });

  test('one compressor, one blob after the other, also after one that failed', async () => {
    const compressor = new Compressor();
    const once = () => collect(compressor.compress(inPieces(mixed, MIB), () => 1));
    const first = await once();
    const failing = async function* () {
      yield mixed.subarray(0, MIB);
      throw new Error('the source broke');
    };
    await expect(collect(compressor.compress(failing(), () => 1))).rejects.toThrow('the source broke');
    for await (const _ of compressor.compress(inPieces(mixed, MIB), () => 1)) break;
    expect((await once()).equals(first)).toBe(true);
    expect(compressor.busyMs).toBeGreaterThan(0);
  });

  test('used twice at once it says so', async () => {
    const compressor = new Compressor();
    const first = compressor.compress(inPieces(mixed, MIB), () => 1);
    await first.next();
    expect(await codeOf(collect(compressor.compress(inPieces(mixed, MIB), () => 1)))).toBe('internal');
    await first.return(undefined);
  });
});

describe('a level that changes on the way', () => {
  const text = randomBytes({ bytes: 12 * MIB, seed: 3, halfCompressible: true });

  test('is one frame that decompresses, and the level has its effect', async () => {
    const halfway = async (first: number, then: number) => {
      let given = 0;
      const source = async function* () {
        for await (const piece of inPieces(text, 64 * 1024)) {
          given += piece.length;
          yield piece;
        }
      };
      return collect(new Compressor().compress(source(), () => (given <= text.length / 2 ? first : then)));
    };
    const [low, rising, falling] = [await halfway(1, 1), await halfway(1, 7), await halfway(7, 1)];
    for (const frames of [low, rising, falling]) {
      expect(frames.indexOf(Buffer.from('28b52ffd', 'hex'), 1)).toBe(-1);
      expect((await decompressed(frames, text.length)).equals(text)).toBe(true);
    }
    expect(rising.equals(low)).toBe(false);
    expect(falling.equals(rising)).toBe(false);
  });

  test('at every chunk', async () => {
    let asked = 0;
    const sample = text.subarray(0, 8 * MIB);
    const frames = await collect(
      new Compressor().compress(inPieces(sample, 64 * 1024), () => (asked++ % 7) + 1),
    );
    expect(asked).toBe(128);
    expect((await decompressed(frames, sample.length)).equals(sample)).toBe(true);
  });
});

describe('what is refused', () => {
  const sample = Buffer.from('a few bytes that compress, compress, compress, compress');

  test('33 kB that becomes a GiB: after what was declared, with bounded memory', async () => {
    const frames = bomb(GIB);
    expect(frames.length).toBe(32_774);
    let bytes = 0;
    let largest = 0;
    const before = process.memoryUsage().rss;
    const taking = drain(decompress(inPieces(frames, frames.length), MIB), (chunk) => {
      bytes += chunk.length;
      largest = Math.max(largest, chunk.length);
    });
    expect(await codeOf(taking)).toBe('integrity');
    expect(bytes).toBeLessThanOrEqual(MIB);
    expect(largest).toBeLessThanOrEqual(256 * 1024);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MIB);
  });

  test('the same bomb, declared, is taken in chunks', async () => {
    let bytes = 0;
    let highest = 0;
    await drain(decompress(inPieces(bomb(GIB), 16), GIB), (chunk) => {
      bytes += chunk.length;
      highest = Math.max(highest, chunk.length);
    });
    expect(bytes).toBe(GIB);
    expect(highest).toBeLessThanOrEqual(256 * 1024);
  });

  test('one byte more than declared', async () => {
    const frames = await compressed(sample);
    expect((await decompressed(frames, sample.length)).equals(sample)).toBe(true);
    expect(await codeOf(decompressed(frames, sample.length - 1))).toBe('integrity');
  });

  test.each([24, 27, 31])('a window of 2^%i', async (windowLog) => {
    expect(await codeOf(decompressed(emptyFrame(windowLog), GIB))).toBe('integrity');
  });

  test.each([1, 8, 9, 100])(
    'the same of a frame that says that it is empty, in pieces of %i',
    async (pieces) => {
      const frame = Buffer.from('28b52ffd807000000000010000', 'hex');
      expect(await codeOf(decompressed(frame, GIB, pieces))).toBe('integrity');
      const behind = Buffer.concat([await compressed(sample), frame]);
      expect(await codeOf(decompressed(behind, GIB, pieces))).toBe('integrity');
    },
  );

  test('while a window of 2^23 is taken', async () => {
    expect(await decompressed(emptyFrame(23), GIB)).toHaveLength(0);
  });

  test.each([
    ['an end inside a frame', async () => (await compressed(sample)).subarray(0, -1)],
    ['an end inside a frame header', async () => (await compressed(sample)).subarray(0, 5)],
    ['garbage behind a frame', async () => Buffer.concat([await compressed(sample), Buffer.from('garbage')])],
    [
      'a second frame cut short',
      async () => Buffer.concat([await compressed(sample), bomb(MIB).subarray(0, 9)]),
    ],
    ['no zstd', async () => Buffer.from('\x1f\x8b\x08 this is gzip')],
    [
      'a changed byte',
      async () => (await compressed(sample)).map((byte, at) => (at === 6 ? byte ^ 0xff : byte)),
    ],
    ['a dictionary', async () => Buffer.from('28b52ffd2101000000', 'hex')],
  ])('%s', async (_name, frames) => {
    expect(await codeOf(async () => decompressed(Buffer.from(await frames()), GIB))).toBe('integrity');
  });

  test('after each of these the same decompressor goes on with the next body', async () => {
    const decompressor = new Decompressor();
    const whole = await compressed(sample);
    for (const before of [whole.subarray(0, -1), Buffer.from('no zstd'), emptyFrame(31), bomb(MIB)]) {
      const failing = collect(decompressor.decompress(inPieces(before, 3), sample.length));
      expect(await codeOf(failing)).toBe('integrity');
      const taken = await collect(decompressor.decompress(inPieces(whole, 3), sample.length));
      expect(taken.equals(sample)).toBe(true);
      for await (const _ of decompressor.decompress(inPieces(whole, 3), sample.length)) break;
    }
  });

  test('thousands of bodies with the largest window, in one turn of the event loop, take the memory of one', async () => {
    const decompressor = new Decompressor();
    const frames = bomb(128 * 1024);
    frames[5] = 13 << 3;
    const before = process.memoryUsage().rss;
    for (let body = 0; body < 2_000; body++)
      await drain(decompressor.decompress(inPieces(frames, frames.length), MIB), (piece) =>
        decompressor.release(piece),
      );
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * MIB);
  });

  test('an error of the source passes through as it is', async () => {
    const broken = async function* () {
      yield (await compressed(sample)).subarray(0, 7);
      throw new Error('the lane broke');
    };
    await expect(collect(decompress(broken(), GIB))).rejects.toThrow('the lane broke');
  });
});

describe('memory that is given back', () => {
  /** How many buffers it took, and what came: each piece is copied when `seen` has it. */
  async function read(frames: Buffer, seen: (decompressor: Decompressor, piece: Buffer) => void) {
    const decompressor = new Decompressor();
    const [buffers, copies] = [new Set<ArrayBufferLike>(), [] as Buffer[]];
    await drain(decompressor.decompress(inPieces(frames, 64 * 1024), 4 * MIB), (piece) => {
      buffers.add(piece.buffer);
      copies.push(Buffer.from(piece));
      seen(decompressor, piece);
    });
    return { buffers: buffers.size, bytes: Buffer.concat(copies) };
  }

  test('holds what comes next', async () => {
    const bytes = randomBytes({ bytes: 4 * MIB, seed: 1 });
    const frames = await compressed(bytes);
    const kept = await read(frames, () => {});
    const released = await read(frames, (decompressor, piece) => decompressor.release(piece));
    expect(kept.buffers).toBeGreaterThan(10);
    expect(released.buffers).toBeLessThan(4);
    for (const { bytes: came } of [kept, released]) expect(came.equals(bytes)).toBe(true);
  });

  test('is not written as long as somebody reads a part of it', async () => {
    const bytes = randomBytes({ bytes: 4 * MIB, seed: 2 });
    const kept: Buffer[] = [];
    let pieces = 0;
    const { bytes: came } = await read(await compressed(bytes), (decompressor, piece) => {
      if (pieces++ % 3 === 0) kept.push(piece);
      else decompressor.release(piece);
    });
    expect(came.equals(bytes)).toBe(true);
    for (const [at, piece] of kept.entries()) expect(bytes.indexOf(piece), `${at}`).toBeGreaterThanOrEqual(0);
  });

  test('of others is left alone', async () => {
    const decompressor = new Decompressor();
    const mine = Buffer.alloc(256 * 1024, 'm');
    decompressor.release(mine);
    const pieces = decompressor.decompress(
      inPieces(await compressed(randomBytes({ bytes: MIB, seed: 3 })), MIB),
      MIB,
    );
    for await (const piece of pieces) expect(piece.buffer).not.toBe(mine.buffer);
    expect(mine.every((byte) => byte === 0x6d)).toBe(true);
  });

  test('of what is compressed is given back once it has been taken', async () => {
    const chunks = [
      randomBytes({ bytes: MIB, seed: 4 }),
      randomBytes({ bytes: MIB, seed: 5 }),
      randomBytes({ bytes: 10, seed: 6 }),
    ];
    const given: Buffer[] = [];
    const source = async function* () {
      yield* chunks.map((chunk) => Buffer.from(chunk));
    };
    const overwritten = (chunk: Buffer) => void given.push(chunk.fill(0));
    const frames = await collect(new Compressor().compress(source(), () => 1, overwritten));
    expect(given).toHaveLength(3);
    expect((await decompressed(frames, 3 * MIB)).equals(Buffer.concat(chunks))).toBe(true);
  });
});
