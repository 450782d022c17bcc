import type { ConnectionKind } from '../../proto/channel.ts';
import type { ImgmvError } from '../../proto/errors.ts';
import type { KeyPair } from '../../proto/noise.ts';

/** Decides who may meet this side. The listener asks it, and knows nothing of how it decides. */
export interface Authority {
  /** Of the connections that begin a session under it. */
  readonly kind: Extract<ConnectionKind, 'pair' | 'trusted'>;
  /** Our static key; made ahead, so that no stranger makes us compute it. */
  readonly s: KeyPair;
  /** For our preamble. */
  readonly salt: Buffer;
  /** What a dialler has to know, made ahead, too; undefined where its key is all that counts. */
  readonly psk: Promise<Buffer | undefined>;
  /** Why nobody may any more; undefined while somebody may. */
  readonly death: ImgmvError | undefined;
  /** A dialler has proven its static key, and that it knows `psk`. Throws if it may not meet this side. */
  admit(rs: Buffer): void;
  /**
   * A dialler does not know `psk`. Why, if it has what was good once: that is no try at what is good now. Undefined for
   * any other. `wasMadeWith` says whether it knows this one.
   */
  spent(wasMadeWith: (psk: Uint8Array) => boolean): ImgmvError | undefined;
  /** A dialler does not know `psk`, nor anything that was good once. How many more may be wrong. */
  wrongTry(): number;
}
