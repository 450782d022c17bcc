/**
 * The zstd level that follows the link: up while we wait for the link, down while the link waits for us.
 * `npm run bench` prints what it comes to on a fast and on a slow link.
 */
import { ZSTD_LEVEL_MIN } from '../../proto/limits.ts';

/** What a small image is sent with, before anything is known of the link. */
const START = 3;
/** Looks in a row that must find the link full: a reader that was late once is no slow link. */
const FULL_LOOKS = 2;
/** Looks in a row that must find the reader busy: it tells every half second, and an engine may hiccup. */
const BUSY_LOOKS = 4;
/** Above, a level costs twice the time for a hundredth of the bytes. */
const AUTOMATIC_MAX = 7;
const LOOK_INTERVAL_MS = 200;
/** The first look comes later: a changed layer of some megabytes is through by then, and its bytes count more. */
const FIRST_LOOK_MS = 600;
/** Share of the time that goes into waiting for the link: from here on the link is the limit. */
const FULL_SHARE = 0.4;
/** Below, the link stands ready for more than we have. */
const DRY_SHARE = 0.05;

export interface Link {
  /** Milliseconds so far that the writer has waited for the link: the socket, or a limit of either side. */
  readonly linkMs: number;
  /** Whether the other side says that it waits for bytes: else the socket is full because it is slow, not the link. */
  readonly readerWaits: boolean;
}

export class LevelPolicy {
  readonly #pinned: number | undefined;
  readonly #look: () => Link;
  readonly #now: () => number;
  #level = START;
  #began: number | undefined;
  #fullLooks = 0;
  #busyLooks = 0;
  #lookedAt: number | undefined;
  #linkMs = 0;

  /** `pinned` switches the policy off; `now` is monotonic, in milliseconds. */
  constructor(pinned: number | undefined, look: () => Link, now: () => number = () => performance.now()) {
    this.#pinned = pinned;
    this.#look = look;
    this.#now = now;
  }

  /** The level for the next bytes; looks five times a second at most, and moves by one but for the first time. */
  level(): number {
    if (this.#pinned !== undefined) return this.#pinned;
    const now = this.#now();
    this.#began ??= now;
    this.#lookedAt ??= now;
    const elapsedMs = now - this.#lookedAt;
    const first = this.#lookedAt === this.#began;
    if (elapsedMs < (first ? FIRST_LOOK_MS : LOOK_INTERVAL_MS)) return this.#level;
    const { linkMs, readerWaits } = this.#look();
    const share = (linkMs - this.#linkMs) / elapsedMs;
    this.#lookedAt = now;
    this.#linkMs = linkMs;
    this.#fullLooks = readerWaits && share >= FULL_SHARE ? this.#fullLooks + 1 : 0;
    this.#busyLooks = readerWaits ? 0 : this.#busyLooks + 1;
    if (first && this.#fullLooks === 0) this.#level = ZSTD_LEVEL_MIN;
    else if (this.#busyLooks >= BUSY_LOOKS || share < DRY_SHARE)
      this.#level = Math.max(ZSTD_LEVEL_MIN, this.#level - 1);
    else if (this.#fullLooks >= FULL_LOOKS) this.#level = Math.min(AUTOMATIC_MAX, this.#level + 1);
    return this.#level;
  }
}
