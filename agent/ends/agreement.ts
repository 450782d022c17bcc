/** What somebody has agreed to, and whether a later plan asks for more than that. */
import type { Digest } from '../model/image.ts';
import { unless } from '../model/plan.ts';
import type { Answer, Planned, PlannedName } from '../model/sink.ts';
import { NOT_CONFIRMED } from './ask-in-time.ts';

export class Agreement {
  readonly #answers: ReadonlyMap<Digest, Answer>;
  readonly #when: string;

  /** `when` ends the sentence "it was here when …". */
  constructor(answers: readonly Answer[], when: string) {
    this.#answers = new Map(answers.map((answer) => [answer.image.id, answer]));
    this.#when = when;
  }

  /** The plan, if it asks for no more than what was agreed to; otherwise refused. */
  hold(planned: Planned): Planned {
    return unless(this.#excess(planned.answer), planned);
  }

  /** What of it goes beyond the agreement; undefined where nothing does. */
  #excess({ action, image, refs }: Answer): string | undefined {
    const before = this.#answers.get(image.id);
    if (!before) return NOT_CONFIRMED;
    if (before.action === 'present' && action === 'send')
      return `it was here when ${this.#when}, but is gone now`;
    const known = new Set(before.refs.map(effectOf));
    const other = refs.find((ref) => ref.replaces !== undefined && !known.has(effectOf(ref)));
    return other && `${other.target} is a different image now than when ${this.#when}`;
  }
}

function effectOf({ target, replaces }: PlannedName): string {
  return `${target} ${replaces}`;
}
