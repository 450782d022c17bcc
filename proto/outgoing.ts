/** One direction of a lane at its writer: what may go, what has gone, and what may have to go again. */
import { violation } from './errors.ts';
import { SENT_BYTES_MAX } from './limits.ts';
import { SentBytes } from './sent-bytes.ts';

export class Outgoing {
  readonly #sent = new SentBytes(SENT_BYTES_MAX);
  /** Offset of the first byte that the other side does not allow yet. */
  #limit = 0;
  /** What the other side has told that its reader took. */
  #taken = 0;
  /** Set once END stands behind the last byte. */
  ended = false;

  /** Offset behind the last byte. */
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

  /** Copies `bytes`, no more than there is room for; gives their offset. */
  add(bytes: Buffer): number {
    const offset = this.#sent.to;
    this.#sent.add(bytes);
    return offset;
  }

  /** The bytes from `offset` on, at most `maxBytes`; none at the end. Valid until the next `add`. */
  read(offset: number, maxBytes: number): Buffer {
    return this.#sent.read(offset, maxBytes);
  }

  /** What CREDIT says. */
  credit(consumed: number, limit: number): void {
    const backwards = consumed < this.#taken || limit < this.#limit;
    if (consumed > this.#sent.to || backwards) throw violation('credits that do not fit');
    this.#taken = consumed;
    this.#limit = limit;
    this.#sent.release(consumed);
  }

  /** What RESUME says: all before `offset` has come, whether its reader has taken it or not. */
  resume(offset: number, limit: number): void {
    if (offset < this.#sent.from || offset > this.#sent.to || limit < this.#limit)
      throw violation(`a lane goes on at ${offset}, not at ${this.#sent.from} to ${this.#sent.to}`);
    this.#limit = limit;
    this.#sent.release(offset);
  }
}
