/** As much of protobuf's encoding as it takes to talk to an engine: protobuf.dev/programming-guides/encoding. */

export const VARINT = 0;
const FIXED64 = 1;
export const DELIMITED = 2;
const FIXED32 = 5;

const VARINT_MAX_BYTES = 10;

export interface Field {
  readonly number: number;
  readonly wireType: number;
  /** The value of a varint, above 2^53 not exact; all else as its bytes. */
  readonly value: number | Buffer;
}

export function encodeString(number: number, text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([varint((number << 3) | DELIMITED), varint(bytes.length), bytes]);
}

/** The fields of a whole message in their order, their bytes not copied; undefined where it is no message. */
export function fieldsOf(message: Buffer): readonly Field[] | undefined {
  const fields: Field[] = [];
  let at = 0;
  while (at < message.length) {
    const tag = readVarint(message, at);
    if (tag === undefined || tag.value < 8 || tag.value >= 2 ** 32) return undefined;
    const number = Math.floor(tag.value / 8);
    const wireType = tag.value % 8;
    const first = wireType === VARINT || wireType === DELIMITED ? readVarint(message, tag.end) : undefined;
    if (wireType === VARINT) {
      if (first === undefined) return undefined;
      fields.push({ number, wireType, value: first.value });
      at = first.end;
    } else {
      const begin = first?.end ?? tag.end;
      const bytes = first?.value ?? fixedBytes(wireType);
      if (bytes === undefined || bytes > message.length - begin) return undefined;
      at = begin + bytes;
      fields.push({ number, wireType, value: message.subarray(begin, at) });
    }
  }
  return fields;
}

/** The varint at `at` and where it ends; undefined where it does not end. Above 2^53 it is not exact. */
export function readVarint(
  bytes: Buffer,
  at: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let index = 0; index < VARINT_MAX_BYTES; index++) {
    const byte = bytes[at + index];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, end: at + index + 1 };
  }
  return undefined;
}

/** Undefined for groups, which are long gone, and for a length that is missing. */
function fixedBytes(wireType: number): number | undefined {
  if (wireType === FIXED64) return 8;
  return wireType === FIXED32 ? 4 : undefined;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 0x80);
  }
}
