/**
 * The zstd level that follows the link: up while bytes pile up on their way, down while the link stands ready
 * for more. `npm run bench` prints what it comes to on a fast and on a slow link.
 */
import { ZSTD_LEVEL_MIN } from '../../proto/limits.ts';

const START = 1;
/** Looks in a row that must find the link full: a reader that was late once is no slow link. */
const FULL_LOOKS = 2;
/** Looks in a row that must find the reader busy: it tells every half second, and an engine may hiccup. */
const BUSY_LOOKS = 4;
/** Above, a level costs twice the time for a hundredth of the bytes. */
const AUTOMATIC_MAX = 7;
const LOOK_INTERVAL_MS = 200;
const MIB = 1024 * 1024;
/** Our socket's backlog and the kernel's buffers stand between half full and full: 1.6 to 2.9 MiB at 100 Mbit/s. */
const LINK_IS_FULL_BYTES = 1.5 * MIB;
/** So little that a pause of ours would leave the link idle. Readers tell what they took by the half MiB. */
const LINK_RUNS_DRY_BYTES = 0.75 * MIB;

/** What the policy looks at. */
export interface Link {
  /** Bytes that were written and that the other side has not taken yet. */
  readonly inFlightBytes: number;
  /** Whether the other side says that it waits for bytes: else they pile up because it is slow, not the link. */
  readonly readerWaits: boolean;
}

export class LevelPolicy {
  readonly #pinned: number | undefined;
  readonly #look: () => Link;
  readonly #now: () => number;
  #level = START;
  #fullLooks = 0;
  #busyLooks = 0;
  #lookedAt: number | undefined;

  /** `pinned` switches the policy off; `now` is monotonic, in milliseconds. */
  constructor(pinned: number | undefined, look: () => Link, now: () => number = () => performance.now()) {
    this.#pinned = pinned;
    this.#look = look;
    this.#now = now;
  }

  /** The level for the next bytes; moves by one at a time, five times a second at most. */
  level(): number {
    if (this.#pinned !== undefined) return this.#pinned;
    const now = this.#now();
    this.#lookedAt ??= now;
    if (now - this.#lookedAt < LOOK_INTERVAL_MS) return this.#level;
    this.#lookedAt = now;
    const { inFlightBytes, readerWaits } = this.#look();
    const isFull = readerWaits && inFlightBytes > LINK_IS_FULL_BYTES;
    this.#fullLooks = isFull ? this.#fullLooks + 1 : 0;
    this.#busyLooks = readerWaits ? 0 : this.#busyLooks + 1;
    if (this.#busyLooks >= BUSY_LOOKS || inFlightBytes < LINK_RUNS_DRY_BYTES)
      this.#level = Math.max(ZSTD_LEVEL_MIN, this.#level - 1);
    else if (this.#fullLooks >= FULL_LOOKS) this.#level = Math.min(AUTOMATIC_MAX, this.#level + 1);
    return this.#level;
  }
}
