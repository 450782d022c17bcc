import { describe, it } from 'vitest';
import type { Support } from './support.ts';

export interface SuiteOptions {
  /** With CI=true in the environment a missing support fails instead of being skipped. */
  readonly required?: boolean;
}

/** A vitest suite that runs where all of `supports` are there, and otherwise shows the reason in its title. */
export function describeOn(
  title: string,
  supports: readonly Support[],
  suite: () => void,
  options: SuiteOptions = {},
): void {
  const reasons = supports.flatMap((support) => (support.ok ? [] : [support.reason]));
  if (reasons.length === 0) {
    describe(title, suite);
  } else if (options.required && process.env.CI === 'true') {
    describe(title, () => {
      it('finds what it needs on this machine', () => {
        throw new Error(reasons.join(', '));
      });
    });
  } else {
    describe.skip(`${title} (skipped: ${reasons.join(', ')})`, suite);
  }
}
