const SLAB_BYTES = 256 * 1024;
/** Less room than this in a slab is not worth a call. */
const SLAB_ROOM_MIN_BYTES = 32 * 1024;
const SPARE_SLABS_MAX = 16;

/**
 * Memory for what comes in pieces, each of which is a piece of a large buffer. Once
 * all pieces of a buffer have been given back, it is used again. Otherwise V8 lets tens of megabytes pile up before it
 * collects them.
 */
export class Slab {
  #room: Buffer = Buffer.alloc(0);
  /** How many pieces of each buffer are in use. The current buffer counts as one more. */
  readonly #lent = new WeakMap<ArrayBufferLike, number>();
  readonly #spare: Buffer[] = [];

  room(): Buffer {
    if (this.#room.length >= SLAB_ROOM_MIN_BYTES) return this.#room;
    const before = this.#room;
    this.#room = this.#spare.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.#lent.set(this.#room.buffer, 1);
    this.release(before);
    return this.#room;
  }

  /** The first `bytes` of the room; not written again before it is given back. */
  take(bytes: number): Buffer {
    const taken = this.#room.subarray(0, bytes);
    this.#room = this.#room.subarray(bytes);
    this.#lent.set(taken.buffer, (this.#lent.get(taken.buffer) ?? 0) + 1);
    return taken;
  }

  /** Copies of `bytes`, in one piece or a few. */
  *copies(bytes: Buffer): Generator<Buffer> {
    for (let rest = bytes; rest.length > 0; ) {
      const copied = rest.copy(this.room());
      yield this.take(copied);
      rest = rest.subarray(copied);
    }
  }

  /** Takes back a piece that is no longer read. Ignores buffers that are not from here. */
  release({ buffer }: Buffer): void {
    const lent = this.#lent.get(buffer);
    if (lent === undefined) return;
    if (lent > 1) return void this.#lent.set(buffer, lent - 1);
    this.#lent.delete(buffer);
    if (this.#spare.length < SPARE_SLABS_MAX) this.#spare.push(Buffer.from(buffer as ArrayBuffer));
  }
}
