/** Which image of a round travels when: one at a time, and meanwhile others are loaded. */
import { ImgmvError } from '../../proto/errors.ts';
import type { Source } from '../model/image.ts';
import { awaited } from '../streams/awaited.ts';
import type { Copy } from './copy.ts';

export interface TrafficOptions {
  readonly signal: AbortSignal;
  /** See MoveOptions. */
  readonly jobs: number;
  /** Told as soon as an image has an outcome, after the source was. */
  readonly onEnd: (copy: Copy) => void;
}

export class Traffic {
  readonly #source: Source;
  readonly #options: TrafficOptions;
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

  constructor(source: Source, copies: readonly Copy[], options: TrafficOptions) {
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
    try {
      if (copy.outcome) await this.#arrived(copy);
      // Layers that are gone at the sink come before anything new.
      else this.#queue.unshift(copy);
    } finally {
      this.#change.resolve(undefined);
      this.#change = awaited();
    }
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
    this.#options.onEnd(copy);
  }

  #beside(work: Promise<void>): void {
    // Thrown by `run`, when all that travels has.
    work.catch(() => {});
    this.#background.push(work);
  }
}
