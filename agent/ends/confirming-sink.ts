/**
 * A sink whose plan somebody has to confirm before anything moves. They are asked once a session: what is tried again
 * afterwards must be what was confirmed, and is refused where it is anything more.
 */
import { ForwardingSink } from '../model/forwarding-sink.ts';
import type { Image } from '../model/image.ts';
import { unless } from '../model/plan.ts';
import type { Answer, Planned, Sink } from '../model/sink.ts';
import { Agreement } from './agreement.ts';
import { askInTime } from './ask-in-time.ts';

export const CONFIRM_WAIT_MS = 60_000;

export interface Confirmation {
  /** Asks about the plan. The signal is aborted when no answer is wanted any more; what `ask` then does is ignored. */
  readonly ask: (answers: readonly Answer[], signal: AbortSignal) => Promise<boolean>;
  readonly signal: AbortSignal;
  readonly waitMs?: number;
}

export class ConfirmingSink extends ForwardingSink {
  readonly #confirmation: Confirmation;
  /** What was confirmed; undefined as long as nobody was asked. */
  #confirmed: Agreement | undefined;

  constructor(inner: Sink, confirmation: Confirmation) {
    super(inner);
    this.#confirmation = confirmation;
  }

  /** Throws the reason of the session's signal. */
  override async plan(images: readonly Image[]): Promise<readonly Planned[]> {
    const planned = await super.plan(images);
    const confirmed = this.#confirmed;
    if (confirmed) return planned.map((one) => confirmed.hold(one));
    this.#confirmed = agreementOn([]);
    const answers = planned.map(({ answer }) => answer);
    const wanted = answers.filter(({ action }) => action !== 'refuse');
    if (wanted.length === 0) return planned;
    const { ask, signal, waitMs = CONFIRM_WAIT_MS } = this.#confirmation;
    const refusal = await askInTime((until) => ask(answers, until), { signal, waitMs });
    if (refusal === undefined) this.#confirmed = agreementOn(wanted);
    return planned.map((one) => unless(refusal, one));
  }
}

function agreementOn(answers: readonly Answer[]): Agreement {
  return new Agreement(answers, 'the session was confirmed');
}
