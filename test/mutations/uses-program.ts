import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What runs dist/imgmv.js. */
const RUNNER = 'test/rig/imgmv.ts';

/** Whether a test file, or anything in the tree that it imports, runs the built program; only then is one needed. */
export function usesProgram(root: string, file: string, seen = new Set<string>()): boolean {
  if (file === RUNNER) return true;
  if (seen.has(file)) return false;
  seen.add(file);
  const imports = readFileSync(join(root, file), 'utf8').matchAll(/(?:from|import) '(\.[^']+\.ts)'/g);
  return [...imports].some(([, path = '']) => usesProgram(root, join(dirname(file), path), seen));
}
