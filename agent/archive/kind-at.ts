import { lstat } from 'node:fs/promises';

export const REGULAR_FILE = 'a regular file';
export const DIRECTORY = 'a directory';

/** What there is under a name, and not what that leads to; undefined for nothing. Throws what the system says. */
export async function kindAt(path: string): Promise<string | undefined> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (found === undefined) return undefined;
  if (found.isFile()) return REGULAR_FILE;
  if (found.isDirectory()) return DIRECTORY;
  if (found.isSymbolicLink()) return 'a symbolic link';
  if (found.isFIFO()) return 'a fifo';
  return found.isSocket() ? 'a socket' : 'a device';
}
