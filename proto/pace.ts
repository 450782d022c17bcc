/** Keeps bytes to a rate: what goes too fast waits. One pace may be shared by several lanes, in the order they ask. */

/** How much of what was not used in time may be made up for: a timer is late by some milliseconds, and no more than that. */
const CATCH_UP_MS = 50;
/** A step is what goes at once: short enough for an even flow, long enough for its timer to be worth it. */
const STEPS_PER_SECOND = 20;
const STEP_MIN_BYTES = 1024;

export class Pace {
  /** The most that should be asked for at once. */
  readonly stepBytes: number;
  readonly #bytesPerMs: number;
  readonly #now: () => number;
  /** When all that was asked for so far has had its time. */
  #paidUntilMs = 0;

  /** `bytesPerSecond` is above 0; `now` gives milliseconds that never jump. */
  constructor(bytesPerSecond: number, now: () => number = () => performance.now()) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.stepBytes = Math.max(STEP_MIN_BYTES, Math.floor(bytesPerSecond / STEPS_PER_SECOND));
    this.#now = now;
  }

  /** Takes a turn for `bytes`, and says how many milliseconds to wait until it comes; 0 for none. */
  reserve(bytes: number): number {
    const now = this.#now();
    const turn = Math.max(this.#paidUntilMs, now - CATCH_UP_MS);
    this.#paidUntilMs = turn + bytes / this.#bytesPerMs;
    return Math.max(0, turn - now);
  }
}

/** Those of one lane that wait for their turns. */
export class Waits {
  readonly #waiting = new Set<() => void>();

  /** Resolves after `ms`, or when it is woken. */
  async wait(ms: number): Promise<void> {
    if (ms <= 0) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#waiting.add(done);
    });
  }

  wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}
