import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';

/** What has this name, and not what that leads to; undefined for nothing. Throws what else the system says. */
export async function lstatIfAny(path: string): Promise<Stats | undefined> {
  return lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
}
