/** Processes that work off jobs, and a watch over them: one that hangs, or dies, has found something, too. */
import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TargetFailure } from './target.ts';

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));
const WATCH_MS = 2_000;
/** Longer than a case may take by its own clock, which stands still where it never ends. */
const HANG_MS = 60_000;

/** Some cases of one target, or those that are kept. */
export interface Job {
  readonly target: string;
  readonly kept: boolean;
  readonly cases: number;
  readonly seed: number;
  readonly path?: string;
}

export interface JobResult {
  readonly cases: number;
  readonly seconds: number;
  readonly failure?: TargetFailure;
}

/** What a worker sends. */
export interface Told extends JobResult {
  readonly peakBytes: number;
}

export class Pool {
  /** Of each process. */
  readonly peakBytes: number[] = [];
  readonly #processes: number;

  constructor(processes: number) {
    this.#processes = processes;
  }

  /** Each job's result is told as it comes. A target that has failed is left alone: more would tell the same. */
  async run(jobs: readonly Job[], onResult: (job: Job, result: JobResult) => void): Promise<void> {
    const left = [...jobs];
    const failed = new Set<string>();
    const work = async (index: number) => {
      let worker: Worker | undefined;
      for (let job = left.shift(); job; job = left.shift()) {
        if (failed.has(job.target)) continue;
        worker ??= new Worker();
        const told = await worker.do(job);
        onResult(job, told);
        if (told.failure && !job.kept) failed.add(job.target);
        this.peakBytes[index] = Math.max(this.peakBytes[index] ?? 0, told.peakBytes);
        if (worker.over) worker = undefined;
      }
      worker?.end();
    };
    await Promise.all(
      Array.from({ length: Math.min(this.#processes, jobs.length) }, (_, index) => work(index)),
    );
  }
}

/** One process, and a small file in which it says at which case it is. */
class Worker {
  over = false;
  readonly #directory = mkdtempSync(join(tmpdir(), 'imgmv-fuzz-'));
  readonly #at: number;
  readonly #child: ChildProcess;

  constructor() {
    this.#at = openSync(join(this.#directory, 'at'), 'w+');
    this.#child = fork(WORKER, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', this.#at],
      serialization: 'advanced',
      // What it leaves goes with it.
      env: { ...process.env, TMPDIR: this.#directory },
    });
  }

  do(job: Job): Promise<Told> {
    const started = performance.now();
    return new Promise((resolve) => {
      let seen = -1;
      let since = performance.now();
      const done = (told: Told) => {
        clearInterval(watch);
        this.#child.removeAllListeners();
        resolve(told);
      };
      const lost = (how: string) => {
        const path = job.path ?? String(this.#index);
        const message = `the process ${how} in or behind case ${path}`;
        const seconds = (performance.now() - started) / 1000;
        const failure = { seed: job.seed, path, message } as TargetFailure;
        done({ cases: this.#index + 1, seconds, failure, peakBytes: 0 });
        this.end();
      };
      const watch = setInterval(() => {
        const index = this.#index;
        if (index !== seen) since = performance.now();
        seen = index;
        if (performance.now() - since > HANG_MS) lost('hangs');
      }, WATCH_MS);
      this.#child.once('message', (told) => done(told as Told));
      this.#child.once('exit', (code, signal) => lost(`ended with ${signal ?? code}`));
      this.#child.send(job);
    });
  }

  end(): void {
    if (this.over) return;
    this.over = true;
    const remove = () => rmSync(this.#directory, { recursive: true, force: true });
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.once('exit', remove);
    else remove();
    this.#child.kill('SIGKILL');
    closeSync(this.#at);
  }

  get #index(): number {
    const bytes = Buffer.alloc(4);
    readSync(this.#at, bytes, 0, 4, 0);
    return bytes.readUInt32LE(0);
  }
}
