/**
 * Feeds every decoder with what is nearly right and what is not, for a million cases or as many as asked for:
 *
 *     npm run test:hostile -- [--cases N] [--seed N] [--only NAME[,NAME]] [--processes N]
 *     npm run test:hostile -- --only NAME --seed N --path PATH
 *
 * The kept cases of cases.json go first. `--only` takes targets, or the part in front of their slash; `--path` plays
 * one failing case again, with the seed and path that its failure showed. What fails is added to cases.json, as small
 * as it could be made. Ends with 1 if anything failed.
 */
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { align } from '../bench/table.ts';
import { keep, keptCases } from './kept.ts';
import { type Job, Pool } from './pool.ts';
import type { Target, TargetFailure } from './target.ts';
import { TARGETS } from './targets.ts';

const DEFAULT_CASES = 1_000_000;
/** So that processes share a target, and what holds memory shows before its end. */
const CHUNKS = 8;
const PROGRESS_MS = 60_000;

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: String(DEFAULT_CASES) },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    only: { type: 'string' },
    path: { type: 'string' },
    processes: { type: 'string', default: String(Math.min(2, availableParallelism())) },
  },
});

interface Row {
  readonly target: Target;
  cases: number;
  seconds: number;
  failures: number;
}

process.exitCode = await main();

async function main(): Promise<number> {
  const [cases, seed, processes] = [count('cases'), count('seed'), count('processes')];
  const targets = chosen(values.only);
  if (values.path !== undefined && targets.length !== 1)
    throw new Error('--path goes with --only one target');
  say(`seed ${seed}, ${targets.length} targets, ${processes} processes`);
  const rows = new Map(
    targets.map((target): [string, Row] => [target.name, { target, cases: 0, seconds: 0, failures: 0 }]),
  );
  const started = performance.now();
  const pool = new Pool(processes);
  const jobs =
    values.path === undefined ? jobsFor(targets, cases, seed) : [replayOf(targets, seed, values.path)];
  const progress = setInterval(() => {
    const done = [...rows.values()].reduce((sum, row) => sum + row.cases, 0);
    say(`${done} cases after ${Math.round((performance.now() - started) / 1000)} s`);
  }, PROGRESS_MS);
  await pool.run(jobs, (job, result) => {
    const row = rows.get(job.target);
    if (!row) return;
    row.cases += result.cases;
    row.seconds += result.seconds;
    if (!result.failure) return;
    row.failures++;
    tell(job, result.failure);
  });
  clearInterval(progress);
  const seconds = (performance.now() - started) / 1000;
  say('');
  for (const line of table([...rows.values()])) say(line);
  const all = [...rows.values()].reduce((sum, row) => sum + row.cases, 0);
  const failures = [...rows.values()].reduce((sum, row) => sum + row.failures, 0);
  const peaks = pool.peakBytes.map((bytes) => `${Math.round(bytes / 1e6)} MB`).join(' and ');
  say('');
  say(`${all} cases in ${seconds.toFixed(0)} s, ${Math.round(all / seconds)} a second, ${failures} failures`);
  say(`peak memory of the processes: ${peaks}`);
  say(`seed ${seed}`);
  return failures === 0 ? 0 : 1;
}

function chosen(only: string | undefined): readonly Target[] {
  if (only === undefined) return TARGETS;
  const wanted = only.split(',');
  const fits = (name: string, want: string) => name === want || name.startsWith(`${want}/`);
  const unknown = wanted.filter((want) => !TARGETS.some(({ name }) => fits(name, want)));
  if (unknown.length > 0)
    throw new Error(`--only: got ${unknown.join()}, want some of ${TARGETS.map(({ name }) => name).join()}`);
  return TARGETS.filter(({ name }) => wanted.some((want) => fits(name, want)));
}

/** The kept cases first, then the largest targets, so that none is left alone at the end. */
function jobsFor(targets: readonly Target[], cases: number, seed: number): readonly Job[] {
  const shares = targets.reduce((sum, { share }) => sum + share, 0);
  const kept = targets.flatMap(({ name }): Job[] =>
    keptCases().some(({ target }) => target === name) ? [{ target: name, kept: true, cases: 0, seed }] : [],
  );
  const fresh = targets.flatMap(({ name, share }, number) => {
    const own = Math.max(1, Math.round((cases * share) / shares));
    const chunks = Math.min(CHUNKS, own);
    return Array.from({ length: chunks }, (_, chunk): Job => {
      const part = Math.floor((own * (chunk + 1)) / chunks) - Math.floor((own * chunk) / chunks);
      return { target: name, kept: false, cases: part, seed: seedOf(seed, number, chunk) };
    });
  });
  return [...kept, ...fresh];
}

/** fast-check takes 32 bits. */
function seedOf(seed: number, target: number, chunk: number): number {
  return (Math.imul(seed, 0x9e3779b1) + target * CHUNKS + chunk) | 0;
}

function replayOf(targets: readonly Target[], seed: number, path: string): Job {
  return { target: targets[0]?.name ?? '', kept: false, cases: 1, seed, path };
}

function tell(job: Job, { seed, path, input, message }: TargetFailure): void {
  say(`\nFAILED ${job.target}${job.kept ? ', a kept case' : ''}\n${indented(message)}`);
  if (job.kept) return;
  if (input !== undefined) {
    keep({ target: job.target, was: message.split('\n')[0] ?? '', input });
    say('  added to test/fuzz/cases.json, for `npm run format` to tidy up');
  }
  say(`  again: npm run test:hostile -- --only ${job.target} --seed=${seed} --path ${path}`);
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, '  ');
}

function table(rows: readonly Row[]): readonly string[] {
  const lines = rows.map(({ target, cases, seconds, failures }) => [
    target.name,
    String(cases),
    String(Math.round(cases / Math.max(seconds, 0.001))),
    String(failures),
  ]);
  return align([['target', 'cases', 'cases/s', 'failures'], ...lines], 1);
}

function count(option: 'cases' | 'seed' | 'processes'): number {
  const number = Number(values[option]);
  if (!Number.isInteger(number) || (option !== 'seed' && number < 1))
    throw new Error(`--${option}: got ${values[option]}, want a whole number`);
  return number;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
