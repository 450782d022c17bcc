/** The records of a lane, byte by byte: PROTOCOL.md section 5. Integers are big-endian. */

import { counted } from './counted.ts';
import { violation } from './errors.ts';

export const DATA = 1;
export const CREDIT = 2;
export const RESUME = 3;
export const END = 4;
export const PING = 5;
export const PONG = 6;

/** Type and offset in front of the bytes of a DATA record. */
export function writeDataHeader(record: Buffer, offset: number): void {
  record[0] = DATA;
  writeUint64(record, offset, 1);
}

/** Any record but DATA: its type and one number, or two for CREDIT and RESUME. */
export function pairRecord(type: number, first: number, second?: number): Buffer {
  const record = Buffer.allocUnsafe(second === undefined ? 9 : 17);
  record[0] = type;
  writeUint64(record, first, 1);
  if (second !== undefined) writeUint64(record, second, 9);
  return record;
}

/** The second number is 0 where there is none. */
export function readPair(record: Buffer, type: number): [number, number] {
  const two = type === CREDIT || type === RESUME;
  if (record.length !== (two ? 17 : 9))
    throw violation(`a record of type ${type} has ${counted(record.length, 'byte')}`);
  return [readUint64(record, 1), two ? readUint64(record, 9) : 0];
}

/** Offsets are 64 bits on the wire; those above 2^53 (8 PiB) are refused, since no lane gets there. */
export function readUint64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) throw violation('a number above 2^53');
  return value;
}

export function writeUint64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  bytes.writeUInt32BE(value % 2 ** 32, at + 4);
}
