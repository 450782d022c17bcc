/**
 * The zstd level that follows the link: up while the network is what we wait for, down while it keeps up.
 * ENGINE-like figures behind the bounds: `npm run bench` prints what each level costs on this machine.
 */
import { ZSTD_LEVEL_MIN } from '../../proto/limits.ts';

const START = 3;
/** Above, a level costs twice the time for a hundredth of the bytes. */
const AUTOMATIC_MAX = 7;
const LOOK_INTERVAL_MS = 200;
/** Shares of an interval that was spent waiting for the kernel to take bytes. */
const NETWORK_IS_LIMIT = 0.5;
const NETWORK_KEEPS_UP = 0.05;

export class LevelPolicy {
  readonly #pinned: number | undefined;
  readonly #networkWaitMs: () => number;
  readonly #now: () => number;
  #level = START;
  #lookedAt: number;
  #waitedBefore = 0;

  /** `networkWaitMs` rises by the time spent waiting for the network; `now` is monotonic, in milliseconds. */
  constructor(
    pinned: number | undefined,
    networkWaitMs: () => number,
    now: () => number = () => performance.now(),
  ) {
    this.#pinned = pinned;
    this.#networkWaitMs = networkWaitMs;
    this.#now = now;
    this.#lookedAt = now();
  }

  /** The level for the next bytes. */
  level(): number {
    if (this.#pinned !== undefined) return this.#pinned;
    const now = this.#now();
    const elapsed = now - this.#lookedAt;
    if (elapsed < LOOK_INTERVAL_MS) return this.#level;
    const waited = this.#networkWaitMs();
    const share = (waited - this.#waitedBefore) / elapsed;
    if (share > NETWORK_IS_LIMIT) this.#level = Math.min(AUTOMATIC_MAX, this.#level + 1);
    else if (share < NETWORK_KEEPS_UP) this.#level = Math.max(ZSTD_LEVEL_MIN, this.#level - 1);
    this.#lookedAt = now;
    this.#waitedBefore = waited;
    return this.#level;
  }
}
