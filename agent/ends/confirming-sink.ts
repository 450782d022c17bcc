/**
 * A sink whose plan somebody has to confirm before anything moves. They are asked once a session: what is tried again
 * afterwards must be what was confirmed, and is refused where it is anything more.
 */

import { type Deferred, deferred } from '../../proto/deferred.ts';
import { ForwardingSink } from '../model/forwarding-sink.ts';
import type { Digest, Image } from '../model/image.ts';
import { type Answer, type Planned, type PlannedName, refused, type Sink } from '../model/sink.ts';
import { onAbort } from '../streams/on-abort.ts';

export const CONFIRM_WAIT_MS = 60_000;

export interface Confirmation {
  /** Asks about the plan. The signal is aborted when no answer is wanted any more; what `ask` then does is ignored. */
  readonly ask: (answers: readonly Answer[], signal: AbortSignal) => Promise<boolean>;
  readonly signal: AbortSignal;
  readonly waitMs?: number;
}

export class ConfirmingSink extends ForwardingSink {
  readonly #confirmation: Confirmation;
  /** What was confirmed, by ids; undefined as long as nobody was asked. */
  #confirmed: ReadonlyMap<Digest, Answer> | undefined;

  constructor(inner: Sink, confirmation: Confirmation) {
    super(inner);
    this.#confirmation = confirmation;
  }

  /** Throws the reason of the session's signal. */
  override async plan(images: readonly Image[]): Promise<readonly Planned[]> {
    const planned = await super.plan(images);
    if (this.#confirmed) return planned.map((one) => unless(this.#other(one.answer), one));
    this.#confirmed = new Map();
    const answers = planned.map(({ answer }) => answer);
    const wanted = answers.filter(({ action }) => action !== 'refuse');
    if (wanted.length === 0) return planned;
    const refusal = await this.#ask(answers);
    if (refusal === undefined) this.#confirmed = new Map(wanted.map((answer) => [answer.image.id, answer]));
    return planned.map((one) => unless(refusal, one));
  }

  /** Why it is refused; undefined where it was confirmed. */
  async #ask(answers: readonly Answer[]): Promise<string | undefined> {
    const { ask, signal, waitMs = CONFIRM_WAIT_MS } = this.#confirmation;
    signal.throwIfAborted();
    const over = new AbortController();
    const end: Deferred<string | undefined> = deferred();
    const late = setTimeout(
      () => end.resolve(`nobody confirmed it within ${Math.round(waitMs / 1000)} s`),
      waitMs,
    );
    using _ = onAbort(signal, () => end.reject(signal.reason));
    ask(answers, over.signal).then(
      (yes) => end.resolve(yes ? undefined : 'it was not confirmed'),
      (error: unknown) => end.reject(error),
    );
    try {
      return await end.promise;
    } finally {
      clearTimeout(late);
      over.abort();
    }
  }

  /** What of it is more than was confirmed; undefined where nothing is. */
  #other({ action, image, refs }: Answer): string | undefined {
    const before = this.#confirmed?.get(image.id);
    if (!before) return 'it was not confirmed';
    if (before.action === 'present' && action === 'send')
      return 'it was here when the session was confirmed, and is not any more';
    const known = new Set(before.refs.map(effectOf));
    const other = refs.find((ref) => ref.replaces !== undefined && !known.has(effectOf(ref)));
    return other && `${other.target} is another image now than when the session was confirmed`;
  }
}

function effectOf({ target, replaces }: PlannedName): string {
  return `${target} ${replaces}`;
}

/** One that is refused anyway keeps its own reason. Of what is here the sender learns nothing. */
function unless(reason: string | undefined, planned: Planned): Planned {
  const { image, action } = planned.answer;
  if (reason === undefined || action === 'refuse') return planned;
  const refs = planned.answer.refs.map(({ replaces: _, ...name }) => name);
  return refused({ image, action: 'refuse', refs, reason });
}
