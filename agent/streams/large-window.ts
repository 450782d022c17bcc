/**
 * Turns for zstd with a large window, which costs its size in memory: one compressed archive has one at a time, and
 * one layer, which may be inside of it. Two, since the archive cannot go on before its layer has been read.
 */
import { Decompressor } from '../../proto/compression.ts';
import { ZSTD_LONG_WINDOW_LOG_MAX } from './limits.ts';

class LargeWindow {
  /** One for all: what zstd holds for a window is freed only a while after it is garbage. */
  #decompressor: Decompressor | undefined;
  #holder: Turn | undefined;
  readonly #waiting: (() => void)[] = [];

  async take(turn: Turn): Promise<Decompressor> {
    while (this.#holder) {
      const { giveWay } = this.#holder;
      if (giveWay) await giveWay();
      else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#holder = turn;
    this.#decompressor ??= new Decompressor(ZSTD_LONG_WINDOW_LOG_MAX);
    return this.#decompressor;
  }

  give(turn: Turn): void {
    if (this.#holder === turn) this.#holder = undefined;
    this.wake();
  }

  wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

const WINDOWS = { archive: new LargeWindow(), layer: new LargeWindow() };

/** Of one stream that is decompressed. */
export class Turn {
  readonly #window: LargeWindow;
  /** Undefined while it is read. */
  giveWay: (() => Promise<void>) | undefined;

  constructor(of: keyof typeof WINDOWS) {
    this.#window = WINDOWS[of];
  }

  /** Waits until nobody else has the window. To be given back with `end`, by whoever has it. */
  begin(): Promise<Decompressor> {
    return this.#window.take(this);
  }

  end(): void {
    this.#window.give(this);
  }

  /** The stream stands still: `end` ends it, for somebody else who waits. */
  standStill(end: () => Promise<void>): void {
    this.giveWay = end;
    this.#window.wake();
  }
}
