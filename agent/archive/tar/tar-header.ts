/**
 * The blocks of a tar, strictly: POSIX.1-2017 pax (ustar and its extended headers), the GNU form, and what came before
 * there was a standard. What two readers could take for different things is refused, so that no engine sees another
 * archive than we checked.
 * tar-stream, which reads what engines save, takes the last of several answers in silence; here that is an error.
 */

import type { ImgmvError } from '../../../proto/errors.ts';
import { integrity } from '../../streams/errors.ts';
import { checksumHolds } from '../../streams/tar-checksum.ts';
import { ENTRY_NAME_MAX_BYTES } from '../limits.ts';

export const BLOCK_BYTES = 512;
const OCTAL_SIZE_MAX = 0o77777777777;
/** Ant leaves out the version behind it, which is `00`. */
const USTAR = Buffer.from('ustar\0');
const USTAR_AND_VERSION = Buffer.from('ustar\x0000');
/** Of Unix version 7: no magic, and none of the fields behind it. */
const V7 = Buffer.alloc(8);
const GNU = Buffer.from('ustar  \0');

export interface TarHeader {
  readonly name: string;
  /** The type flag as a character; NUL is '0'. */
  readonly type: string;
  readonly size: number;
  readonly linkName: string;
}

export interface Extended {
  readonly name?: string;
  readonly linkName?: string;
  readonly size?: number;
}

/** Throws integrity for what is no header. The block is not all zero. */
export function decodeTarHeader(block: Buffer): TarHeader {
  const magic = block.subarray(257, 265);
  const ustar = magic.subarray(0, USTAR.length).equals(USTAR);
  if (!checksumHolds(block, numeric(block, 148, 8)) || !(ustar || magic.equals(GNU) || magic.equals(V7)))
    throw bad('a tar header is not valid');
  const prefix = ustar ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    type: block[156] === 0 ? '0' : String.fromCharCode(block[156] as number),
    size: number(block, 124, 12),
    linkName: text(block, 157, 100),
  };
}

/** Whether the block, which may be shorter than one, is a header. */
export function isTarHeader(block: Buffer): boolean {
  const magic = block.subarray(257, 257 + 5).toString('latin1');
  return block.length === BLOCK_BYTES && magic === 'ustar' && checksumHolds(block, numeric(block, 148, 8));
}

/** POSIX.1-2017 pax, "pax Extended Header": `<length> <key>=<value>\n`. `global`: for all entries that follow. */
export function decodePax(bytes: Buffer, global: boolean): Extended {
  const values = new Map<string, Buffer>();
  for (let rest = bytes; rest.length > 0; ) {
    const space = rest.indexOf(0x20);
    const digits = space < 0 ? '' : rest.subarray(0, space).toString('latin1');
    const length = /^[1-9][0-9]{0,5}$/.test(digits) ? Number(digits) : Number.NaN;
    if (!(length <= rest.length) || length <= space + 1 || rest[length - 1] !== 0x0a)
      throw bad('a pax header is damaged');
    const record = rest.subarray(space + 1, length - 1);
    const equals = record.indexOf('=');
    if (equals < 1) throw bad('a pax header is damaged');
    const key = utf8(record.subarray(0, equals));
    if (values.has(key)) throw bad(`a pax header says ${key} twice`);
    // A value that we do not use may be any bytes. macOS writes its xattrs that way.
    values.set(key, record.subarray(equals + 1));
    rest = rest.subarray(length);
  }
  const sparse = [...values.keys()].find((key) => key.startsWith('GNU.sparse.'));
  if (sparse !== undefined) throw bad('a sparse file, which images do not have');
  const [name, linkName, size] = ['path', 'linkpath', 'size'].map((key) => {
    const value = values.get(key);
    return value && utf8(value);
  });
  if (global && (name ?? linkName ?? size) !== undefined)
    throw bad('a pax header gives all entries one name or size');
  if (size !== undefined && !(/^[0-9]{1,16}$/.test(size) && Number.isSafeInteger(Number(size))))
    throw bad(`a pax header gives the size ${JSON.stringify(size.slice(0, 40))}`);
  return {
    ...(name !== undefined && { name: checked(name) }),
    ...(linkName !== undefined && { linkName: checked(linkName) }),
    ...(size !== undefined && { size: Number(size) }),
  };
}

/** GNU tar's long name: the bytes behind its header, up to a NUL. */
export function decodeLongName(bytes: Buffer): string {
  return checked(text(bytes, 0, bytes.length));
}

/** The header and what stood before it as one; the two may not contradict each other. */
export function extended(header: TarHeader, before: Extended): TarHeader {
  const { name, size } = before;
  // A writer gives the size twice only where it does not fit the header, which then says 0.
  if (size !== undefined && size !== header.size && !(header.size === 0 && size > OCTAL_SIZE_MAX))
    throw bad(`${JSON.stringify(name ?? header.name)} has two sizes, ${header.size} and ${size}`);
  return { ...header, ...before };
}

/** A regular file's header: 0644, of root, dated 1970, so that the same image gives the same bytes. */
export function encodeTarHeader(name: string, size: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  if (Buffer.byteLength(name) > 100) throw bad(`${name} is too long for a tar`);
  block.write(name, 0);
  block.write('0000644\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  if (size <= OCTAL_SIZE_MAX) block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  else {
    // GNU's base-256 form, which every engine takes (docs/engines.md).
    block.writeUInt8(0x80, 124);
    block.writeBigUInt64BE(BigInt(size), 128);
  }
  block.write('00000000000\0', 136);
  block.write('        ', 148);
  block.write('0', 156);
  USTAR_AND_VERSION.copy(block, 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** Zeros that fill the last block of a file. */
export function padding(size: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES);
}

function number(block: Buffer, at: number, length: number): number {
  const value = numeric(block, at, length);
  if (Number.isNaN(value))
    throw bad(`a tar header holds the number 0x${block.subarray(at, at + length).toString('hex')}`);
  return value;
}

/** Octal digits, or GNU's base-256 form; NaN for what is neither, negative, or beyond what a number holds. */
function numeric(block: Buffer, at: number, length: number): number {
  const field = block.subarray(at, at + length);
  const first = field[0] as number;
  if (first === 0x80) {
    const value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
    if (Number.isSafeInteger(value)) return value;
  } else if ((first & 0x80) === 0) {
    const digits = /^[ \0]*([0-7]*)[ \0]*$/.exec(field.toString('latin1'))?.[1];
    if (digits !== undefined) return digits === '' ? 0 : Number.parseInt(digits, 8);
  }
  return Number.NaN;
}

function text(block: Buffer, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return utf8(end < 0 ? field : field.subarray(0, end));
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw integrity(`a name is not UTF-8: 0x${bytes.subarray(0, 40).toString('hex')}`, { cause });
  }
}

function checked(name: string): string {
  if (Buffer.byteLength(name) > ENTRY_NAME_MAX_BYTES)
    throw bad(`a name of more than ${ENTRY_NAME_MAX_BYTES} bytes`);
  if (name.includes('\0')) throw bad('a name with a NUL in it');
  return name;
}

function bad(what: string): ImgmvError {
  return integrity(what);
}
