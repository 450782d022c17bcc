/** Work that is done one after the other, in the order in which it was asked for, whatever becomes of that before. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  async idle(): Promise<void> {
    await this.#last;
  }
}
