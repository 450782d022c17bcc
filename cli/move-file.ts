/**
 * A move as a file: what `imgmv send` and `imgmv plan` take as options, in YAML that can be kept and reviewed. Read,
 * checked as a whole and made of the values that the options' own parsers give; docs/move.md describes it.
 */
import { dirname, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import * as v from 'valibot';
import type { NamedEndpoint } from '../agent/ends/endpoint.ts';
import type { ChoosingFlags } from './choosing.ts';
import { parseYaml } from './move-file/document.ts';
import { issueProblems, kindOf, unknownKeys } from './move-file/issues.ts';
import { problemsError } from './move-file/problems.ts';
import { ruleProblems } from './move-file/rules.ts';
import { type MoveKeys, moveSchema } from './move-file/schema.ts';
import { readText } from './move-file/text.ts';
import type { RenamingFlags } from './renaming.ts';

/** By the options' names, each as its option has it. A key that is absent, or `false`, is not there. */
export interface MoveFile extends ChoosingFlags, RenamingFlags {
  /** A WebSocket URL. */
  readonly to?: string;
  readonly images?: readonly string[];
  /** Paths are absolute, or `-`. */
  readonly from?: readonly NamedEndpoint[];
  /** Absolute, or `-`. */
  readonly file?: string;
  /** Absolute, or `-`. */
  readonly compose?: readonly string[];
  readonly as?: string;
  readonly thenPush?: true;
  /** Absolute, or `-`. */
  readonly report?: string;
  /** Absolute, or `-`. */
  readonly codeFile?: string;
  readonly dockerHost?: string;
  readonly context?: string;
  /** Milliseconds. */
  readonly connectTimeout?: number;
  /** Milliseconds. */
  readonly reconnect?: number;
  readonly ignoreSpace?: true;
  /** Bytes. */
  readonly maxBytes?: number;
  readonly jobs?: number;
  readonly retries?: number;
  readonly level?: number;
}

/** As they are written in the file, in the order of docs/move.md. */
export const MOVE_KEYS = Object.keys(moveSchema.entries);

/**
 * `-` is standard input. Throws usage for a file that cannot be read, and one for all that is wrong with its content:
 * its message has a line per problem, each with file, line and column.
 */
export async function readMoveFile(path: string, stdin: Readable = process.stdin): Promise<MoveFile> {
  const text = await readText(path, stdin);
  const origin =
    path === '-'
      ? { name: 'standard input', directory: process.cwd(), fromStdin: true }
      : { name: path, directory: dirname(resolve(path)), fromStdin: false };
  return parseMoveFile(text, origin);
}

export interface MoveFileOrigin {
  /** For people. */
  readonly name: string;
  /** What relative paths are relative to. */
  readonly directory: string;
  /** Standard input holds the file, and nothing else. */
  readonly fromStdin: boolean;
}

/** The same of a text that is at hand. */
export async function parseMoveFile(
  text: string,
  { name, directory, fromStdin }: MoveFileOrigin,
): Promise<MoveFile> {
  const { root, problems } = await parseYaml(text);
  if (!root || root.value === null) {
    const empty = {
      line: 1,
      column: 1,
      text: 'nothing is in it, expected keys and values such as to: host-b',
    };
    throw problemsError(name, problems.length > 0 ? problems : [empty]);
  }
  if (typeof root.value !== 'object' || Array.isArray(root.value)) {
    const { line, column } = root;
    const text = `the file is ${kindOf(root)}, expected keys and values such as to: host-b`;
    throw problemsError(name, [...problems, { line, column, text }]);
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
  return resolved(camelised(output), directory);
}

type Camel<K extends string> = K extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : K;
type Camelised<T> = { [K in keyof T as Camel<K & string>]: Exclude<T[K], false | undefined> };

function camelised(keys: MoveKeys): Camelised<MoveKeys> {
  const entries = Object.entries(keys).filter(([, value]) => value !== false);
  return Object.fromEntries(
    entries.map(([key, value]) => [key.replaceAll(/-([a-z])/g, (_, letter) => letter.toUpperCase()), value]),
  ) as Camelised<MoveKeys>;
}

function resolved(move: MoveFile, directory: string): MoveFile {
  const absolute = (path: string) => (path === '-' ? path : resolve(directory, path));
  const { file, compose, report, codeFile, from } = move;
  return {
    ...move,
    ...(file !== undefined && { file: absolute(file) }),
    ...(compose && { compose: compose.map(absolute) }),
    ...(report !== undefined && { report: absolute(report) }),
    ...(codeFile !== undefined && { codeFile: absolute(codeFile) }),
    ...(from && {
      from: from.map((one) => (one.kind === 'docker-daemon' ? one : { ...one, path: absolute(one.path) })),
    }),
  };
}
