/** One direction of a lane at its writer: what may go, what has gone, and what may have to go again. */
import { ByteRing } from './byte-ring.ts';
import { violation } from './errors.ts';
import { SENT_BYTES_MAX } from './limits.ts';

export class Outgoing {
  readonly #sent = new ByteRing(SENT_BYTES_MAX);
  /** Offset of the first byte that the connection at hand has not been given. */
  #next = 0;
  /** Offset of the first byte that the other side does not allow yet. */
  #limit = 0;
  /** What the other side has told that its reader took. */
  #taken = 0;
  /** Set once END stands behind the last byte. */
  ended = false;

  get to(): number {
    return this.#sent.to;
  }

  /** What need not be sent again, as far as is known. */
  get kept(): number {
    return this.#sent.from;
  }

  /** Bytes that the other side allows, and that there is room to keep until it has taken them. */
  get room(): number {
    return Math.min(this.#limit - this.#sent.to, this.#sent.free);
  }

  /** Copies of `bytes` what there is room for, and says how much that is. */
  add(bytes: Buffer): number {
    const taken = bytes.subarray(0, this.room);
    this.#sent.add(taken);
    return taken.length;
  }

  /** Bytes that wait to be given to the connection at hand. */
  get ungiven(): number {
    return this.#sent.to - this.#next;
  }

  /** Whether all has been given to the connection at hand. */
  get given(): boolean {
    return this.#next === this.#sent.to;
  }

  /** The next bytes for the connection at hand, at most `maxBytes`, and their offset. Valid until the next `add`. */
  give(maxBytes: number): readonly [offset: number, bytes: Buffer] {
    const offset = this.#next;
    const bytes = this.#sent.read(offset, maxBytes);
    this.#next += bytes.length;
    return [offset, bytes];
  }

  credit(consumed: number, limit: number): void {
    const backwards = consumed < this.#taken || limit < this.#limit;
    if (consumed > this.#next || backwards) throw violation('credits that do not fit');
    this.#taken = consumed;
    this.#limit = limit;
    this.#sent.release(consumed);
  }

  /** What RESUME says: all before `offset` has come, whether its reader has taken it or not. */
  resume(offset: number, limit: number): void {
    if (offset < this.#sent.from || offset > this.#next || limit < this.#limit)
      throw violation(`a lane goes on at ${offset}, not at ${this.#sent.from} to ${this.#next}`);
    this.#limit = limit;
    this.#next = offset;
    this.#sent.release(offset);
  }
}
