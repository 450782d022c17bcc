/** A file as a stream of which parts can be passed over without being read. */
import type { ReadingMeter } from '../../streams/reading-meter.ts';
import type { Input } from '../input.ts';

/** Most of what is behind a header is passed over: more at once would be read in vain. */
const READ_BYTES = 64 * 1024;

export class SkippingReader implements AsyncIterableIterator<Buffer> {
  readonly #input: Pick<Input, 'read'>;
  readonly #size: number;
  readonly #meter: ReadingMeter;
  readonly #signal: AbortSignal;
  #at = 0;

  constructor(input: Pick<Input, 'read'>, size: number, meter: ReadingMeter, signal: AbortSignal) {
    this.#input = input;
    this.#size = size;
    this.#meter = meter;
    this.#signal = signal;
  }

  async next(): Promise<IteratorResult<Buffer, undefined>> {
    const end = Math.min(this.#size, this.#at + READ_BYTES);
    for await (const chunk of this.#input.read(this.#at, end, this.#signal)) {
      this.#move(chunk.length);
      return { value: chunk, done: false };
    }
    return { value: undefined, done: true };
  }

  /** How many bytes there were to be passed over, `bytes` at most. */
  skip(bytes: number): number {
    const skipped = Math.min(bytes, this.#size - this.#at);
    this.#move(skipped);
    return skipped;
  }

  #move(bytes: number): void {
    this.#at += bytes;
    this.#meter.bytes += bytes;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
