/**
 * What is typed at a terminal while no question is open. A pairing code that was pasted too late must neither show nor
 * reach the shell that reads the terminal next.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { interrupt } from './stop.ts';

/** A paste arrives in pieces, a moment apart. */
const DRAIN_MS = 100;
const CTRL_C = '\u0003';
const CTRL_Z = '\u001a';
const CTRL_BACKSLASH = '\u001c';

/**
 * Node puts the terminal back when the process exits, also by a second SIGINT. A signal that ends it at once is ours to
 * see to.
 */
const ENDS_AT_ONCE = 'SIGQUIT';

export class StrayKeys {
  readonly #input: NodeJS.ReadStream;
  readonly #onSuspend: () => void;
  /** `hold` was called, and not `release`. */
  #wanted = false;
  /** Questions that are open. */
  #questions = 0;
  #held = false;
  readonly #drop = (keys: Buffer | string) => {
    if (keys.includes(CTRL_C)) interrupt();
    if (keys.includes(CTRL_BACKSLASH)) this.#quit();
    if (keys.includes(CTRL_Z)) this.#suspend();
  };
  readonly #quit = () => {
    this.#giveBack();
    process.kill(process.pid, ENDS_AT_ONCE);
  };
  /** A shell has had the terminal meanwhile, and may have it still. */
  readonly #goOn = () => {
    if (inBackground()) return void this.#input.pause();
    if (this.#held) this.#giveBack();
    else process.off('SIGCONT', this.#goOn);
    this.#settle();
  };

  /** `onSuspend` is called before Ctrl-Z stops the process. */
  constructor(input: NodeJS.ReadStream, onSuspend = () => {}) {
    this.#input = input;
    this.#onSuspend = onSuspend;
    // A terminal that has gone is no fault: the process hears of it by SIGHUP.
    input.on('error', () => {});
  }

  /**
   * From now on what is typed is neither shown nor kept. Ctrl-C becomes a SIGINT of this process; Ctrl-Z and Ctrl-\ do
   * what they usually do. May be called twice.
   */
  hold(): void {
    this.#wanted = true;
    this.#settle();
  }

  /** The terminal works as usual again. May be called twice. */
  release(): void {
    this.#wanted = false;
    this.#settle();
  }

  /** Runs a question, whose answer is for whoever asks. Several may be open. */
  async letAnswer<T>(question: () => Promise<T>): Promise<T> {
    this.#questions++;
    this.#settle();
    try {
      return await question();
    } finally {
      this.#questions--;
      this.#settle();
    }
  }

  /** Throws away what was typed and not read yet, and ends with the terminal as usual. */
  async drain(): Promise<void> {
    if (inBackground()) return;
    this.hold();
    await sleep(DRAIN_MS);
    this.release();
  }

  #settle(): void {
    const due = this.#wanted && this.#questions === 0;
    if (due && !this.#held) this.#take();
    if (!due && this.#held) this.#giveBack();
  }

  #take(): void {
    this.#held = true;
    process.on(ENDS_AT_ONCE, this.#quit);
    process.on('SIGCONT', this.#goOn);
    this.#input.setRawMode(true);
    this.#input.on('data', this.#drop);
    // A listener alone does not start again what a question has paused.
    this.#input.resume();
  }

  #giveBack(): void {
    this.#held = false;
    process.off(ENDS_AT_ONCE, this.#quit);
    process.off('SIGCONT', this.#goOn);
    this.#input.off('data', this.#drop);
    this.#input.pause();
    if (!inBackground()) this.#input.setRawMode(false);
  }

  /** As the kernel does it: with whatever runs beside this process, in a pipe for example. */
  #suspend(): void {
    this.#onSuspend();
    this.#giveBack();
    process.on('SIGCONT', this.#goOn);
    process.kill(0, 'SIGTSTP');
    // Where no shell could let it go on, the kernel does not stop it.
    setImmediate(this.#goOn);
  }
}

/**
 * Whether the terminal is with another process, such as the shell; the kernel stops whoever reads or sets it then.
 * Fields 5 (pgrp) and 8 (tpgid, -1 for none) of proc_pid_stat(5).
 */
function inBackground(): boolean {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  // The name of the program, in parentheses, may hold anything.
  const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return foreground !== '-1' && group !== foreground;
}
