/**
 * Each decoder with some input, the same in every run, and with what it failed on once. `npm run test:hostile` is the
 * long form, with other input each time.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { keptCases } from './kept.ts';
import { SEED } from './seed.ts';
import { TARGETS } from './targets.ts';

/** Of all targets together; a few seconds. */
const CASES = 2_500;
const CASES_MIN = 20;

const shares = TARGETS.reduce((sum, { share }) => sum + share, 0);

let scratch: ScratchDirectory;
const { TMPDIR } = process.env;

/** What targets keep from one case to the next goes with it. */
beforeAll(async () => {
  scratch = await scratchDirectory();
  process.env.TMPDIR = scratch.path;
});
afterAll(async () => {
  if (TMPDIR === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = TMPDIR;
  await scratch[Symbol.asyncDispose]();
});

describe.each(TARGETS.map((target) => ({ name: target.name, target })))('$name', ({ name, target }) => {
  const kept = keptCases().filter((one) => one.target === name);
  it.runIf(kept.length > 0).each(kept)('takes what was: $was', ({ input }) => target.replay(input));

  it('takes or refuses whatever comes', async () => {
    const cases = Math.max(CASES_MIN, Math.round((CASES * target.share) / shares));
    const { failure } = await target.run({ cases, seed: SEED });
    const again = `npm run test:hostile -- --only ${name} --seed=${failure?.seed} --path ${failure?.path}`;
    expect(
      failure?.message,
      `${again}\nkeeps the case; the input was\n${shown(failure?.input)}`,
    ).toBeUndefined();
  });
});

it('every kept case is of a target', () => {
  const names = TARGETS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(keptCases().filter(({ target }) => !names.includes(target))).toEqual([]);
});

function shown(input: unknown): string {
  const text = JSON.stringify(input, (_key, value: unknown) => {
    const { type, data } = (value ?? {}) as { type?: unknown; data?: unknown };
    return type === 'Buffer' ? `hex ${Buffer.from(data as number[]).toString('hex')}` : value;
  });
  return text?.slice(0, 2_000) ?? '';
}
