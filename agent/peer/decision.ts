/** Whether a sender goes on after the plan that somebody there was shown. PROTOCOL.md section 6, `proceed`. */
import { deferred } from '../../proto/deferred.ts';
import { ImgmvError, violation } from '../../proto/errors.ts';
import { DECISION_MAX_MS } from '../../proto/limits.ts';

export class Decision {
  readonly #proceeds = deferred<boolean>();
  #open = false;

  /** From here on the sender may say it. */
  open(): void {
    this.#open = true;
  }

  /** Throws no-answer where it does not come in time, and what `lost` was given. */
  async made(peer: string): Promise<boolean> {
    const late = setTimeout(() => {
      const message = `nobody at ${peer} decided within ${DECISION_MAX_MS / 60_000} minutes whether to send`;
      this.#proceeds.reject(new ImgmvError('no-answer', message));
    }, DECISION_MAX_MS);
    try {
      return await this.#proceeds.promise;
    } finally {
      clearTimeout(late);
    }
  }

  /** Throws protocol-violation where nobody is asked, or it has been said. */
  proceed(): void {
    if (!this.#open) throw violation('proceed at the wrong time');
    this.#open = false;
    this.#proceeds.resolve(true);
  }

  /** Nothing is to move, if that was still open. */
  finish(): void {
    this.#open = false;
    this.#proceeds.resolve(false);
  }

  lost(error: ImgmvError): void {
    this.#proceeds.reject(error);
  }
}
