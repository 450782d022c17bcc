/** A real terminal, for what its screen shows in the end: more than what was written to it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atExit } from './cleanup.ts';
import { run } from './command.ts';
import { scratchDirectory } from './scratch.ts';

const SHOW_TIMEOUT_MS = 120_000;
const LOOK_INTERVAL_MS = 50;

export interface TmuxOptions {
  readonly columns: number;
  readonly rows: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Disposing of it ends the terminal and all that runs in it. */
export interface Tmux extends AsyncDisposable {
  /** As tmux names keys (`Enter`, `C-c`, `Up`); other text is typed as it is. */
  press(...keys: readonly string[]): Promise<void>;
  /** Its lines, without blanks at their ends; `styled` with the escapes of colours. */
  screen(options?: { readonly styled?: boolean }): Promise<string>;
  /** Resolves with the screen once it matches. */
  shows(what: RegExp): Promise<string>;
  resize(columns: number, rows: number): Promise<void>;
  showsCursor(): Promise<boolean>;
  /** Whether the kernel makes signals of keys such as Ctrl-C, and leaves them to no program. */
  signals(): Promise<boolean>;
  /** Process id of the command. */
  pid(): Promise<number>;
}

/** Runs `command`, the shell's, and shows `exit status N` below what it has left on the screen. */
export async function startTmux(command: string, { columns, rows, env = {} }: TmuxOptions): Promise<Tmux> {
  const scratch = await scratchDirectory();
  // A server of its own: that of whoever runs the tests is none of our business.
  const tmux = ['tmux', '-f', '/dev/null', '-S', join(scratch.path, 'socket')];
  const [program = '', ...server] = tmux;
  const forget = atExit(() => spawnSync(program, [...server, 'kill-server']));
  const size = ['-x', String(columns), '-y', String(rows)];
  const whole = `${command}; echo "exit status $?"; exec cat`;
  await run([...tmux, 'new-session', '-d', ...size, 'sh', '-c', whole], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, LANG: 'C.UTF-8', TERM: 'xterm-256color', ...env },
  });
  const screen = ({ styled = false } = {}) =>
    run([...tmux, 'capture-pane', '-p', ...(styled ? ['-e'] : [])]).then((text) => text.trimEnd());
  const ask = (format: string) => run([...tmux, 'display-message', '-p', format]).then((text) => text.trim());
  return {
    screen,
    async press(...keys) {
      await run([...tmux, 'send-keys', ...keys]);
    },
    async shows(what) {
      const late = performance.now() + SHOW_TIMEOUT_MS;
      for (;;) {
        const text = await screen();
        if (what.test(text)) return text;
        if (performance.now() > late) throw new Error(`did not show ${what}:\n${text}`);
        await sleep(LOOK_INTERVAL_MS);
      }
    },
    async resize(wide, high) {
      await run([...tmux, 'resize-window', '-x', String(wide), '-y', String(high)]);
    },
    async showsCursor() {
      return (await ask('#{cursor_flag}')) === '1';
    },
    async signals() {
      return /(?<!-)\bisig\b/.test(await run(['stty', '--file', await ask('#{pane_tty}'), '--all']));
    },
    async pid() {
      return Number(await run(['pgrep', '--parent', await ask('#{pane_pid}')]));
    },
    async [Symbol.asyncDispose]() {
      await run([...tmux, 'kill-server']).finally(forget);
      await scratch[Symbol.asyncDispose]();
    },
  };
}
