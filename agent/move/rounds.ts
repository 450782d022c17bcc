/** Round after round: all images of a plan, then, after a pause, those that failed and may be tried again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ImgmvError, toImgmvError } from '../../proto/errors.ts';
import type { Answer, Image, Outcome, Retry, Sink, Source } from '../model/image.ts';
import { sharedFirst } from '../model/plan.ts';
import { retryPauseMs } from '../streams/retry-pause.ts';
import { Copy } from './copy.ts';
import type { MoveOptions } from './options.ts';
import { Traffic } from './traffic.ts';

export class Rounds {
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #options: MoveOptions;
  /** Of each image the latest try, in the order of the plan. */
  readonly #copies = new Map<Image, Copy>();
  /** What is not told yet: there may be another try, or the sink has to finish first. */
  readonly #untold = new Set<Copy>();
  #attempt = 0;
  readonly #plannedAt = performance.now();

  /** Made as soon as the plan is told: times count from here. */
  constructor(source: Source, sink: Sink, options: MoveOptions) {
    this.#source = source;
    this.#sink = sink;
    this.#options = options;
  }

  /** Uncompressed bytes that were moved so far. */
  get bytes(): number {
    return [...this.#copies.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Called once. What became of each image in the end, in the order of the plan. */
  async run(plan: readonly Answer[]): Promise<readonly Outcome[]> {
    try {
      for (let round: typeof plan | undefined = plan; round; round = await this.#next())
        await this.#move(round);
      await this.#finish();
    } finally {
      for (const copy of this.#untold) this.#tell(copy);
    }
    return [...this.#copies.values()].flatMap(({ outcome }) => outcome ?? []);
  }

  async #move(answers: readonly Answer[]): Promise<void> {
    for (const answer of answers) {
      const before = this.#copies.get(answer.image);
      if (before) this.#untold.delete(before);
      this.#copies.set(answer.image, new Copy(this.#source, this.#sink, answer, this.#options, before));
    }
    const ordered = sharedFirst(answers).flatMap(({ image }) => this.#copies.get(image) ?? []);
    const { signal, jobs } = this.#options;
    const onEnd = (copy: Copy) => this.#ended(copy);
    await new Traffic(this.#source, ordered, { signal, jobs, onEnd }).run();
  }

  #mayTryAgain({ outcome }: Copy): boolean {
    const { retries, signal } = this.#options;
    const left = this.#source.retry !== undefined || this.#attempt < retries;
    return outcome?.error?.retry === true && left && !signal.aborted;
  }

  #ended(copy: Copy): void {
    const again = this.#mayTryAgain(copy);
    const waits = this.#sink.finish !== undefined && !hasFailed(copy);
    if (!again && !waits) return this.#tell(copy);
    this.#untold.add(copy);
    if (!again) return;
    // Where the other side decides, it is known only after the round.
    if (this.#source.retry) return;
    const attempt = this.#attempt + 1;
    this.#announce(copy, attempt, retryPauseMs(attempt));
  }

  /** Where images are there all together or not at all: now, or not. */
  async #finish(): Promise<void> {
    const { signal } = this.#options;
    if (!this.#sink.finish) return;
    let failure: ImgmvError | undefined;
    try {
      signal.throwIfAborted();
      await this.#sink.finish();
    } catch (error) {
      failure = toImgmvError(signal.aborted ? signal.reason : error);
      for (const copy of this.#copies.values()) copy.undo(failure);
    }
    await this.#source.finished?.(failure);
  }

  /** The plan of the next round; undefined where there is none. */
  async #next(): Promise<readonly Answer[] | undefined> {
    const { signal } = this.#options;
    if (signal.aborted) return undefined;
    try {
      const retry = await this.#retry();
      if (!retry) return undefined;
      this.#attempt = retry.attempt;
      await sleep(retry.waitMs, undefined, { signal });
      return await this.#planAgain(retry);
    } catch (error) {
      // What has stopped the whole run is told by whoever did.
      if (!signal.aborted) throw error;
      return undefined;
    }
  }

  async #retry(): Promise<Retry | undefined> {
    if (this.#source.retry) {
      const failed = [...this.#copies.values()].filter(hasFailed);
      // A sink that has to finish does so when the other side knows of no more.
      if (failed.length === 0 && !this.#sink.finish) return undefined;
      const retry = await this.#source.retry(failed.map(({ image }) => image));
      for (const image of retry?.images ?? []) {
        const copy = this.#copies.get(image);
        if (copy && retry) this.#announce(copy, retry.attempt, retry.waitMs);
      }
      return retry;
    }
    const images = [...this.#copies.values()]
      .filter((copy) => this.#mayTryAgain(copy))
      .map(({ image }) => image);
    if (images.length === 0) return undefined;
    const attempt = this.#attempt + 1;
    const retry = { images, attempt, waitMs: retryPauseMs(attempt) };
    await this.#sink.retry?.(retry);
    return retry;
  }

  /** An engine that is still away is no reason to give up the images that it has taken, nor the tries left. */
  async #planAgain({ images }: Retry): Promise<readonly Answer[]> {
    let answers: readonly Answer[];
    try {
      answers = await this.#sink.plan(images);
    } catch (thrown) {
      const error = toImgmvError(thrown);
      if (!error.retry || this.#options.signal.aborted) throw error;
      answers = images.map((image): Answer => {
        const refs = this.#copies.get(image)?.answer.refs ?? image.names;
        return { image, action: 'refuse', refs, error };
      });
    }
    return this.#source.planned(answers);
  }

  #announce({ answer, outcome }: Copy, attempt: number, waitMs: number): void {
    if (!outcome?.error) return;
    const { image, error } = outcome;
    const { refs } = answer;
    this.#options.emit({
      event: 'retrying',
      id: image.id,
      refs: refs.map(({ source, target }) => ({ source, target })),
      attempt,
      waitSeconds: waitMs / 1000,
      error: { code: error.code, message: error.message, hint: error.hint ?? null },
    });
  }

  #tell(copy: Copy): void {
    if (copy.outcome) this.#options.emit(copy.event(copy.outcome, this.#plannedAt));
  }
}

function hasFailed({ outcome }: Copy): boolean {
  return outcome?.error !== undefined;
}
