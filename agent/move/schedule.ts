/** Which image of a round travels when: one at a time, and meanwhile others are loaded, and pushed on. */

import { deferred } from '../../proto/deferred.ts';
import type { SourceImage } from '../model/source.ts';
import type { Passage } from './passage.ts';

export interface Transfer {
  readonly from: SourceImage;
  readonly passage: Passage;
}

export interface ScheduleOptions {
  readonly signal: AbortSignal;
  /** See MoveOptions. */
  readonly jobs: number;
  readonly onEnd: (passage: Passage) => void;
}

export class Schedule {
  readonly #options: ScheduleOptions;
  /** There already, or refused: nothing of them travels. */
  readonly #standing: readonly Transfer[];
  /** Those that wait for a turn on the way; the first one is next. */
  readonly #queue: Transfer[];
  /** What goes on beside the one that travels. */
  readonly #background: Promise<void>[] = [];
  /** Of those that travel: how many are not in the sink yet, and how many of these have had a turn. */
  #left: number;
  #underWay = 0;
  /** Resolves when one has been loaded, or has not; then there is a new one. */
  #change = deferred<void>();

  constructor(transfers: readonly Transfer[], options: ScheduleOptions) {
    this.#options = options;
    this.#standing = transfers.filter(({ passage }) => !passage.travels);
    this.#queue = transfers.filter(({ passage }) => passage.travels);
    this.#left = this.#queue.length;
  }

  async run(): Promise<void> {
    this.#beside(this.#settleStanding());
    for (let next = await this.#next(); next !== undefined; next = await this.#next()) {
      const { passage } = next;
      if (!passage.begun) this.#underWay++;
      await this.#travel(next);
      if (passage.outcome) this.#arrived(passage);
      else this.#beside(this.#load(next));
    }
    // What goes on may bring more of it.
    for (const work of this.#background) await work;
  }

  async #settleStanding(): Promise<void> {
    for (const { passage } of this.#standing) {
      await passage.settle();
      this.#beside(this.#end(passage));
    }
  }

  async #travel({ from, passage }: Transfer): Promise<void> {
    passage.travelling();
    try {
      await passage.open();
      let blobs = 0;
      for await (const blob of from.blobs(passage.wanted, this.#options.signal)) {
        if (blobs++ === 0) this.#prepareNext();
        await passage.write(blob);
      }
    } catch (error) {
      await passage.fail(error);
    } finally {
      passage.wasRead(from.readBy());
      passage.travelled();
    }
  }

  async #load(transfer: Transfer): Promise<void> {
    const { from, passage } = transfer;
    await passage.commit();
    if (passage.outcome || passage.committed) this.#arrived(passage);
    else {
      from.prepare(passage.wanted, this.#options.signal);
      // Layers that are gone at the sink come before anything new.
      this.#queue.unshift(transfer);
    }
    this.#change.resolve();
    this.#change = deferred();
  }

  /** Whose turn it is, as soon as it may begin; undefined when all are in the sink, or failed. */
  async #next(): Promise<Transfer | undefined> {
    while (this.#left > 0) {
      const [head] = this.#queue;
      // What has begun holds its place among those under way.
      if (head && (head.passage.begun || this.#underWay < this.#options.jobs)) return this.#queue.shift();
      await this.#change.promise;
    }
    return undefined;
  }

  #prepareNext(): void {
    const [next] = this.#queue;
    if (next && this.#options.jobs > 1) next.from.prepare(next.passage.wanted, this.#options.signal);
  }

  /** It makes room for the next one, whatever becomes of its push. */
  #arrived(passage: Passage): void {
    this.#left--;
    this.#underWay--;
    this.#beside(this.#end(passage));
  }

  async #end(passage: Passage): Promise<void> {
    await passage.pushed();
    this.#options.onEnd(passage);
  }

  #beside(work: Promise<void>): void {
    // Thrown by `run`, when all that travels has.
    work.catch(() => {});
    this.#background.push(work);
  }
}
