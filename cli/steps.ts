/** `--verbose` and `--log FILE`: where the steps of a run are told. */
import { closeSync, constants, fstatSync, openSync, type Stats, writeSync } from 'node:fs';
import { tellRequests } from '../agent/docker/request-steps.ts';
import { VERSION } from '../agent/ends/host.ts';
import type { Event } from '../agent/model/events.ts';
import { fileError, whyNot } from '../agent/streams/file-error.ts';
import { ImgmvError } from '../proto/errors.ts';
import { threadSeconds } from '../proto/processor-time.ts';
import { type Step, watchSteps } from '../proto/steps.ts';
import type { Config } from './config.ts';
import { escapeText } from './escape.ts';

const LINE_MAX_CHARACTERS = 4_000;
const OTHERS_WRITE = 0o022;
const OWN_FILE = 'name a file of your own, or a new one in a directory of your own';

export interface StepOptions {
  readonly verbose?: true | undefined;
  readonly log?: string | undefined;
  readonly configured?: Config | undefined;
}

export interface Steps {
  /** What is told to everybody is in the log as well, but for progress. */
  add(event: Event): void;
  end(exit: number): void;
}

/**
 * `say` shows a step to people; `fail` is told once if the log cannot be written any more. Throws usage for a file that
 * cannot be a log.
 */
export function openSteps(
  { configured, log, verbose }: StepOptions,
  say: (text: string) => void,
  fail: (error: ImgmvError) => void,
): Steps {
  const file = log === undefined ? undefined : new LogFile(log, fail);
  if (!file && !verbose) return { add() {}, end() {} };
  const began = performance.now();
  const look = ({ area, text }: Step | { readonly area: 'run'; readonly text: string }) => {
    file?.write(`${area} ${text}`);
    const seconds = ((performance.now() - began) / 1000).toFixed(3);
    if (verbose) say(`${seconds.padStart(8)} ${area}: ${text}`);
  };
  const command = process.argv[2]?.replace(/^-.*/, '') ?? '';
  look({
    area: 'run',
    text: `imgmv ${VERSION} ${command}, Node ${process.versions.node}, process ${process.pid}`,
  });
  for (const origin of new Set(Object.keys(configured?.values ?? {}).map((key) => configured?.origins[key])))
    look({ area: 'run', text: `configured by ${origin}` });
  watchSteps(look);
  tellRequests();
  return {
    add: (event) => {
      if (event.event !== 'progress') file?.write(`event ${JSON.stringify(event)}`);
    },
    end(exit) {
      look({ area: 'run', text: `used ${processorTime()}` });
      look({ area: 'run', text: `exit status ${exit}` });
      file?.close();
    },
  };
}

function processorTime(): string {
  const { user, system } = process.cpuUsage();
  const all = `${((user + system) / 1e6).toFixed(2)} s of processors`;
  try {
    return `${all}, ${threadSeconds().toFixed(2)} s of them in the main thread`;
  } catch {
    // Not on Linux, or without /proc.
    return all;
  }
}

/** Lines with a timestamp each, behind what the file has. A line that is written is in the file whatever happens next. */
class LogFile {
  readonly #path: string;
  readonly #fail: (error: ImgmvError) => void;
  #descriptor: number | undefined;

  constructor(path: string, fail: (error: ImgmvError) => void) {
    this.#path = path;
    this.#fail = fail;
    this.#descriptor = openLog(path);
  }

  write(text: string): void {
    if (this.#descriptor === undefined) return;
    try {
      writeSync(
        this.#descriptor,
        `${new Date().toISOString()} ${escapeText(text.slice(0, LINE_MAX_CHARACTERS))}\n`,
      );
    } catch (cause) {
      this.close();
      const message = `cannot write the log ${this.#path} any more: ${whyNot(this.#path, cause)}`;
      this.#fail(new ImgmvError('internal', message, { cause }));
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

function openLog(path: string): number {
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;
  let descriptor: number;
  try {
    // Somebody else's link would lead to a file of ours, and a pipe would wait for its reader.
    descriptor = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ELOOP')
      throw unusable(path, 'it is a symbolic link', cause);
    throw fileError(`cannot log to ${path}`, path, cause, { toWrite: true, hint: OWN_FILE });
  }
  const why = whyUnusable(fstatSync(descriptor));
  if (why === undefined) return descriptor;
  closeSync(descriptor);
  throw unusable(path, why);
}

function whyUnusable(stats: Stats): string | undefined {
  if (!stats.isFile()) return 'it is not a regular file';
  if (stats.uid !== process.geteuid?.()) return `it belongs to user ${stats.uid}`;
  if ((stats.mode & OTHERS_WRITE) !== 0) return 'others can write it';
  return stats.nlink > 1 ? 'it has another name elsewhere (a hard link)' : undefined;
}

function unusable(path: string, why: string, cause?: unknown): ImgmvError {
  return new ImgmvError('usage', `cannot log to ${path}: ${why}`, { cause, hint: OWN_FILE });
}
