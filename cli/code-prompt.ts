/** The pairing code on the sending host, from a person at a terminal. */
import { openSync } from 'node:fs';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ReadStream } from 'node:tty';
import { parseCode } from '../proto/code.ts';
import { counted } from '../proto/counted.ts';
import { ImgmvError } from '../proto/errors.ts';
import { CODE_WRONG_TRIES_MAX, PENALTY_MAX_MS } from '../proto/limits.ts';
import type { Secret } from '../proto/secret.ts';
import { askLine } from './ask-line.ts';
import { columnsOf } from './screen.ts';
import { StrayKeys } from './stray-keys.ts';
import { wrap } from './wrap.ts';

const TYPED_TRIES_MAX = 3;

export interface CodePromptOptions {
  /** Where the receiver is, as people call it. */
  readonly host: string;
  /** Whether a receiver is there: nobody is asked for the code of one that is not. Throws what dialling would. */
  readonly probe: () => Promise<void>;
  /** Standard input is something else: the terminal is opened by its own name. */
  readonly stdinTaken: boolean;
  /** Called before Ctrl-Z stops this process: leaves the terminal to others. */
  readonly onSuspend: () => void;
  readonly signal: AbortSignal;
}

/**
 * Asks for the code, again while the receiver takes another one. From the first question to `[Symbol.asyncDispose]`
 * nothing that is typed beside an answer shows, or gets to the shell.
 */
export class CodePrompt implements AsyncDisposable {
  readonly #options: CodePromptOptions;
  #terminal: ReadStream | undefined;
  #keys: StrayKeys | undefined;
  #code: Secret | undefined;
  #wrongCodes = 0;

  constructor(options: CodePromptOptions) {
    this.#options = options;
  }

  /**
   * Asks without echo, up to three times for typos. `refused`: why the receiver did not take the code before; it is
   * thrown if no other one would help. Throws the reason of the signal.
   */
  async ask(refused?: ImgmvError): Promise<Secret> {
    if (refused?.code === 'try-later' && this.#code) {
      await this.#wait(refused);
      return this.#code;
    }
    this.#open();
    if (refused) {
      const left = CODE_WRONG_TRIES_MAX - ++this.#wrongCodes;
      if (left <= 0) throw refused;
      say(`${refused.message}: try again (${counted(left, 'try', 'tries')} left)`);
    }
    this.#keys?.hold();
    await this.#options.probe();
    if (!this.#code) show('The first four letters of each word of the pairing code are enough.\n');
    this.#code = await this.#askUntilRead();
    return this.#code;
  }

  /** Runs a question about something else, whose answer shows as it is typed. */
  letAnswer<T>(question: () => Promise<T>): Promise<T> {
    return this.#keys ? this.#keys.letAnswer(question) : question();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#keys?.release();
    await this.#keys?.drain();
    if (this.#options.stdinTaken) this.#terminal?.destroy();
  }

  #open(): ReadStream {
    if (this.#terminal) return this.#terminal;
    const terminal = this.#options.stdinTaken ? openTerminal() : process.stdin;
    if (!terminal?.isTTY)
      throw new ImgmvError('usage', 'there is no terminal to ask for the pairing code on', {
        hint: 'give it with --code-file FILE, or --code-file - for standard input',
      });
    this.#terminal = terminal;
    this.#keys = new StrayKeys(terminal, this.#options.onSuspend);
    return terminal;
  }

  async #askUntilRead(): Promise<Secret> {
    for (let tries = 1; ; tries++) {
      try {
        return parseCode(await this.#askHidden());
      } catch (error) {
        if (!(error instanceof ImgmvError) || error.code !== 'bad-code' || tries === TYPED_TRIES_MAX)
          throw error;
        say(`${error.message}: try again (${triesLeft(TYPED_TRIES_MAX - tries)})`);
      }
    }
  }

  async #askHidden(): Promise<string> {
    const { host, signal } = this.#options;
    const output = new Writable({ write: (_chunk, _encoding, done) => done() });
    const io = { input: this.#open(), output, signal };
    const line = await this.letAnswer(async () => {
      let given = await askLine(io, () =>
        show(`Pairing code that \`imgmv receive\` shows on ${host} (hidden): `),
      );
      // A narrow terminal shows it on several lines, and so it may be pasted.
      while (given !== undefined && /-\s*$/.test(given)) {
        const more = await askLine(io, () => show('\nIts next line (hidden): '));
        given = more === undefined ? undefined : given + more;
      }
      return given;
    });
    if (line !== undefined || signal.aborted) process.stderr.write('\n');
    signal.throwIfAborted();
    if (line === undefined) throw new ImgmvError('usage', 'no pairing code was given');
    return line;
  }

  /** The code stays good meanwhile. Throws `refused` where nobody said how long, or longer than a receiver does. */
  async #wait(refused: ImgmvError): Promise<void> {
    const { signal } = this.#options;
    const { waitMs } = refused;
    if (waitMs === undefined || waitMs > PENALTY_MAX_MS) throw refused;
    say(`${refused.message}: waiting ${waitMs / 1000} s to give it the code; Ctrl-C stops`);
    await sleep(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

function triesLeft(count: number): string {
  return `${counted(count, 'try', 'tries')} left`;
}

function say(text: string): void {
  show(`imgmv: ${text}\n`);
}

function show(text: string): void {
  process.stderr.write(wrap(text, columnsOf(process.stderr)));
}

/** Undefined where this process has no terminal. */
function openTerminal(): ReadStream | undefined {
  try {
    return new ReadStream(openSync('/dev/tty', 'r'));
  } catch {
    return undefined;
  }
}
