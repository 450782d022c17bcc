/** What a run has come to, on whichever side: its plan, its images, what is told of them, and the status that it earned. */
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { tellError } from '../model/events.ts';
import type { Store } from '../model/image.ts';
import { planImage, refusal } from '../model/plan.ts';
import type { Outcome, Planned } from '../model/sink.ts';
import { Passage, type PassageOptions } from './passage.ts';

export interface LedgerOptions extends PassageOptions {
  readonly store: Store | undefined;
  /** What has arrived is going to be pushed on: the plan says where to. */
  readonly pushes?: boolean;
  /** Something that was meant is no image of the source: what arrives is not all, and the status says so. */
  readonly lacking?: boolean;
  /** Ends with the plan: nothing is moved. */
  readonly planOnly?: boolean;
  /** What the target has measured, which is what both sides tell; each absent where it did not say. */
  readonly measured?: () => Measured;
}

export interface Measured {
  /** How long the run took in milliseconds, from the plan on. */
  readonly tookMs?: number | undefined;
  /** Bytes on the wire, both ways. */
  readonly wireBytes?: number | undefined;
}

export interface Settled {
  /** In the order of the plan. */
  readonly outcomes: readonly Outcome[];
  readonly exit: number;
}

export class Ledger {
  readonly #options: LedgerOptions;
  readonly #startedAt = performance.now();
  #plannedAt = this.#startedAt;
  #passages: readonly Passage[] = [];
  /** What is not told yet: there may be another try, or the sink has to finish first. */
  readonly #held = new Set<Passage>();
  #planOnly: readonly Outcome[] = [];
  #finishedMs: number | undefined;

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** Once, before anything else. Times count from here. In the order of `planned`. */
  plan(planned: readonly Planned[]): readonly Passage[] {
    const { emit, planOnly = false, pushes = false, store } = this.#options;
    emit({
      event: 'plan',
      images: planned.map(({ answer }) => planImage(answer, store, { layers: planOnly, pushes })),
      only: planOnly,
    });
    this.#plannedAt = performance.now();
    this.#passages = planned.map((one) => new Passage(one, this.#options, this.#plannedAt));
    if (planOnly)
      this.#planOnly = planned.flatMap(({ answer }): Outcome[] =>
        answer.action === 'refuse' ? [{ ...answer, status: 'refused', error: refusal(answer) }] : [],
      );
    return this.#passages;
  }

  tell(passage: Passage): void {
    this.#held.delete(passage);
    if (passage.outcome) this.#options.emit(passage.event(passage.outcome));
  }

  hold(passage: Passage): void {
    this.#held.add(passage);
  }

  /** Another try of it is coming, which needs no word of how this one ended. */
  release(passage: Passage): void {
    this.#held.delete(passage);
  }

  tellHeld(): void {
    for (const passage of this.#held) this.tell(passage);
  }

  announce({ answer, outcome }: Passage, attempt: number, waitMs: number): void {
    if (!outcome?.error) return;
    this.#options.emit({
      event: 'retrying',
      id: answer.image.id,
      refs: answer.refs.map(({ source, target }) => ({ source, target })),
      attempt,
      waitSeconds: waitMs / 1000,
      error: tellError(outcome.error),
    });
  }

  /** The sink has finished, which the images had to wait for. Gives the milliseconds since the plan. */
  finished(): number {
    this.#finishedMs = Math.round(performance.now() - this.#plannedAt);
    return this.#finishedMs;
  }

  /** From the plan until the last image had ended; a plan alone from the beginning. */
  #tookMs(): number {
    const { planOnly, measured } = this.#options;
    const now = performance.now();
    if (planOnly) return Math.round(now - this.#startedAt);
    const ends = this.#passages.flatMap(({ endedMs }) => endedMs ?? []);
    const own = ends.length === 0 ? Math.round(now - this.#plannedAt) : Math.max(...ends);
    return measured?.().tookMs ?? this.#finishedMs ?? own;
  }

  close(): Settled {
    const { emit, lacking = false, planOnly = false, signal, wireBytes, measured } = this.#options;
    const outcomes = planOnly ? this.#planOnly : this.#passages.flatMap(({ outcome }) => outcome ?? []);
    const partly = planOnly && outcomes.length > 0 && outcomes.length < this.#passages.length;
    const failed = exitOf(outcomes);
    const earned = partly || (lacking && failed === 0) ? new ImgmvError('partial', '').exit : failed;
    const exit = signal.aborted ? toImgmvError(signal.reason).exit : earned;
    emit({
      event: 'done',
      images: this.#passages.length,
      failed: outcomes.filter((outcome) => outcome.error !== undefined).length,
      bytes: this.#passages.reduce((sum, { bytes }) => sum + bytes, 0),
      wireBytes: measured?.().wireBytes ?? wireBytes(),
      seconds: this.#tookMs() / 1000,
      exit,
    });
    return { outcomes, exit };
  }
}

/** When all fail alike that code, 17 when they differ, or when what is there could not be pushed. */
export function exitOf(outcomes: readonly Outcome[]): number {
  if (outcomes.some(({ pushed }) => pushed?.some(({ error }) => error !== undefined)))
    return new ImgmvError('push-failed', '').exit;
  const exits = new Set(outcomes.map((outcome) => outcome.error?.exit ?? 0));
  return exits.size > 1 ? new ImgmvError('partial', '').exit : ([...exits][0] ?? 0);
}
