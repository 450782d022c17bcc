/** The processes of ssh that this one starts, and their ends as streams. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { Duplex, type Readable, type Writable } from 'node:stream';

const WORDS_MAX_CHARACTERS = 4 * 1024;
const WORDS_MAX_LINES = 3;

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

export interface Ssh {
  readonly child: Child;
  /** Resolves when the process has ended. */
  readonly ended: Promise<unknown>;
  /** The same, and all that it wrote has come. */
  readonly closed: Promise<unknown>;
  /** What it wrote on its standard error; the last of it, where that is much. */
  said(): string;
  /** The last lines of that, in one. */
  words(): string;
}

/** `apart`: signals of our terminal, such as Ctrl-C, do not reach it. */
export function start(command: string, args: readonly string[], apart = false): Ssh {
  const child = spawn(command, args, { stdio: 'pipe', detached: apart });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (more: string) => {
    said = (said + more).slice(-WORDS_MAX_CHARACTERS);
  });
  // A process that is gone is known by its end.
  child.stdin.on('error', () => {});
  child.on('error', () => {});
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const closed = new Promise((resolve) => child.once('close', resolve));
  const words = () =>
    said
      .trim()
      .split(/\s*\n\s*/)
      .slice(-WORDS_MAX_LINES)
      .join(' ');
  return { child, ended, closed, said: () => said, words };
}

export function duplexOf(child: Child): Duplex {
  const duplex = Duplex.from({ readable: child.stdout, writable: child.stdin });
  duplex.once('close', () => child.kill());
  // Not of a request: an agent that drops an idle one asks nobody, and what is no socket takes that for an error.
  duplex.on('error', () => {});
  // node:http calls these, because it takes the stream for a TCP socket.
  return Object.assign(duplex, {
    setKeepAlive: () => duplex,
    setNoDelay: () => duplex,
    setTimeout: () => duplex,
    ref: () => {
      for (const handle of handlesOf(child)) handle.ref();
    },
    unref: () => {
      for (const handle of handlesOf(child)) handle.unref();
    },
  });
}

/** What keeps our process alive. */
export function handlesOf(child: Child): readonly { ref(): void; unref(): void }[] {
  return [child, child.stdin as Socket, child.stdout as Socket, child.stderr as Socket];
}
