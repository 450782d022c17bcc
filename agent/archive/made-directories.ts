import { access, constants, mkdir, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { usage } from '../streams/errors.ts';
import { FOLDER_MODE } from './folder.ts';

/** Those that had to be made for `path` to be there, the innermost first. Throws usage where that may not be written to. */
export async function makeDirectories(path: string): Promise<readonly string[]> {
  try {
    const first = await mkdir(path, { recursive: true, mode: FOLDER_MODE });
    await access(path, constants.W_OK | constants.X_OK);
    if (first === undefined) return [];
    const made: string[] = [];
    for (let folder = path; ; folder = dirname(folder)) {
      made.push(folder);
      if (folder === first) return made;
    }
  } catch (cause) {
    throw usage(`cannot write ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** One that somebody else has put something into stays. */
export async function removeEmpty(folders: readonly string[]): Promise<void> {
  for (const folder of folders)
    await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT' && error.code !== 'ENOTEMPTY') throw error;
    });
}
