/** Live bars on a terminal, one a line, under whatever was printed before. */
import { MultiBar, Presets, type SingleBar } from 'cli-progress';
import { type BarState, barLine } from './bar-line.ts';

export class Bars {
  readonly #stream: NodeJS.WriteStream;
  #all: MultiBar | undefined;
  readonly #shown = new Map<string, SingleBar>();

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** Draws the bar of `key`, a new one below the others. */
  draw(key: string, state: BarState): void {
    this.#all ??= this.#start();
    const { bytes, bytesTotal } = state;
    const bar = this.#shown.get(key) ?? this.#all.create(Math.max(1, bytesTotal), 0, { state });
    this.#shown.set(key, bar);
    bar.setTotal(Math.max(1, bytesTotal));
    bar.update(Math.min(bytes, bytesTotal), { state });
  }

  /** Takes all bars off the screen, for other lines to be written; those that are drawn again come back below. */
  clear(): void {
    this.#all?.stop();
    this.#all = undefined;
    this.#shown.clear();
  }

  #start(): MultiBar {
    return new MultiBar(
      {
        stream: this.#stream,
        format: (_options, { maxWidth }, { state }: { state: BarState }) => barLine(state, maxWidth),
        hideCursor: true,
        clearOnComplete: true,
        stopOnComplete: false,
        linewrap: false,
        gracefulExit: false,
      },
      Presets.shades_classic,
    );
  }
}
