import type { TestSet } from './mutation.ts';
import { runTests, type TestRun } from './run-tests.ts';
import type { ScratchTree } from './scratch-tree.ts';

/** What tests do without an edit, each set once. */
export class Baselines {
  readonly #tree: ScratchTree;
  readonly #runs = new Map<string, Promise<TestRun>>();
  /** One after the other: they share a tree. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(tree: ScratchTree) {
    this.#tree = tree;
  }

  of(tests: TestSet): Promise<TestRun> {
    const key = JSON.stringify([tests.files, tests.pattern]);
    const known = this.#runs.get(key);
    if (known) return known;
    const run = this.#turn.then(() => runTests(this.#tree.path, tests));
    this.#turn = run.catch(() => {});
    this.#runs.set(key, run);
    return run;
  }
}
