/**
 * A move as a file: what `imgmv send` and `imgmv plan` take as options, in YAML that can be kept and reviewed. Read,
 * checked as a whole and made of the values that the options' own parsers give; docs/move.md describes it.
 */
import { dirname, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import * as v from 'valibot';
import { parseYaml } from './move-file/document.ts';
import { issueProblems, kindOf, unknownKeys } from './move-file/issues.ts';
import { BEGINNING, problemAt, problemsError } from './move-file/problems.ts';
import { ruleProblems } from './move-file/rules.ts';
import { type MoveKeys, moveSchema } from './move-file/schema.ts';
import { readText } from './move-file/text.ts';

/**
 * By the options' names, each as its option has it: paths are absolute, or `-`; durations are milliseconds. A key that
 * is absent, or `false`, is not there.
 */
export type MoveFile = {
  readonly [K in keyof MoveKeys as Camel<K>]: Exclude<MoveKeys[K], false>;
};

type Camel<K extends string> = K extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : K;

/** As they are written in the file, in the order of docs/move.md. */
export const MOVE_KEYS = Object.keys(moveSchema.entries);

/**
 * `-` is standard input. Throws usage for a file that cannot be read, and one for all that is wrong with its content:
 * its message has a line per problem, each with file, line and column.
 */
export async function readMoveFile(path: string, stdin: Readable = process.stdin): Promise<MoveFile> {
  const fromStdin = path === '-';
  const name = fromStdin ? 'standard input' : path;
  const directory = fromStdin ? process.cwd() : dirname(resolve(path));
  return parseMoveFile(await readText(path, stdin), { name, directory, fromStdin });
}

interface MoveFileOrigin {
  readonly name: string;
  /** What relative paths are relative to. */
  readonly directory: string;
  readonly fromStdin: boolean;
}

/** The same of a text that is at hand. */
export async function parseMoveFile(
  text: string,
  { name, directory, fromStdin }: MoveFileOrigin,
): Promise<MoveFile> {
  const { root, problems } = await parseYaml(text);
  if (!root || root.value === null) {
    const empty = problemAt(BEGINNING, 'nothing is in it, expected keys and values such as to: host-b');
    throw problemsError(name, problems.length > 0 ? problems : [empty]);
  }
  if (typeof root.value !== 'object' || Array.isArray(root.value)) {
    const text = `the file is ${kindOf(root)}, expected keys and values such as to: host-b`;
    throw problemsError(name, [...problems, problemAt(root, text)]);
  }
  const known = Object.fromEntries(Object.entries(root.value).filter(([key]) => MOVE_KEYS.includes(key)));
  // One issue a value: what has the wrong form is not also out of bounds.
  const { success, output, issues = [] } = v.safeParse(moveSchema, known, { abortPipeEarly: true });
  const all = [
    ...problems,
    ...unknownKeys(root, MOVE_KEYS),
    ...issueProblems(root, issues),
    ...ruleProblems(root, fromStdin),
  ];
  if (!success || all.length > 0) throw problemsError(name, all);
  return resolved(output, directory);
}

/** With names as the options have them, and with paths that no longer depend on where the file is. */
function resolved(keys: MoveKeys, directory: string): MoveFile {
  const absolute = (path: string) => (path === '-' ? path : resolve(directory, path));
  const { file, compose, report, 'code-file': codeFile, from } = keys;
  const paths: MoveKeys = {
    file: file && absolute(file),
    compose: compose?.map(absolute),
    report: report && absolute(report),
    'code-file': codeFile && absolute(codeFile),
    from: from?.map((one) => (one.kind === 'docker-daemon' ? one : { ...one, path: absolute(one.path) })),
  };
  const entries = Object.entries({ ...keys, ...paths }).filter(
    ([, value]) => value !== false && value !== undefined,
  );
  const camel = (key: string) => key.replaceAll(/-([a-z])/g, (_, letter) => letter.toUpperCase());
  return Object.fromEntries(entries.map(([key, value]) => [camel(key), value]));
}
