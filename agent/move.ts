/**
 * A move: source to sink, the same for every pair of ends. It plans, lets images travel one after another
 * while those that have travelled are loaded, and tells what happens as events; it never prints and knows
 * neither docker nor the network.
 */
import { ImgmvError, toImgmvError } from '../proto/errors.ts';
import { awaited } from './awaited.ts';
import { Copy, type CopyOptions } from './copy.ts';
import type { Outcome, Sink, Source } from './image.ts';
import { planImage, refusal, sharedFirst } from './plan.ts';

export interface MoveOptions extends CopyOptions {
  /**
   * Images under way at once, at least 1: while one is loaded, the next one travels, and the one behind that
   * is made ready. A source with an order of its own decides by itself.
   */
  readonly jobs: number;
  /** Ends with the plan: no blob is asked for, no image settled. */
  readonly planOnly?: boolean;
}

export interface Ledger {
  /** In the order of the plan. */
  readonly outcomes: readonly Outcome[];
  /** Exit status that the run earned. */
  readonly exit: number;
}

/** Moves all that `source` offers. Throws for what ends the whole run; the failure of one image is an outcome. */
export async function move(source: Source, sink: Sink, options: MoveOptions): Promise<Ledger> {
  const { signal, emit, planOnly = false } = options;
  const started = performance.now();
  const images = await source.images();
  const answers = await source.planned(await sink.plan(images));
  emit({
    event: 'plan',
    images: answers.map((answer) => planImage(answer, sink.store, planOnly)),
    only: planOnly,
  });
  const copies = new Map(answers.map((answer) => [answer, new Copy(source, sink, answer, options)]));
  if (!planOnly) {
    const ordered = sharedFirst(answers).flatMap((answer) => copies.get(answer) ?? []);
    await new Traffic(source, ordered, options).run();
  }
  const outcomes = planOnly
    ? answers
        .filter(({ action }) => action === 'refuse')
        .map((answer): Outcome => ({ ...answer, status: 'refused', error: refusal(answer) }))
    : [...copies.values()].flatMap(({ outcome }) => outcome ?? []);
  const partly = planOnly && outcomes.length > 0 && outcomes.length < answers.length;
  const earned = partly ? new ImgmvError('partial', '').exit : exitOf(outcomes);
  const exit = signal.aborted ? toImgmvError(signal.reason).exit : earned;
  emit({
    event: 'done',
    images: answers.length,
    failed: outcomes.filter((outcome) => outcome.error !== undefined).length,
    bytes: [...copies.values()].reduce((sum, { bytes }) => sum + bytes, 0),
    wireBytes: options.wireBytes(),
    seconds: Math.round(performance.now() - started) / 1000,
    exit,
  });
  return { outcomes, exit };
}

/** When all fail alike that code, 17 when they differ. */
export function exitOf(outcomes: readonly Outcome[]): number {
  const exits = new Set(outcomes.map((outcome) => outcome.error?.exit ?? 0));
  return exits.size > 1 ? new ImgmvError('partial', '').exit : ([...exits][0] ?? 0);
}

/** Which image travels when: one at a time, and meanwhile others are loaded. */
class Traffic {
  readonly #source: Source;
  readonly #options: MoveOptions;
  /** There already, or refused: nothing of them travels. */
  readonly #standing: readonly Copy[];
  /** Those that wait for a turn on the way; the first one is next. */
  readonly #queue: Copy[];
  /** What goes on beside the one that travels. */
  readonly #background: Promise<void>[] = [];
  /** Of those that travel: how many have no outcome yet, and how many of these have had a turn. */
  #left: number;
  #underWay = 0;
  /** Resolves when one has been loaded, or has not; then there is a new one. */
  #change = awaited<undefined>();

  constructor(source: Source, copies: readonly Copy[], options: MoveOptions) {
    this.#source = source;
    this.#options = options;
    const travels = ({ answer }: Copy) => answer.action === 'send' || answer.withdrawn === true;
    this.#standing = copies.filter((copy) => !travels(copy));
    this.#queue = copies.filter(travels);
    this.#left = this.#queue.length;
  }

  /** Resolves when all have an outcome. */
  async run(): Promise<void> {
    this.#beside(this.#settleStanding());
    for (let copy = await this.#next(); copy !== undefined; copy = await this.#next()) {
      if (!copy.begun) this.#underWay++;
      await copy.travel(() => this.#prepareNext());
      if (copy.outcome) await this.#arrived(copy);
      else this.#beside(this.#load(copy));
    }
    await Promise.all(this.#background);
  }

  async #settleStanding(): Promise<void> {
    for (const copy of this.#standing) {
      await copy.settle();
      await this.#tell(copy);
    }
  }

  async #load(copy: Copy): Promise<void> {
    await copy.commit();
    if (copy.outcome) await this.#arrived(copy);
    // Layers that are gone at the sink come before anything new.
    else this.#queue.unshift(copy);
    this.#change.resolve(undefined);
    this.#change = awaited();
  }

  /** Whose turn it is, as soon as it may begin; undefined when all have an outcome. */
  async #next(): Promise<Copy | undefined> {
    while (this.#left > 0) {
      const change = this.#change.promise;
      const copy = await (this.#source.next ? this.#given(change) : this.#chosen(change));
      if (!copy) continue;
      this.#queue.splice(this.#queue.indexOf(copy), 1);
      return copy;
    }
    return undefined;
  }

  /** What has begun holds its place among those under way. */
  #chosen(change: Promise<undefined>): Copy | Promise<undefined> {
    const [head] = this.#queue;
    return head && (head.begun || this.#underWay < this.#options.jobs) ? head : change;
  }

  /** What the source gives next; when it can give no more, all that wait for it have failed. */
  async #given(change: Promise<undefined>): Promise<Copy | undefined> {
    if (this.#queue.length === 0) return change;
    try {
      const image = await Promise.race([this.#source.next?.(), change]);
      const copy = this.#queue.find((one) => one.image === image);
      if (image && !copy) throw new ImgmvError('internal', `image ${image.id} came and was not waited for`);
      return copy;
    } catch (error) {
      for (const copy of this.#queue.splice(0)) {
        if (!copy.begun) this.#underWay++;
        await copy.fail(error);
        await this.#arrived(copy);
      }
      return undefined;
    }
  }

  #prepareNext(): void {
    const next = this.#queue[0]?.answer;
    if (next && !next.withdrawn && this.#options.jobs > 1)
      this.#source.prepare?.(next.image, next.missing, this.#options.signal);
  }

  async #arrived(copy: Copy): Promise<void> {
    this.#left--;
    this.#underWay--;
    await this.#tell(copy);
  }

  async #tell(copy: Copy): Promise<void> {
    if (!copy.outcome) return;
    await this.#source.settled(copy.outcome);
    this.#options.emit(copy.event(copy.outcome));
  }

  #beside(work: Promise<void>): void {
    // Thrown by `run`, when all that travels has.
    work.catch(() => {});
    this.#background.push(work);
  }
}
