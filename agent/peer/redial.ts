/** The way back of a connection: dials until it is there, with pauses, and knows when there is no hope. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel } from '../../proto/channel.ts';
import { type ErrorCode, ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { RECONNECT_PAUSE_MAX_MS, RECONNECT_PAUSE_MIN_MS } from '../../proto/limits.ts';

export type Dial = (signal: AbortSignal) => Promise<Channel>;

/** What a host says that may be there again in a moment. */
const PASSING: readonly ErrorCode[] = [
  'peer-lost',
  'no-answer',
  'connection-refused',
  'host-not-found',
  'not-imgmv',
  'try-later',
];
/** A connection that lasted this long was a good one. */
const GOOD_AFTER_MS = 1_000;
/** A listener lives as long as its session: one that is gone for so long has most likely ended with its process. */
const REFUSED_MS = 30_000;

export class Redial {
  readonly #name: string;
  readonly #onTry: (attempt: number) => void;
  /** Since it was last connected for a while. */
  #attempts = 0;
  /** Since when every try was refused. */
  #refusedSince: number | undefined;

  /** `onTry` is told of each try, counted from 1, just before it. */
  constructor(name: string, onTry: (attempt: number) => void) {
    this.#name = name;
    this.#onTry = onTry;
  }

  /** A connection broke that had lasted so long. One that breaks as soon as it is there is not tried again at once. */
  broke(lastedMs: number): void {
    this.#attempts = lastedMs < GOOD_AFTER_MS ? 1 : 0;
  }

  connected(): void {
    this.#refusedSince = undefined;
  }

  /** A try has failed that was not made by `connect`. Throws what no further one can change. */
  missed(failure: ImgmvError): void {
    const now = performance.now();
    this.#refusedSince = failure.code === 'connection-refused' ? (this.#refusedSince ?? now) : undefined;
    if (now - (this.#refusedSince ?? now) >= REFUSED_MS) throw lost(this.#name, failure);
    if (!PASSING.includes(failure.code)) throw failure;
  }

  /** Dials until it is connected. Throws what no further try can change, and the reason of `signal`. */
  async connect(dial: Dial, signal: AbortSignal): Promise<Channel> {
    for (;;) {
      const pause = this.#attempts === 0 ? 0 : RECONNECT_PAUSE_MIN_MS * 2 ** (this.#attempts - 1);
      await sleep(Math.min(pause, RECONNECT_PAUSE_MAX_MS), undefined, { signal });
      this.#onTry(++this.#attempts);
      try {
        return await dial(signal);
      } catch (error) {
        signal.throwIfAborted();
        this.missed(toImgmvError(error));
      }
    }
  }
}

export function lost(name: string, cause?: ImgmvError): ImgmvError {
  return new ImgmvError('peer-lost', `the connection to ${name} was lost, and did not come back`, { cause });
}
