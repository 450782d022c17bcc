/**
 * Breaks one line of the code at a time, and expects tests to fail:
 *
 *     npm run test:mutations -- [--only TEXT] [--list] [--jobs N]
 *
 * `--only`, which may be given again, takes the entries whose name, file, tests or promise hold TEXT; `--list` only names them. Each entry is
 * run in a copy of the tree, and its tests have to pass in a copy without the edit. Ends with 1 if an edit was not
 * noticed, or if nothing can be said of one.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { transform } from 'esbuild';
import { align } from '../bench/table.ts';
import { Baselines } from './baselines.ts';
import { MUTATIONS } from './list.ts';
import { type Mutation, mutatedFile } from './mutation.ts';
import { build, runTests } from './run-tests.ts';
import { scratchTree } from './scratch-tree.ts';
import { usesProgram } from './uses-program.ts';
import { type Outcome, type Verdict, verdictOf } from './verdict.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '');
const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    list: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '1' },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  const jobs = Number(values.jobs);
  if (!(Number.isInteger(jobs) && jobs >= 1 && jobs <= 16))
    throw new Error(`--jobs: got ${values.jobs}, want a number from 1 to 16`);
  const chosen = MUTATIONS.filter((mutation) => fits(mutation, values.only));
  if (chosen.length === 0) throw new Error(`--only: no entry has ${values.only.join(' or ')} in it`);
  if (values.list) {
    for (const { name, file, tests } of chosen) say(`${name}\n  ${file} → ${tests.files.join(', ')}`);
    return 0;
  }
  await using pristine = await scratchTree(ROOT);
  if (chosen.some(needsProgram)) await build(pristine.path);
  const baselines = new Baselines(pristine);
  const outcomes = new Map<Mutation, Outcome>();
  const waiting = [...chosen];
  const work = async () => {
    for (let mutation = waiting.shift(); mutation; mutation = waiting.shift()) {
      const started = performance.now();
      const outcome = await tryOut(mutation, baselines);
      outcomes.set(mutation, outcome);
      const seconds = ((performance.now() - started) / 1000).toFixed(0);
      say(
        `${outcome.verdict}: ${mutation.name} (${seconds} s)${outcome.verdict === 'killed' ? '' : `\n  ${outcome.detail}`}`,
      );
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  const rows = chosen.map((mutation) => {
    const { verdict, detail } = outcomes.get(mutation) as Outcome;
    return [verdict, mutation.file, mutation.name, verdict === 'killed' ? detail : ''];
  });
  say('');
  for (const line of align([['', 'file', 'edit', 'noticed by'], ...rows], 4)) say(line);
  const count = (verdict: Verdict) => rows.filter(([first]) => first === verdict).length;
  say('');
  say(
    `${chosen.length} edits: ${count('killed')} killed, ${count('SURVIVED')} survived, ` +
      `${count('unusable')} unusable, ${count('skipped')} skipped`,
  );
  return count('SURVIVED') + count('unusable') === 0 ? 0 : 1;
}

function fits({ name, file, tests, says }: Mutation, only: readonly string[]): boolean {
  const texts = [name, file, ...tests.files, tests.pattern ?? '', ...says];
  return only.length === 0 || only.some((part) => texts.some((text) => text.includes(part)));
}

function needsProgram({ tests }: Mutation): boolean {
  return tests.files.some((file) => usesProgram(ROOT, file));
}

async function tryOut(mutation: Mutation, baselines: Baselines): Promise<Outcome> {
  try {
    const text = mutatedFile(ROOT, mutation);
    await transform(text, { loader: 'ts' });
    const before = await baselines.of(mutation.tests);
    if (before.broken !== undefined)
      return { verdict: 'unusable', detail: `without the edit: ${before.broken}` };
    if (before.failures[0])
      return { verdict: 'unusable', detail: `fails without the edit: ${before.failures[0].title}` };
    if (before.passed === 0)
      return {
        verdict: 'skipped',
        detail: 'none of its tests runs here: this machine lacks what they need, or there are none',
      };
    await using tree = await scratchTree(ROOT);
    await tree.write(mutation.file, text);
    if (needsProgram(mutation)) await build(tree.path);
    return verdictOf(await runTests(tree.path, mutation.tests));
  } catch (error) {
    return { verdict: 'unusable', detail: error instanceof Error ? error.message : String(error) };
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
