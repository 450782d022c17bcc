/** One direction of a lane at its reader: what has come, what was taken of it, and what may come. */
import { ByteRing } from './byte-ring.ts';
import { violation } from './errors.ts';
import { CREDIT_SHARE, DATA_HEADER_BYTES } from './limits.ts';
import { readUint64 } from './record.ts';

const PART_MAX_BYTES = 64 * 1024;

export class Incoming {
  readonly #windowBytes: number;
  readonly #ring: ByteRing;
  /** Up to where its reader has taken bytes, of which the last may still be read. */
  #consumed = 0;
  #limit = 0;
  #ended = false;

  /** `windowBytes`: what may come before the reader takes it. */
  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
    this.#ring = new ByteRing(windowBytes + PART_MAX_BYTES);
  }

  get offset(): number {
    return this.#ring.to;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get empty(): boolean {
    return this.#consumed === this.#ring.to;
  }

  /** What our RESUME is to say: the offset to go on at, and the limit. */
  resume(): readonly [offset: number, limit: number] {
    this.#limit = this.#consumed + this.#windowBytes;
    return [this.#ring.to, this.#limit];
  }

  /** Takes in a DATA record. */
  data(record: Buffer): void {
    const length = record.length - DATA_HEADER_BYTES;
    if (length < 1) throw violation('an empty DATA record');
    if (this.#ended) throw violation('DATA after END');
    const offset = readUint64(record, 1);
    if (offset !== this.offset) throw violation(`DATA at ${offset}, expected ${this.offset}`);
    if (offset + length > this.#limit) throw violation('more DATA than was allowed');
    this.#ring.add(record.subarray(DATA_HEADER_BYTES));
  }

  end(offset: number): void {
    if (offset !== this.offset) throw violation(`a lane of ${this.offset} bytes ends at ${offset}`);
    this.#ended = true;
  }

  /** The next bytes that have come, now taken; undefined where there are none. Valid until the next call. */
  shift(): Buffer | undefined {
    this.#ring.release(this.#consumed);
    if (this.empty) return undefined;
    const bytes = this.#ring.read(this.#consumed, PART_MAX_BYTES);
    this.#consumed += bytes.length;
    return bytes;
  }

  /** What CREDIT is to say now; undefined while it is too little to tell. */
  credit(): readonly [consumed: number, limit: number] | undefined {
    const limit = this.#consumed + this.#windowBytes;
    if (limit - this.#limit < this.#windowBytes / CREDIT_SHARE) return undefined;
    this.#limit = limit;
    return [this.#consumed, limit];
  }
}
