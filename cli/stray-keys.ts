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

export class StrayKeys {
  readonly #input: NodeJS.ReadStream;
  readonly #drop = (keys: Buffer | string) => {
    if (keys.includes(CTRL_C)) interrupt();
  };
  #held = false;

  constructor(input: NodeJS.ReadStream) {
    this.#input = input;
    // A terminal that has gone is no fault: the process hears of it by SIGHUP.
    input.on('error', () => {});
  }

  /** From now on what is typed is neither shown nor kept. Ctrl-C becomes a SIGINT of this process. May be called twice. */
  hold(): void {
    if (this.#held) return;
    this.#held = true;
    this.#input.setRawMode(true);
    this.#input.on('data', this.#drop);
    // A listener alone does not start again what a question has paused.
    this.#input.resume();
  }

  /** The terminal works as usual again. May be called twice. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#input.off('data', this.#drop);
    this.#input.pause();
    this.#input.setRawMode(false);
  }

  /** Throws away what was typed and not read yet, and ends with the terminal as usual. */
  async drain(): Promise<void> {
    // The kernel stops a process that reads the terminal from the background.
    if (!inForeground()) return;
    this.hold();
    await sleep(DRAIN_MS);
    this.release();
  }
}

/** Whether the terminal is with this process: fields 5 (pgrp) and 8 (tpgid) of proc_pid_stat(5). */
function inForeground(): boolean {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  // The name of the program, in parentheses, may hold anything.
  const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return group === foreground;
}
