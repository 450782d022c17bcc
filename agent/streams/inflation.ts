/** How much one archive may inflate to, in all that is decompressed of it: a small file may hold any amount of zeros. */

import { integrity } from './errors.ts';
import type { ReadingMeter } from './reading-meter.ts';

export class Inflation {
  readonly #maxBytes: number;
  readonly #meter: ReadingMeter;
  #bytes = 0;

  /** `meter` is told of all bytes. */
  constructor(maxBytes: number, meter: ReadingMeter) {
    this.#maxBytes = maxBytes;
    this.#meter = meter;
  }

  /** Throws integrity where it is too much if it comes to so many in all. Nothing is counted. */
  expect(bytes: number): void {
    if (bytes > this.#maxBytes)
      throw integrity(`it inflates to more than ${this.#maxBytes} bytes in all`, {
        hint: 'if it really is that large, --max-bytes SIZE allows more for an archive',
      });
  }

  /** Throws integrity where it becomes too much. */
  add(bytes: number): void {
    this.#bytes += bytes;
    this.#meter.inflated += bytes;
    this.expect(this.#bytes);
  }
}
