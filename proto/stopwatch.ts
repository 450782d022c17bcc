/** How long something was waited for so far, the wait that goes on included: a stall shows while it lasts. */
export class Stopwatch {
  #pastMs = 0;
  #since: number | undefined;

  get ms(): number {
    return this.#pastMs + (this.#since === undefined ? 0 : performance.now() - this.#since);
  }

  /** Counts until `work` has settled. One wait at a time. */
  async during<T>(work: PromiseLike<T>): Promise<T> {
    this.#since = performance.now();
    try {
      return await work;
    } finally {
      this.#pastMs = this.ms;
      this.#since = undefined;
    }
  }

  /** Gives what `source` gives, and counts while it is waited for. */
  async *over<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
    const items = source[Symbol.asyncIterator]();
    let given = false;
    try {
      for (;;) {
        given = false;
        const next = await this.during(items.next());
        if (next.done) return;
        given = true;
        yield next.value;
      }
    } finally {
      // As `for await` does: a source that has ended or failed by itself is left alone.
      if (given) await items.return?.();
    }
  }
}
