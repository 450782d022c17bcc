import { CODE_PAUSE_MAX_MS, CODE_PAUSE_MIN_MS } from '../../proto/limits.ts';

/** How long a receiver waits before it makes a code in place of one that strangers burnt. */
export class CodePause {
  #ms = CODE_PAUSE_MIN_MS;

  /** Milliseconds to wait now that one more was burnt: twice as long each time. */
  next(): number {
    const ms = this.#ms;
    this.#ms = Math.min(CODE_PAUSE_MAX_MS, ms * 2);
    return ms;
  }

  /** A session has paired. */
  reset(): void {
    this.#ms = CODE_PAUSE_MIN_MS;
  }
}
