/** A process of the pool: plays the cases that it is told, one job after the other. */
import { writeSync } from 'node:fs';
import { type CaseData, keptCases } from './kept.ts';
import type { Job, JobResult, Told } from './pool.ts';
import { type Target, watchStrays } from './target.ts';
import { TARGETS } from './targets.ts';

/** Beside the four of a forked process: where the case at hand is told. */
const CASE_FILE = 4;
const KIB = 1024;

watchStrays();
process.on('message', (job: Job) => {
  void play(job).then((result) => {
    const told: Told = { ...result, peakBytes: process.resourceUsage().maxRSS * KIB };
    process.send?.(told);
  });
});

async function play(job: Job): Promise<JobResult> {
  const target = TARGETS.find(({ name }) => name === job.target);
  if (!target) throw new Error(`no target ${job.target}`);
  const started = performance.now();
  const { cases, failure } = await (job.kept ? replay(target) : fresh(target, job));
  return { cases, seconds: (performance.now() - started) / 1000, ...(failure && { failure }) };
}

function fresh(target: Target, { cases, seed, path }: Job) {
  const at = Buffer.alloc(4);
  const onCase = (index: number) => {
    at.writeUInt32LE(index, 0);
    writeSync(CASE_FILE, at, 0, 4, 0);
  };
  return target.run({ cases, seed, onCase, ...(path !== undefined && { path }) });
}

async function replay(target: Target): Promise<Omit<JobResult, 'seconds'>> {
  let cases = 0;
  for (const { target: name, was, input } of keptCases()) {
    if (name !== target.name) continue;
    cases++;
    try {
      await target.replay(input);
    } catch (error) {
      return { cases, failure: failureOf(error, was, input) };
    }
  }
  return { cases };
}

function failureOf(error: unknown, was: string, input: CaseData) {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { seed: 0, path: '', input, message: `${message}\nkept since: ${was}` };
}
