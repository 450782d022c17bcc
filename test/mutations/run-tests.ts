/** Runs a set of tests in a tree, and says what became of each. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tied } from '../rig/command.ts';
import type { TestSet } from './mutation.ts';

export interface TestRun {
  readonly passed: number;
  readonly failures: readonly Failure[];
  /** Why nothing can be said of the tests: they did not come to their end. */
  readonly broken?: string;
}

export interface Failure {
  readonly title: string;
  readonly message: string;
}

/** The parts of vitest's JSON report that are looked at. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[] | null;
    }[];
  }[];
}

/** A test that fails may wait for its own time-out first; what takes longer than this hangs. */
const RUN_TIMEOUT_MS = 6 * 60_000;
const SHOWN_CHARACTERS = 1_500;

export async function runTests(tree: string, { files, pattern }: TestSet): Promise<TestRun> {
  const report = join(tree, 'mutation-report.json');
  const vitest = [join(tree, 'node_modules/vitest/vitest.mjs'), 'run', ...files];
  const options = [
    '--reporter=json',
    `--outputFile=${report}`,
    // One that fails is enough; the first may fail for nonsense. Each that hangs takes its whole time-out.
    '--bail=2',
    ...(pattern ? [`--testNamePattern=${pattern}`] : []),
  ];
  const { output, late } = await runNode(tree, [...vitest, ...options]);
  if (late)
    return { passed: 0, failures: [], broken: `not at its end after ${RUN_TIMEOUT_MS / 60_000} minutes` };
  let read: Report;
  try {
    read = JSON.parse(await readFile(report, 'utf8')) as Report;
  } catch {
    return { passed: 0, failures: [], broken: output.slice(-SHOWN_CHARACTERS) };
  }
  const tests = read.testResults.flatMap(({ assertionResults }) => assertionResults);
  const failures = tests
    .filter(({ status }) => status === 'failed')
    .map(({ fullName, failureMessages }) => ({ title: fullName, message: failureMessages?.[0] ?? '' }));
  const unread = read.testResults.find(({ status, message }) => status === 'failed' && message !== '');
  return {
    passed: tests.filter(({ status }) => status === 'passed').length,
    failures,
    ...(unread && failures.length === 0 && { broken: `${unread.name}: ${unread.message}` }),
  };
}

/** Makes dist/ of a tree. Throws what the bundler says. */
export async function build(tree: string): Promise<void> {
  const { output, code } = await runNode(tree, ['--import', 'tsx', 'packaging/bundle.ts']);
  if (code !== 0) throw new Error(`it does not build: ${output.slice(-SHOWN_CHARACTERS)}`);
}

async function runNode(
  cwd: string,
  args: readonly string[],
): Promise<{ output: string; code: number | null; late: boolean }> {
  const [program = '', ...rest] = tied([process.execPath, ...args]);
  // A process group of its own: the workers of vitest have to end with it.
  const child = spawn(program, rest, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, RUN_TIMEOUT_MS);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  clearTimeout(timer);
  return { output, code, late };
}
