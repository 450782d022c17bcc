import { lstatIfAny } from '../streams/lstat-if-any.ts';

export const REGULAR_FILE = 'a regular file';
export const DIRECTORY = 'a directory';

/** What there is under a name, and not what that leads to; undefined for nothing. Throws what the system says. */
export async function kindAt(path: string): Promise<string | undefined> {
  const found = await lstatIfAny(path);
  if (found === undefined) return undefined;
  if (found.isFile()) return REGULAR_FILE;
  if (found.isDirectory()) return DIRECTORY;
  if (found.isSymbolicLink()) return 'a symbolic link';
  if (found.isFIFO()) return 'a fifo';
  return found.isSocket() ? 'a socket' : 'a device';
}
