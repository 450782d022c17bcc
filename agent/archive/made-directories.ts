import { access, constants, mkdir, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { cannotWrite, FOLDER_MODE } from './folder.ts';

/** Those that had to be made for `path` to be there, the innermost first. Throws usage where that may not be written to. */
export async function makeDirectories(path: string): Promise<readonly string[]> {
  const first = await mkdir(path, { recursive: true, mode: FOLDER_MODE }).catch(cannotWrite(path));
  await access(path, constants.W_OK | constants.X_OK).catch(cannotWrite(path));
  if (first === undefined) return [];
  const made = [path];
  while (made.at(-1) !== first) made.push(dirname(made.at(-1) as string));
  return made;
}

/** One that somebody else has put something into stays. */
export async function removeEmpty(folders: readonly string[]): Promise<void> {
  for (const folder of folders)
    await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT' && error.code !== 'ENOTEMPTY') throw error;
    });
}
