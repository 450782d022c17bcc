import { inspect } from 'node:util';

const MASK = '[secret]';

/**
 * Holds a string or bytes that must reach no log, no output and no error message.
 *
 * Everything that turns a value into text (templates, `String()`, `JSON.stringify`, `console.log`,
 * `util.inspect`) gets a mask. Only `reveal()` gives the value, so a search for it finds every use.
 */
export class Secret<T extends string | Uint8Array = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The value itself: bytes are not copied. Keep it out of anything that may be shown. */
  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  [inspect.custom](): string {
    return MASK;
  }
}
