/** The life of one pairing code: it dies by its TTL, by one success, or by too many wrong tries. */
import { newSalt } from '../../proto/channel.ts';
import { deriveKey, generateCode } from '../../proto/code.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { CODE_WRONG_TRIES_MAX } from '../../proto/limits.ts';
import { generateKeyPair, type KeyPair } from '../../proto/noise.ts';
import type { Secret } from '../../proto/secret.ts';
import { type Clock, SYSTEM_CLOCK } from '../streams/clock.ts';
import type { Authority } from './authority.ts';

export class Pairing implements Authority {
  readonly kind = 'pair';
  readonly code: Secret;
  readonly salt: Buffer;
  /** What the code stretches to; begun at once and only once, so that no stranger makes us compute it. */
  readonly psk: Promise<Buffer>;
  readonly s: KeyPair = generateKeyPair();
  /** Wall time at which it dies, in milliseconds since 1970. */
  readonly expires: number;
  readonly #clock: Clock;
  /** The code that this one takes the place of, as it stretches now. */
  #before: { readonly psk: Buffer; readonly death: ImgmvError } | undefined;
  readonly #deadline: number;
  #used = false;
  #wrongTries = 0;

  /** `before` is dead: who still gives its code hears how it died, and that costs no try. */
  constructor(ttlMs: number, clock: Clock = SYSTEM_CLOCK, before?: Pairing) {
    this.code = generateCode();
    this.salt = newSalt();
    this.psk = this.#stretch(before);
    // Told to whoever awaits it.
    this.psk.catch(() => {});
    this.#clock = clock;
    this.expires = clock.wall() + ttlMs;
    this.#deadline = clock.monotonic() + ttlMs;
  }

  async #stretch(before: Pairing | undefined): Promise<Buffer> {
    const death = before?.death;
    const [psk, spent] = await Promise.all([
      deriveKey(this.code, this.salt),
      before && deriveKey(before.code, this.salt),
    ]);
    this.#before = spent && death && { psk: spent, death };
    return psk;
  }

  get triesLeft(): number {
    return Math.max(0, CODE_WRONG_TRIES_MAX - this.#wrongTries);
  }

  /** Why the code is dead; undefined while it lives. */
  get death(): ImgmvError | undefined {
    if (this.#used) return new ImgmvError('code-used', 'the pairing code has been used');
    if (this.#wrongTries >= CODE_WRONG_TRIES_MAX)
      return new ImgmvError(
        'code-burnt',
        `somebody gave ${this.#wrongTries} wrong codes: the pairing code no longer works`,
      );
    // Either clock ends it: the wall clock may be set back, the monotonic one stands still in sleep.
    if (this.#clock.wall() >= this.expires || this.#clock.monotonic() >= this.#deadline)
      return new ImgmvError('code-expired', 'the pairing code expired before anybody used it');
    return undefined;
  }

  admit(): void {
    const { death } = this;
    if (death) throw death;
    this.#used = true;
  }

  spent(wasMadeWith: (psk: Uint8Array) => boolean): ImgmvError | undefined {
    return this.#before && wasMadeWith(this.#before.psk) ? this.#before.death : undefined;
  }

  wrongTry(): number {
    this.#wrongTries++;
    return this.triesLeft;
  }
}
