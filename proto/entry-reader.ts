import { Decompressor } from './compression.ts';
import { counted } from './counted.ts';
import {
  type AnyBlob,
  BlobGivenUp,
  type BlobHeader,
  CHUNKED_TRAILER_BYTES,
  type Digest,
  decodeHeader,
  decodeTrailer,
  ENTRY_HEADER_BYTES,
  ENTRY_TRAILER_BYTES,
  type EndHeader,
  maxBytesOf,
} from './entry.ts';
import { ImgmvError, violation } from './errors.ts';
import { Hasher } from './hasher.ts';
import type { Lane } from './lane.ts';
import { SEGMENT_MAX_BYTES } from './limits.ts';
import { Slab } from './slab.ts';

export interface ReceivedBlob extends AnyBlob {
  readonly item: number;
  readonly verified: () => Digest;
}

export class EntryReader {
  readonly #lane: Lane;
  readonly #decompressor = new Decompressor();
  /** What is not compressed outlives its place in the lane. */
  readonly #copies = new Slab();
  #buffered: Buffer = Buffer.alloc(0);
  readonly #chunkedMaxBytes: (item: number) => number;
  /** What is left of the entry at hand: bytes of its segment, whether segments follow, and bytes of its trailer. */
  #segmentLeft = 0;
  #inBody = false;
  #trailerDue = 0;
  #wireBytesLeft = 0;
  #item = 0;
  /** By item. */
  readonly #wireBytes = new Map<number, number>();

  /** `chunkedMaxBytes`: what a chunked blob of an item may have, if its kind may. */
  constructor(lane: Lane, chunkedMaxBytes: (item: number) => number = () => Infinity) {
    this.#lane = lane;
    this.#chunkedMaxBytes = chunkedMaxBytes;
  }

  /** Bytes of all entries of an item so far: what the writer counts for them, too. */
  wireBytesOf(item: number): number {
    return this.#wireBytes.get(item) ?? 0;
  }

