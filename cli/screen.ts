import { Writable } from 'node:stream';

/** Where somebody is asked. */
export interface TerminalIo {
  readonly input: NodeJS.ReadStream;
  /** Standard error, as a rule. */
  readonly output: NodeJS.WriteStream;
  /** Aborted when no answer is wanted any more. */
  readonly signal: AbortSignal;
}

const COLUMNS = 80;
const ROWS = 24;

/** How many columns a line on it may have; infinitely many where it is no terminal. */
export function columnsOf(stream: NodeJS.WritableStream): number {
  const { columns, isTTY } = stream as Partial<NodeJS.WriteStream>;
  return isTTY ? columns || COLUMNS : Number.POSITIVE_INFINITY;
}

/**
 * A terminal to draw on. Serial lines and some pseudo-terminals say that they have no columns and no rows: those are
 * taken for ones of the usual size. Disposing of it leaves the terminal as it is.
 */
export class Screen extends Writable implements Disposable {
  readonly color: boolean;
  readonly #terminal: NodeJS.WriteStream;
  readonly #onResize = () => this.emit('resize');

  constructor(terminal: NodeJS.WriteStream) {
    super({ decodeStrings: false });
    this.#terminal = terminal;
    this.color = !process.env.NO_COLOR;
    terminal.on('resize', this.#onResize);
  }

  get columns(): number {
    return columnsOf(this.#terminal);
  }

  get rows(): number {
    return this.#terminal.rows || ROWS;
  }

  override _write(chunk: string, _encoding: BufferEncoding, done: () => void): void {
    // Of a terminal that has gone the process hears by SIGHUP.
    this.#terminal.write(chunk, () => done());
  }

  [Symbol.dispose](): void {
    this.#terminal.off('resize', this.#onResize);
  }
}
