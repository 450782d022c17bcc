/** A configuration file: whether it can be trusted, and what stands in it. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as v from 'valibot';
import { fileError } from '../../agent/streams/file-error.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { parseYaml } from '../move-file/document.ts';
import { issueProblems, kindOf, unknownKeys } from '../move-file/issues.ts';
import { BEGINNING, problemAt, problemLines } from '../move-file/problems.ts';
import { CONFIG_KEYS, type ConfigValues, camelCase, configSchema, whyRefused } from './keys.ts';

const FILE_MAX_BYTES = 64 * 1024;
const ABSENT = ['ENOENT', 'ENOTDIR'];
const OTHERS_WRITE = 0o022;

/** Undefined where there is no such file. `problems` are lines for people, with the path, and line and column. */
export async function readConfigFile(
  path: string,
  { ofUser = false } = {},
): Promise<{ readonly values: ConfigValues; readonly problems: readonly string[] } | undefined> {
  let text: string | undefined;
  try {
    text = await trustedText(path, ofUser);
  } catch (error) {
    if (!(error instanceof ImgmvError)) throw error;
    return { values: {}, problems: [error.message] };
  }
  return text === undefined ? undefined : parseConfig(path, text);
}

/** Throws usage for a file that somebody else could have written, or that cannot be read. */
async function trustedText(path: string, ofUser: boolean): Promise<string | undefined> {
  // What somebody may write into the directory, they may put in the place of the file.
  // A home that its user may not enter is somebody else's, as a service may have it, and has no file for this one.
  const absent = ofUser ? [...ABSENT, 'EACCES'] : ABSENT;
  const directory = await opened(dirname(path), constants.O_DIRECTORY, absent);
  if (!directory) return undefined;
  await using _ = closing(directory);
  await requireTrusted(directory, dirname(path), 'directory');
  // A link could lead to what somebody else writes, and a pipe would never end.
  const file = await opened(path, constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if (!file) return undefined;
  await using __ = closing(file);
  await requireTrusted(file, path, 'file');
  const buffer = Buffer.alloc(FILE_MAX_BYTES + 1);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
  if (bytesRead > FILE_MAX_BYTES)
    throw usage(`${path} is longer than the 64 KiB that a configuration may have`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, bytesRead));
  } catch (cause) {
    throw usage(`${path} is not UTF-8`, cause);
  }
}

async function opened(path: string, flags: number, absent = ABSENT): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | flags);
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    if (absent.includes(code)) return undefined;
    if (code === 'ELOOP') throw usage(`${path} is a symbolic link, which a configuration must not be`, cause);
    throw fileError(`cannot read ${path}`, path, cause);
  }
}

function closing(handle: FileHandle): AsyncDisposable {
  return { [Symbol.asyncDispose]: () => handle.close() };
}

async function requireTrusted(handle: FileHandle, path: string, kind: 'file' | 'directory'): Promise<void> {
  const stats = await handle.stat();
  if (kind === 'file' && !stats.isFile()) throw usage(`${path} is not a regular file`);
  const caller = process.geteuid?.() ?? 0;
  const what = kind === 'file' ? path : `the directory ${path}`;
  if (stats.uid !== 0 && stats.uid !== caller)
    throw usage(`${what} belongs to user ${stats.uid}, and not to root or to whoever runs imgmv (${caller})`);
  if ((stats.mode & OTHERS_WRITE) !== 0)
    throw usage(
      `${what} can be written by others (mode ${(stats.mode & 0o777).toString(8)}): chmod go-w ${path}`,
    );
}

async function parseConfig(path: string, text: string) {
  const { root, problems } = await parseYaml(text, 'configuration');
  if (!root || root.value === null) return { values: {}, problems: problemLines(path, problems) };
  if (typeof root.value !== 'object' || Array.isArray(root.value)) {
    const wrong = problemAt(
      BEGINNING,
      `the file is ${kindOf(root)}, expected keys and values such as to: host-b`,
    );
    return { values: {}, problems: problemLines(path, [...problems, wrong]) };
  }
  const known = Object.fromEntries(
    Object.entries(root.value).filter(([key]) => (CONFIG_KEYS as readonly string[]).includes(key)),
  );
  const { success, output, issues = [] } = v.safeParse(configSchema, known, { abortPipeEarly: true });
  const both = root.children.has('docker-host') && root.children.get('context');
  const all = [
    ...problems,
    ...unknownKeys(root, CONFIG_KEYS, 'a configuration', whyRefused),
    ...issueProblems(root, issues),
    ...(both ? [problemAt(both.key, 'docker-host and context exclude each other')] : []),
  ];
  if (!success || all.length > 0) return { values: {}, problems: problemLines(path, all) };
  const set = Object.entries(output).filter(([, value]) => value !== false && value !== undefined);
  return { values: Object.fromEntries(set.map(([key, value]) => [camelCase(key), value])), problems: [] };
}

function usage(message: string, cause?: unknown): ImgmvError {
  return new ImgmvError('usage', message, { cause });
}