  /** The next blob or image end; undefined after the lane's END. What is unread of the blob before is skipped. */
  async next(): Promise<ReceivedBlob | EndHeader | undefined> {
    await this.#skip();
    const bytes = await this.#read(ENTRY_HEADER_BYTES, true);
    if (!bytes) return undefined;
    const header = decodeHeader(bytes);
    this.#item = header.item;
    this.#count(bytes);
    if (header.type === 'end') return header;
    this.#inBody = true;
    this.#trailerDue = header.size === undefined ? CHUNKED_TRAILER_BYTES : ENTRY_TRAILER_BYTES;
    this.#segmentLeft = 0;
    const maxBytes = header.size ?? Math.min(maxBytesOf(header.kind), this.#chunkedMaxBytes(header.item));
    // zstd's worst case (ZSTD_COMPRESSBOUND) is size/256 more; what is beyond twice that is an attack.
    this.#wireBytesLeft = maxBytes + Math.ceil(maxBytes / 128) + 1024;
    const found: { digest?: Digest } = {};
    return {
      kind: header.kind,
      item: header.item,
      size: header.size,
      ...(header.digest && { digest: header.digest }),
      compressed: header.encoding === 'identity',
      body: this.#body(header, maxBytes, found),
      release: (chunk) => {
        this.#decompressor.release(chunk);
        this.#copies.release(chunk);
      },
      verified: () => {
        if (found.digest) return found.digest;
        throw new ImgmvError('internal', 'a blob was asked for its digest before its end');
      },
    };
  }

  /** The uncompressed bytes; at their end the trailer is read and all is compared before the last `done`. */
  async *#body(header: BlobHeader, maxBytes: number, found: { digest?: Digest }): AsyncGenerator<Buffer> {
    const hasher = new Hasher();
    let damage: ImgmvError | undefined;
    try {
      const segments = this.#segments();
      const chunks =
        header.encoding === 'zstd'
          ? this.#decompressor.decompress(segments, maxBytes)
          : this.#copied(segments);
      for await (const chunk of chunks) {
        hasher.add(chunk);
        if (hasher.bytes > maxBytes)
          throw new ImgmvError('integrity', `a ${header.kind} is longer than its ${maxBytes} bytes`);
        yield chunk;
      }
    } catch (error) {
      // A blob that its sender gave up ends inside a zstd frame, too: only the trailer tells that from damage.
      if (!(error instanceof ImgmvError) || error.code !== 'integrity') throw error;
      damage = error;
      for await (const _ of this.#segments());
    }
    const trailer = await this.#trailer();
    const { bytes: size } = hasher;
    if (!trailer.complete)
      throw new BlobGivenUp(`the other host gave up a ${header.kind} after ${counted(size, 'byte')}`);
    if (damage) throw damage;
    const digest = hasher.digest();
    const want = header.digest ?? trailer.digest ?? digest;
    const wantSize = header.size ?? trailer.size;
    const told = trailer.digest ?? digest;
    if (size !== wantSize || size !== trailer.size || digest !== want || digest !== told)
      throw new ImgmvError(
        'integrity',
        `a ${header.kind} is not what was sent: got ${digest} of ${counted(size, 'byte')}, want ${want} of ${wantSize}`,
      );
    found.digest = digest;
  }

  async #trailer() {
    const bytes = this.#trailerDue;
    this.#trailerDue = 0;
    return decodeTrailer(await this.#exactly(bytes));
  }

  async #skip(): Promise<void> {
    for await (const _ of this.#segments());
    if (this.#trailerDue > 0) await this.#trailer();
  }

  /** The rest of the body at hand, as it is on the wire. May be left and taken up again. */
  async *#segments(): AsyncGenerator<Buffer> {
    while (this.#inBody) {
      if (this.#segmentLeft === 0) {
        const length = (await this.#exactly(4)).readUInt32BE(0);
        if (length === 0) {
          this.#inBody = false;
          return;
        }
        if (length > SEGMENT_MAX_BYTES) throw violation(`a segment of ${counted(length, 'byte')}`);
        this.#wireBytesLeft -= length;
        if (this.#wireBytesLeft < 0) throw violation('a body longer than its declared size can need');
        this.#segmentLeft = length;
      }
      const bytes = await this.#some(this.#segmentLeft);
      this.#segmentLeft -= bytes.length;
      this.#count(bytes);
      yield bytes;
    }
  }

  async *#copied(segments: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const segment of segments) yield* this.#copies.copies(segment);
  }

  async #exactly(bytes: number): Promise<Buffer> {
    const read = await this.#read(bytes, false);
    if (!read) throw violation('a lane ended inside an entry');
    this.#count(read);
    return read;
  }

  #count({ length }: Buffer): void {
    this.#wireBytes.set(this.#item, this.wireBytesOf(this.#item) + length);
  }

  async #read(bytes: number, endAllowed: boolean): Promise<Buffer | undefined> {
    const first = await this.#next();
    if (!first && endAllowed) return undefined;
    let all = first ?? Buffer.alloc(0);
    while (all.length < bytes) {
      const begun = Buffer.from(all);
      const part = await this.#next();
      if (!part) throw violation('a lane ended inside an entry');
      all = Buffer.concat([begun, part]);
    }
    this.#buffered = all.subarray(bytes);
    return all.subarray(0, bytes);
  }

  async #some(maxBytes: number): Promise<Buffer> {
    const part = await this.#next();
    if (!part) throw violation('a lane ended inside an entry');
    this.#buffered = part.subarray(maxBytes);
    return part.subarray(0, maxBytes);
  }

  async #next(): Promise<Buffer | undefined> {
    const part = this.#buffered;
    this.#buffered = Buffer.alloc(0);
    return part.length > 0 ? part : this.#lane.read();
  }
}
