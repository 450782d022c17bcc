/** What the system says of a file that somebody has named, in words that say what is wrong with which path. */
import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { ImgmvError } from '../../proto/errors.ts';
import { usage } from './errors.ts';

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EEXIST: 'it exists, and is not a directory',
  EPERM: 'the system does not permit it',
  EISDIR: 'it is a directory',
  ELOOP: 'its symbolic links never end',
  ENAMETOOLONG: 'the name is too long',
  EROFS: 'the file system is read-only',
};

export interface FileErrorOptions {
  /** The file, or directory, was to be made: its directory has to exist. */
  readonly toWrite?: boolean;
  /** For what has no better one. */
  readonly hint?: string | undefined;
}

/** `cannot` begins the message: `cannot read the list a.txt`. */
export function fileError(
  cannot: string,
  path: string,
  cause: unknown,
  { toWrite = false, hint }: FileErrorOptions = {},
): ImgmvError {
  const directory = missingDirectory(path, cause);
  const make = toWrite ? 'make that directory, or name another one' : 'check the path';
  return usage(`${cannot}: ${whyNot(path, cause)}`, { cause, hint: directory === undefined ? hint : make });
}

/** Without a capital and a full stop. Of an error that is none of the system's it is the message. */
export function whyNot(path: string, cause: unknown): string {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  const directory = missingDirectory(path, cause);
  if (directory !== undefined) return `there is no directory ${directory}`;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'ENOTDIR') return `${notDirectory(path) ?? 'it'} is not a directory`;
  // The path in the system's words may be one that only this process knows.
  return REASONS[code] ?? message.replace(/^E[A-Z0-9]+: /, '').replace(/, [a-z]+( '.*)?$/s, '');
}

/** The directory that `path` is to be in, where that does not exist. */
export function missingDirectory(path: string, cause: unknown): string | undefined {
  const directory = dirname(resolve(path));
  const { code } = cause as NodeJS.ErrnoException;
  return code === 'ENOENT' && !exists(directory) ? directory : undefined;
}

/** The first that is none, of those above `path`. */
function notDirectory(path: string): string | undefined {
  const above: string[] = [];
  for (let at = dirname(resolve(path)); at !== dirname(at); at = dirname(at)) above.unshift(at);
  const isOther = (at: string) => statSync(at, { throwIfNoEntry: false })?.isDirectory() === false;
  return above.find(isOther);
}

/** What cannot be looked at may well exist. */
function exists(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true;
  }
}
