/** Bytes that are nearly right, and where to cut them. */
import fc from 'fast-check';

/** Where decoders have their bounds. */
const NUMBERS = [
  0,
  1,
  2,
  5,
  16,
  127,
  128,
  255,
  256,
  4_096,
  32_767,
  65_510,
  65_519,
  65_535,
  65_536,
  262_144,
  262_145,
  1_048_576,
  1_048_577,
  4_194_304,
  4_194_305,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
] as const;

type Mutation = readonly [kind: number, at: number, value: number];

const KINDS_IN_PLACE = 5;
const KINDS = 11;

const mutation = (kinds: number): fc.Arbitrary<Mutation> =>
  fc.tuple(fc.nat(kinds - 1), fc.nat(0xffff), fc.nat(0xffff_ffff));

/** `valid` as it is, or changed in up to four places, longer or shorter. */
export function mutated(valid: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc
    .tuple(valid, fc.array(mutation(KINDS), { maxLength: 4 }))
    .map(([bytes, mutations]) => mutations.reduce(mutate, bytes));
}

/** The same without a change of length. */
export function mutatedInPlace(valid: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc
    .tuple(valid, fc.array(mutation(KINDS_IN_PLACE), { maxLength: 4 }))
    .map(([bytes, mutations]) => mutations.reduce(mutate, bytes));
}

export function rawBytes(maxLength = 256, minLength = 0): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes));
}

/** Mostly what is nearly right; now and then anything. */
export function bytesLike(valid: fc.Arbitrary<Buffer>, maxLength = 256): fc.Arbitrary<Buffer> {
  return fc.oneof({ weight: 7, arbitrary: mutated(valid) }, { weight: 1, arbitrary: rawBytes(maxLength) });
}

/** Lengths of pieces; the last is repeated until all is cut. */
export const cuts: fc.Arbitrary<readonly number[]> = fc.oneof(
  fc.constant([Number.MAX_SAFE_INTEGER]),
  fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 8 }),
  fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 4 }),
);

export function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const length = lengths[Math.min(index, lengths.length - 1)] ?? bytes.length;
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

/** A buffer for every call: who reads may keep it. */
export async function* inPieces(bytes: Buffer, lengths: readonly number[]): AsyncGenerator<Buffer> {
  yield* cut(bytes, lengths);
}

function mutate(bytes: Buffer, [kind, where, value]: Mutation): Buffer {
  const at = bytes.length === 0 ? 0 : where % bytes.length;
  const length = 1 + (value % 16);
  const rest = bytes.subarray(Math.min(bytes.length, at + length));
  switch (kind) {
    case 0:
      return written(bytes, at, Buffer.of(value & 0xff));
    case 1:
      return written(bytes, at, Buffer.of((bytes[at] ?? 0) ^ (1 << (value % 8))));
    case 2:
      return written(bytes, at, bigEndian(numberOf(value), 4));
    case 3:
      return written(bytes, at, bigEndian(numberOf(value), 8));
    case 4:
      return written(bytes, at, Buffer.alloc(length, value & 1 ? 0xff : 0));
    case 5:
      return bytes.subarray(0, at);
    case 6:
      return Buffer.concat([bytes.subarray(0, at), rest]);
    case 7:
      return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(length, value), bytes.subarray(at)]);
    case 8:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    case 9:
      return Buffer.concat([bytes, bytes.subarray(at)]);
    default:
      return Buffer.concat([bytes.subarray(at), bytes.subarray(0, at)]);
  }
}

/** As far as it fits. */
function written(bytes: Buffer, at: number, part: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  part.copy(changed, at);
  return changed;
}

function numberOf(value: number): number {
  return value % 3 === 0 ? value : (NUMBERS[value % NUMBERS.length] ?? 0);
}

function bigEndian(value: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32BE(value, length - 4);
  return bytes;
}
