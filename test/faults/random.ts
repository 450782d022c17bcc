/** Choices that look random and are the same for the same seed. */
export class Random {
  #state: number;

  /** `parts` make one seed, so that the choices of one round do not depend on how many were made before it. */
  constructor(...parts: readonly number[]) {
    this.#state = 0;
    for (const part of parts) this.#state = Math.imul(this.#state ^ part, 0x9e3779b1) ^ (this.#state >>> 15);
    // Seeds that are close to each other begin alike.
    for (let step = 0; step < 8; step++) this.next();
  }

  /** From 0, less than 1: mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** In steps of a thousandth, so that it reads well where it is shown. */
  between(from: number, to: number): number {
    return Math.round((from + this.next() * (to - from)) * 1_000) / 1_000;
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new Error('pick: the list is empty');
    return list[Math.floor(this.next() * list.length)] as T;
  }

  /** So many different ones of the list, in random order. */
  some<T>(count: number, list: readonly T[]): T[] {
    const left = [...list];
    return Array.from({ length: Math.min(count, left.length) }, () => {
      const picked = this.pick(left);
      left.splice(left.indexOf(picked), 1);
      return picked;
    });
  }
}
