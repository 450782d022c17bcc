/** The bytes of a lane from one offset to another, in memory that is used again. */
export class ByteRing {
  readonly #maxBytes: number;
  /** The byte at offset o is at o modulo its length. Grows up to `maxBytes`, for most lanes carry little. */
  #ring = Buffer.alloc(0);
  #from = 0;
  #to = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get from(): number {
    return this.#from;
  }

  get to(): number {
    return this.#to;
  }

  get free(): number {
    return this.#maxBytes - (this.#to - this.#from);
  }

  /** Copies `bytes`, no more than `free`. */
  add(bytes: Buffer): void {
    this.#grow(this.#to - this.#from + bytes.length);
    const at = this.#to % this.#ring.length;
    const copied = bytes.copy(this.#ring, at);
    bytes.copy(this.#ring, 0, copied);
    this.#to += bytes.length;
  }

  release(offset: number): void {
    this.#from = Math.max(this.#from, offset);
  }

  /** The bytes from `offset` on, at most `maxBytes`; none at the end. Valid until the next `add`. */
  read(offset: number, maxBytes: number): Buffer {
    const at = offset % Math.max(1, this.#ring.length);
    const length = Math.min(maxBytes, this.#to - offset, this.#ring.length - at);
    return this.#ring.subarray(at, at + length);
  }

  #grow(bytes: number): void {
    if (bytes <= this.#ring.length) return;
    const size = Math.min(this.#maxBytes, Math.max(64 * 1024, 2 ** Math.ceil(Math.log2(bytes))));
    const ring = Buffer.allocUnsafeSlow(size);
    for (let offset = this.#from; offset < this.#to; ) {
      const part = this.read(offset, size - (offset % size));
      part.copy(ring, offset % size);
      offset += part.length;
    }
    this.#ring = ring;
  }
}
