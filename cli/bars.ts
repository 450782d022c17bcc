/** Live bars on a terminal, one a line, under whatever was printed before. */
import { MultiBar, Presets, type SingleBar } from 'cli-progress';

/** From here on a bar of full length leaves room for the words. */
const WIDE_COLUMNS = 100;
const NAME_MAX_CHARACTERS = 32;

export interface BarState {
  /** Free of control characters, as `words` is. */
  readonly name: string;
  readonly bytes: number;
  readonly bytesTotal: number;
  readonly words: string;
}

export class Bars {
  readonly #stream: NodeJS.WriteStream;
  #all: MultiBar | undefined;
  readonly #shown = new Map<string, SingleBar>();

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** Draws the bar of `key`, a new one below the others. */
  draw(key: string, { name, bytes, bytesTotal, words }: BarState): void {
    this.#all ??= this.#start();
    const short = name.length > NAME_MAX_CHARACTERS ? `…${name.slice(1 - NAME_MAX_CHARACTERS)}` : name;
    const payload = { name: short, words };
    const bar = this.#shown.get(key) ?? this.#all.create(Math.max(1, bytesTotal), 0, payload);
    this.#shown.set(key, bar);
    bar.setTotal(Math.max(1, bytesTotal));
    bar.update(Math.min(bytes, bytesTotal), payload);
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
        format: ' {name} {bar} {words}',
        barsize: this.#stream.columns >= WIDE_COLUMNS ? 24 : 12,
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
