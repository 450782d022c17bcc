/** What the tests of an edit come to. */
import type { TestRun } from './run-tests.ts';

/** `SURVIVED`: all tests pass with the edit. `unusable`: nothing can be said, and somebody has to look at the entry. */
export type Verdict = 'killed' | 'SURVIVED' | 'skipped' | 'unusable';

export interface Outcome {
  readonly verdict: Verdict;
  /** The test that noticed, or why there is none. */
  readonly detail: string;
}

/** What an edit must not be noticed by: that would be true of any nonsense. */
const NONSENSE = /^(SyntaxError|ReferenceError|TypeError)\b/;

export function verdictOf({ failures, broken }: TestRun): Outcome {
  if (broken !== undefined) return { verdict: 'unusable', detail: broken };
  const noticed = failures.find(({ message }) => !NONSENSE.test(message));
  if (noticed) return { verdict: 'killed', detail: noticed.title };
  if (failures[0]) return { verdict: 'unusable', detail: `${failures[0].title}: ${failures[0].message}` };
  return { verdict: 'SURVIVED', detail: 'all its tests pass' };
}
