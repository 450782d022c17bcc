/** Copied together where smaller: a queue of 8 MiB in single bytes would hold a gigabyte of objects. */
const SMALL_BYTES = 4 * 1024;
const PACK_BYTES = 64 * 1024;

/** What a lane has received and its reader has not taken: a first-in first-out of bytes. */
export class ByteQueue {
  readonly #parts: Buffer[] = [];
  /** Where small parts are put, one behind the other. What is handed out of it is never written again. */
  #pack = Buffer.alloc(0);
  #packed = 0;

  get empty(): boolean {
    return this.#parts.length === 0;
  }

  /** `bytes` must not change afterwards. */
  push(bytes: Buffer): void {
    if (bytes.length >= SMALL_BYTES) {
      this.#parts.push(bytes);
      return;
    }
    if (this.#pack.length - this.#packed < bytes.length) {
      this.#pack = Buffer.allocUnsafeSlow(PACK_BYTES);
      this.#packed = 0;
    }
    const start = this.#packed;
    bytes.copy(this.#pack, start);
    this.#packed += bytes.length;
    const last = this.#parts.at(-1);
    const joins = last?.buffer === this.#pack.buffer && last.byteOffset + last.length === start;
    if (joins) this.#parts[this.#parts.length - 1] = this.#pack.subarray(start - last.length, this.#packed);
    else this.#parts.push(this.#pack.subarray(start, this.#packed));
  }

  /** All of one part, of several that were pushed perhaps; undefined when empty. */
  shift(): Buffer | undefined {
    return this.#parts.shift();
  }
}
