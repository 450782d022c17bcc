/** Files that appear whole under their name, and never in the place of another one. */
import { link, rename, unlink } from 'node:fs/promises';
import { lstatIfAny } from './lstat-if-any.ts';

/** What link(2) says where the file system has none: FAT, as sticks often have it, and some shares. */
const WITHOUT_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/** Gives a finished file its name. Throws EEXIST, as link(2) does, where something has it. */
export async function giveName(temporary: string, path: string): Promise<void> {
  try {
    // Unlike a rename it fails where somebody has made the file meanwhile.
    await link(temporary, path);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!WITHOUT_LINKS.has(code)) throw error;
    if (await lstatIfAny(path)) throw Object.assign(new Error(`${path} exists already`), { code: 'EEXIST' });
    return rename(temporary, path);
  }
  await unlink(temporary);
}
