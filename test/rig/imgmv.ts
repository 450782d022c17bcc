/** Runs the built command line, as users do, and follows what it says. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { atExit } from './cleanup.ts';

/** The program that `npm run build` makes. */
export const IMGMV = fileURLToPath(new URL('../../dist/imgmv.js', import.meta.url));

/** Whatever can place a command on a host: it gives the command line that runs it there. */
export interface Place {
  argv(command: readonly string[]): string[];
}

export interface ImgmvOptions {
  /** The host to run on, see hosts.ts; this one when left out. */
  readonly host?: Place;
  /** Added to the environment, which otherwise holds PATH and HOME alone. */
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input as a whole; nothing when left out. */
  readonly input?: string;
  readonly cwd?: string;
  /** Another build; {@link IMGMV} when left out. */
  readonly program?: string;
  /** A single executable, in place of Node and a build. */
  readonly executable?: string;
}

/** One line of `--json`. */
export interface JsonEvent {
  readonly event: string;
  readonly time: string;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running imgmv; disposing of it kills it and waits for its end. */
export interface Imgmv extends AsyncDisposable {
  readonly pid: number;
  /** All that was written so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** The lines of standard output that are objects with an `event`: from the first one, until the end. */
  readonly events: AsyncIterable<JsonEvent>;
  /** Comes when the process has ended and all its output was read; never rejects. */
  readonly exit: Promise<Exit>;
  /** The first event of this name, be it past or to come; rejects if the process ends or the time is up first. */
  waitFor(event: string, timeoutMs?: number): Promise<JsonEvent>;
  kill(signal?: NodeJS.Signals): void;
}

const WAIT_TIMEOUT_MS = 150_000;

export function runImgmv(args: readonly string[], options: ImgmvOptions = {}): Imgmv {
  const { executable, program: build = IMGMV } = options;
  const command = [...(executable === undefined ? [process.execPath, build] : [executable]), ...args];
  const [program = '', ...rest] = options.host?.argv(command) ?? command;
  const child = spawn(program, rest, {
    cwd: options.cwd,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => {}); // it need not read its input
  child.stdin.end(options.input);
  return new Run(child);
}

/** All that it told, once it has ended. */
export async function toldBy(imgmv: Imgmv): Promise<readonly JsonEvent[]> {
  const told: JsonEvent[] = [];
  for await (const event of imgmv.events) told.push(event);
  return told;
}

class Run implements Imgmv {
  stdout = '';
  stderr = '';
  readonly exit: Promise<Exit>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #events: JsonEvent[] = [];
  /** Called at every new event and at the end. */
  readonly #watchers = new Set<() => void>();
  #ended = false;

  constructor(child: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.#child = child;
    const forget = atExit(() => child.kill('SIGKILL'));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    const lines = createInterface({ input: child.stdout }).on('line', (line) => this.#read(line));
    const closed = new Promise<Exit>((resolve) => {
      child.once('error', (error) => {
        this.stderr += error.message;
        resolve({ code: null, signal: null });
      });
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    this.exit = Promise.all([closed, once(lines, 'close')]).then(([exit]) => {
      forget();
      this.#ended = true;
      this.#notify();
      return exit;
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get events(): AsyncIterable<JsonEvent> {
    return this.#follow();
  }

  async waitFor(event: string, timeoutMs = WAIT_TIMEOUT_MS): Promise<JsonEvent> {
    const deadline = AbortSignal.timeout(timeoutMs);
    for await (const seen of this.#follow(deadline)) if (seen.event === event) return seen;
    const why = deadline.aborted ? `not within ${timeoutMs} ms` : 'not before it ended';
    throw new Error(`wait for event ${event}: ${why}; it wrote:\n${this.stdout}${this.stderr}`);
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGKILL');
    await this.exit;
  }

  async *#follow(deadline?: AbortSignal): AsyncGenerator<JsonEvent> {
    for (let next = 0; ; next++) {
      while (next >= this.#events.length) {
        if (this.#ended || deadline?.aborted) return;
        await this.#change(deadline);
      }
      const event = this.#events[next];
      if (event) yield event;
    }
  }

  #change(deadline?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#watchers.delete(done);
        deadline?.removeEventListener('abort', done);
        resolve();
      };
      this.#watchers.add(done);
      deadline?.addEventListener('abort', done);
    });
  }

  #read(line: string): void {
    this.stdout += `${line}\n`;
    const event = parseEvent(line);
    if (event) this.#events.push(event);
    this.#notify();
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher();
  }
}

/** Nothing if the line is something else, or was cut short by the process's end. */
function parseEvent(line: string): JsonEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isEvent(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isEvent(value: unknown): value is JsonEvent {
  return typeof value === 'object' && value !== null && 'event' in value && 'time' in value;
}
