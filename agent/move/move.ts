/**
 * A move: source to sink, the same for every pair of ends. It plans, lets images travel one after another
 * while those that have travelled are loaded, tries again what failed, and tells what happens as events; it
 * never prints and knows neither docker nor the network.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { toImgmvError } from '../../proto/errors.ts';
import { decided, sharedFirst } from '../model/plan.ts';
import type { Planned, Sink } from '../model/sink.ts';
import type { Source } from '../model/source.ts';
import { retryPauseMs } from '../streams/retry-pause.ts';
import { Ledger, type LedgerOptions, type Settled } from './ledger.ts';
import type { Passage } from './passage.ts';
import { planAgain } from './plan-again.ts';
import { Schedule, type Transfer } from './schedule.ts';

export interface MoveOptions extends Omit<LedgerOptions, 'waits' | 'store'> {
  /**
   * Images under way at once, at least 1: while one is loaded, the next one travels, and the one behind that
   * is made ready. One that is pushed on is not under way any more.
   */
  readonly jobs: number;
  /** How often images that failed are tried again. */
  readonly retries: number;
}

/** Moves all that `source` offers. Throws for what ends the whole run; the failure of one image is an outcome. */
export async function move(source: Source, sink: Sink, options: MoveOptions): Promise<Settled> {
  const { store } = sink.facts;
  const waits = () => ({ ...source.waits(), ...sink.waits() });
  const ledger = new Ledger({ ...options, store, waits });
  const images = await source.images();
  const planned = (await sink.plan(images.map(({ image }) => image))).map(decided);
  const passages = ledger.plan(planned);
  if (options.planOnly) return ledger.close();
  const transfers = images.map((from, at): Transfer => ({ from, passage: passages[at] as Passage }));
  await new Move(source, sink, ledger, options).run(transfers);
  return ledger.close();
}

/** Round after round: all images of a plan, then, after a pause, those that failed and may be tried again. */
class Move {
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #ledger: Ledger;
  readonly #options: MoveOptions;
  #attempt = 0;
  /** The round at hand has several images under way at once, each of which takes room that the others lack. */
  #crowded = false;
  /** Some of those that are tried again lacked room: now each has all of it. */
  #oneByOne = false;

  constructor(source: Source, sink: Sink, ledger: Ledger, options: MoveOptions) {
    this.#source = source;
    this.#sink = sink;
    this.#ledger = ledger;
    this.#options = options;
  }

  async run(all: readonly Transfer[]): Promise<void> {
    try {
      for (let round = all; round.length > 0; round = await this.#failedOf(all)) await this.#round(round);
      await this.#finish(all);
    } finally {
      this.#ledger.tellHeld();
    }
  }

  async #round(transfers: readonly Transfer[]): Promise<void> {
    const { signal } = this.#options;
    const jobs = this.#oneByOne ? 1 : this.#options.jobs;
    const travelling = transfers.filter(({ passage }) => passage.travels);
    this.#source.expect(travelling.map(({ from, passage }) => ({ from, layers: passage.wanted })));
    this.#crowded = jobs > 1 && travelling.length > 1;
    const ordered = sharedFirst(transfers.map((one) => ({ ...one, answer: one.passage.answer })));
    const onEnd = (passage: Passage) => this.#ended(passage);
    await new Schedule(ordered, { signal, jobs, onEnd }).run();
  }

  #ended(passage: Passage): void {
    const again = this.#mayTryAgain(passage);
    const waits = this.#sink.facts.atomic && passage.outcome?.error === undefined;
    if (!again && !waits) return this.#ledger.tell(passage);
    this.#ledger.hold(passage);
    const attempt = this.#attempt + 1;
    if (again) this.#ledger.announce(passage, attempt, retryPauseMs(attempt));
  }

  #mayTryAgain({ outcome }: Passage): boolean {
    const { retries, signal } = this.#options;
    const error = outcome?.error;
    if (!error?.retry || this.#attempt >= retries || signal.aborted) return false;
    // A disk that is full for one image by itself stays full.
    return !error.noRoom || this.#crowded;
  }

  /** Those that are tried again, planned anew; none where nothing is. */
  async #failedOf(all: readonly Transfer[]): Promise<readonly Transfer[]> {
    const { signal } = this.#options;
    const failed = all.filter(({ passage }) => this.#mayTryAgain(passage));
    if (failed.length === 0) return [];
    const attempt = ++this.#attempt;
    this.#oneByOne ||= failed.some(({ passage }) => passage.outcome?.error?.noRoom);
    const waitMs = retryPauseMs(attempt);
    const passages = failed.map(({ passage }) => passage);
    try {
      await this.#sink.retrying({ images: passages.map(({ image }) => image), attempt, waitMs });
      await sleep(waitMs, undefined, { signal });
      const planned = await planAgain(this.#sink, passages, signal);
      for (const [at, passage] of passages.entries()) {
        this.#ledger.release(passage);
        passage.again(planned[at] as Planned);
      }
      return failed;
    } catch (error) {
      // What has stopped the whole run is told by whoever did.
      if (!signal.aborted) throw error;
      return [];
    }
  }

  /** Where images are there all together or not at all: now, or not. */
  async #finish(all: readonly Transfer[]): Promise<void> {
    const { signal } = this.#options;
    try {
      signal.throwIfAborted();
      await this.#sink.finish();
      if (this.#sink.facts.atomic) this.#ledger.finished();
    } catch (error) {
      const failure = toImgmvError(signal.aborted ? signal.reason : error);
      if (this.#sink.facts.atomic) for (const { passage } of all) passage.undo(failure);
    }
  }
}
