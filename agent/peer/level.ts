/**
 * The zstd level that follows the link: up while we wait for the link, down while the link waits for us, and none
 * at all where the link stands ready and the processors of this host have no time left.
 * `npm run bench` prints what it comes to on a fast and on a slow link.
 */
import { LEVEL_STORED } from '../../proto/compression.ts';
import { ZSTD_LEVEL_MIN } from '../../proto/limits.ts';

/** What a small image is sent with, before anything is known of the link. */
const START = 3;
/** Looks in a row that must find the link full: a reader that was late once is no slow link. */
const FULL_LOOKS = 2;
/** Looks in a row that must find the reader busy: it tells every half second, and an engine may hiccup. */
const BUSY_LOOKS = 4;
/** Above, a level costs twice the time for a hundredth of the bytes. */
const AUTOMATIC_MAX = 7;
/** Looks in a row that must find the processors full: what is stored is two or three times the bytes. */
const PRESSED_LOOKS = 3;
const LOOK_INTERVAL_MS = 200;
/** The first look comes later: a changed layer of some megabytes is through by then, and its bytes count more. */
const FIRST_LOOK_MS = 600;
/** Share of the time that goes into waiting for the socket: from here on the link is the limit. */
const FULL_SHARE = 0.4;
/** Below, the link stands ready for more than we have. */
const DRY_SHARE = 0.05;
/** Less of their time than this, and the processors are full. */
const IDLE_SHARE = 0.1;
/** From here on the link would rather have fewer bytes. */
const STORED_SHARE_MAX = 0.2;

/** What the policy looks at. */
export interface Link {
  /** Milliseconds so far that the writer has waited for the socket to take more. */
  readonly socketMs: number;
  /** Whether the other side says that it waits for bytes: else the socket is full because it is slow, not the link. */
  readonly readerWaits: boolean;
  /** Share of the time since the last look in which this host's processors had nothing to do. */
  readonly idleShare: number;
}

export class LevelPolicy {
  readonly #pinned: number | undefined;
  readonly #look: () => Link;
  readonly #now: () => number;
  #level = START;
  #began: number | undefined;
  #fullLooks = 0;
  #busyLooks = 0;
  #pressedLooks = 0;
  /** Whether it was tried, and the link could not take it. */
  #storedInVain = false;
  #lookedAt: number | undefined;
  #socketMs = 0;

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
    const { socketMs, readerWaits, idleShare } = this.#look();
    const share = (socketMs - this.#socketMs) / elapsedMs;
    this.#lookedAt = now;
    this.#socketMs = socketMs;
    this.#fullLooks = readerWaits && share >= FULL_SHARE ? this.#fullLooks + 1 : 0;
    this.#busyLooks = readerWaits ? 0 : this.#busyLooks + 1;
    if (this.#level === LEVEL_STORED) {
      this.#storedInVain = share >= STORED_SHARE_MAX;
      if (this.#storedInVain) this.#level = ZSTD_LEVEL_MIN;
      return this.#level;
    }
    const pressed = this.#level === ZSTD_LEVEL_MIN && share < DRY_SHARE && idleShare < IDLE_SHARE;
    this.#pressedLooks = pressed ? this.#pressedLooks + 1 : 0;
    if (this.#pressedLooks >= PRESSED_LOOKS && !this.#storedInVain) this.#level = LEVEL_STORED;
    else if (first && this.#fullLooks === 0) this.#level = ZSTD_LEVEL_MIN;
    else if (this.#busyLooks >= BUSY_LOOKS || share < DRY_SHARE)
      this.#level = Math.max(ZSTD_LEVEL_MIN, this.#level - 1);
    else if (this.#fullLooks >= FULL_LOOKS) this.#level = Math.min(AUTOMATIC_MAX, this.#level + 1);
    return this.#level;
  }
}
