/** One edit of the code that makes a promise of docs/SECURITY.md false, and the tests that have to notice it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Mutation {
  /** What the edit does to imgmv, in a few words; no two entries have the same. */
  readonly name: string;
  /** From the top of the tree. */
  readonly file: string;
  /** Occurs in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  readonly tests: TestSet;
  /** The beginning of the sentences under "What is promised" that the edit makes false: each of one sentence only. */
  readonly says: readonly string[];
}

/** What is run: of these files, the tests whose full name the pattern fits. */
export interface TestSet {
  readonly files: readonly string[];
  /** A regular expression, as `vitest -t` takes it; all tests when left out. */
  readonly pattern?: string;
}

export function tests(file: string, pattern?: string): TestSet {
  return { files: [file], ...(pattern !== undefined && { pattern }) };
}

/** Of a file with this text, what it says with the edit. Throws where the edit does not fit it. */
export function mutate(text: string, { name, file, find, replace }: Mutation): string {
  const parts = text.split(find);
  if (find === replace) throw new Error(`"${name}" changes nothing`);
  if (parts.length !== 2)
    throw new Error(
      `"${name}": want its text exactly once in ${file}, got it ${parts.length - 1} times; when the code has moved on, ` +
        'make the entry break it again',
    );
  return parts.join(replace);
}

/** Reads the file of a mutation below `root` and gives it with the edit. */
export function mutatedFile(root: string, mutation: Mutation): string {
  return mutate(readFileSync(join(root, mutation.file), 'utf8'), mutation);
}
