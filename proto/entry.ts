/**
 * The form of entries, which carry blobs on a lane: a header, a body in segments, a trailer that says
 * whether that was all. PROTOCOL.md section 7. entry-writer.ts and entry-reader.ts move them.
 */

import { counted } from './counted.ts';
import { type ErrorOptions, ImgmvError, violation } from './errors.ts';
import { LAYER_MAX_BYTES, METADATA_MAX_BYTES, OFFER_IMAGES_MAX } from './limits.ts';
import { readUint64, writeUint64 } from './record.ts';

export type BlobKind = 'layer' | 'config' | 'manifest' | 'index';
export type Digest = `sha256:${string}`;
export type Encoding = 'identity' | 'zstd';

const KINDS: readonly (BlobKind | 'end')[] = ['end', 'layer', 'config', 'manifest', 'index'];
const ENCODINGS: readonly Encoding[] = ['identity', 'zstd'];
const FLAG_DIGEST = 1;
const FLAG_INCOMPLETE = 2;
const FLAG_CHUNKED = 4;
export const ENTRY_HEADER_BYTES = 48;
export const ENTRY_TRAILER_BYTES = 16;
/** With the digest. */
export const CHUNKED_TRAILER_BYTES = 48;
const COMPLETE = 0;
const ABANDONED = 1;

/** A blob on its way. `body` may be read once; it throws if what comes is not what was announced. */
export interface Blob {
  readonly kind: BlobKind;
  /** sha256 of the bytes, where it is known before them: docker 20.10 does not name it. */
  readonly digest?: Digest;
  readonly size: number;
  /** Whether zstd would only waste time on it, as it is compressed already. */
  readonly compressed?: boolean;
  readonly body: AsyncIterable<Buffer>;
  /**
   * Takes back a chunk of `body` that is no longer read, so that its memory can be used again. Giving chunks back is
   * optional, but each may be given back only once. Buffers that are no chunks of `body` are ignored.
   */
  readonly release?: (chunk: Buffer) => void;
  /** The digest of the bytes as they came, once `body` is read to its end; absent where the taker has to hash. */
  readonly verified?: () => Digest;
}

/**
 * In place of the end of a blob's body: whoever gives it has given it up, and may give it once more. Nothing of it is to
 * stay with whoever takes it.
 */
export class BlobGivenUp extends ImgmvError {
  constructor(message: string, options?: ErrorOptions) {
    super('peer-stopped', message, options);
  }
}

/** A blob that may be chunked: its length, and its digest, are known only once it has been read. */
export interface AnyBlob extends Omit<Blob, 'size'> {
  readonly size: number | undefined;
}

/** A blob begins; its body in segments and its trailer follow. */
export interface BlobHeader {
  readonly type: 'blob';
  readonly kind: BlobKind;
  readonly item: number;
  readonly encoding: Encoding;
  /** Uncompressed bytes; undefined: the blob is chunked. */
  readonly size: number | undefined;
  readonly digest: Digest | undefined;
}

/** An item ends on this lane: `blobs` of it came, and either that is all or the sender gave it up. */
export interface EndHeader {
  readonly type: 'end';
  readonly item: number;
  readonly blobs: number;
  readonly complete: boolean;
}

export interface Trailer {
  readonly complete: boolean;
  readonly size: number;
  /** Of a chunked blob. */
  readonly digest?: Digest;
}

/** What a blob may have at most. */
export function maxBytesOf(kind: BlobKind): number {
  return kind === 'layer' ? LAYER_MAX_BYTES : METADATA_MAX_BYTES;
}

/** PROTOCOL.md section 7.1: 48 bytes. */
export function encodeHeader(header: BlobHeader | EndHeader): Buffer {
  const bytes = Buffer.alloc(ENTRY_HEADER_BYTES);
  bytes.writeUInt32BE(header.item, 4);
  if (header.type === 'end') {
    bytes.writeUInt8(header.complete ? 0 : FLAG_INCOMPLETE, 2);
    writeUint64(bytes, header.blobs, 8);
    return bytes;
  }
  bytes.writeUInt8(KINDS.indexOf(header.kind), 0);
  bytes.writeUInt8(ENCODINGS.indexOf(header.encoding), 1);
  const flags =
    (header.digest === undefined ? 0 : FLAG_DIGEST) | (header.size === undefined ? FLAG_CHUNKED : 0);
  bytes.writeUInt8(flags, 2);
  writeUint64(bytes, header.size ?? 0, 8);
  if (header.digest !== undefined) writeDigest(bytes, header.digest, 16);
  return bytes;
}

/** Throws protocol-violation for what section 7.1 does not allow, sizes over the limits included. */
export function decodeHeader(bytes: Buffer): BlobHeader | EndHeader {
  const kind = KINDS[bytes[0] as number];
  const encoding = ENCODINGS[bytes[1] as number];
  const flags = bytes[2] as number;
  const item = bytes.readUInt32BE(4);
  const size = readUint64(bytes, 8);
  if (kind === undefined) throw violation(`an entry of unknown kind ${bytes[0]}`);
  if (encoding === undefined) throw violation(`an entry of unknown encoding ${bytes[1]}`);
  if ((flags & ~(kind === 'end' ? FLAG_INCOMPLETE : FLAG_DIGEST | FLAG_CHUNKED)) !== 0)
    throw violation(`an entry with unknown flags ${flags}`);
  if (bytes[3] !== 0) throw violation('an entry with a reserved byte that is not zero');
  if (item >= OFFER_IMAGES_MAX) throw violation(`an entry for image ${item}`);
  if (kind === 'end') return { type: 'end', item, blobs: size, complete: flags === 0 };
  const chunked = (flags & FLAG_CHUNKED) !== 0;
  const maxBytes = chunked ? 0 : maxBytesOf(kind);
  if (size > maxBytes) throw violation(`a ${kind} of ${counted(size, 'byte')}, more than ${maxBytes}`);
  return {
    type: 'blob',
    kind,
    item,
    encoding,
    size: chunked ? undefined : size,
    digest: (flags & FLAG_DIGEST) === 0 ? undefined : readDigest(bytes, 16),
  };
}

/** PROTOCOL.md section 7.3. An abandoned blob has neither size nor digest. */
export function encodeTrailer(trailer: Trailer | undefined, chunked = trailer?.digest !== undefined): Buffer {
  const bytes = Buffer.alloc(chunked ? CHUNKED_TRAILER_BYTES : ENTRY_TRAILER_BYTES);
  bytes.writeUInt8(trailer?.complete ? COMPLETE : ABANDONED, 0);
  if (!trailer) return bytes;
  writeUint64(bytes, trailer.size, 8);
  if (trailer.digest !== undefined) writeDigest(bytes, trailer.digest, 16);
  return bytes;
}

export function decodeTrailer(bytes: Buffer): Trailer {
  const status = bytes[0] as number;
  if (status > ABANDONED) throw violation(`a trailer with unknown status ${status}`);
  if (bytes.readUIntBE(1, 6) !== 0 || bytes[7] !== 0)
    throw violation('a trailer with a reserved byte that is not zero');
  return {
    complete: status === COMPLETE,
    size: readUint64(bytes, 8),
    ...(bytes.length === CHUNKED_TRAILER_BYTES && { digest: readDigest(bytes, 16) }),
  };
}

function writeDigest(bytes: Buffer, digest: Digest, at: number): void {
  bytes.write(digest.slice('sha256:'.length), at, 32, 'hex');
}

function readDigest(bytes: Buffer, at: number): Digest {
  return `sha256:${bytes.toString('hex', at, at + 32)}`;
}
