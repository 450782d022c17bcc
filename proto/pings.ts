/** PINGs of a lane that wait for their PONG. */

/** At once; more are of a peer that answers none of them. */
const PINGS_MAX = 64;

export class Pings {
  readonly #waiting = new Map<number, (at?: number) => void>();
  #count = 0;

  /** `send` sends one. Resolves with the round trip in milliseconds, or with undefined once it is forgotten. */
  async ask(send: (id: number) => void): Promise<number | undefined> {
    if (this.#waiting.size >= PINGS_MAX) this.forget();
    const started = performance.now();
    const id = ++this.#count;
    const answered = new Promise<number | undefined>((resolve) => this.#waiting.set(id, resolve));
    send(id);
    const at = await answered;
    return at === undefined ? undefined : at - started;
  }

  /** A PONG that nobody asked for is no fault. */
  answer(id: number): void {
    this.#waiting.get(id)?.(performance.now());
    this.#waiting.delete(id);
  }

  forget(): void {
    for (const resolve of this.#waiting.values()) resolve();
    this.#waiting.clear();
  }
}
