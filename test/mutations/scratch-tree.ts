/** A copy of the tree that may be broken: the code and the tests are copied, the packages are those of the original. */
import { cp, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { scratchDirectory } from '../rig/scratch.ts';

export interface ScratchTree extends AsyncDisposable {
  readonly path: string;
  /** Gives a file of the copy another text. */
  write(file: string, text: string): Promise<void>;
}

/** Not copied: what is large, made anew, or of no use there. */
const LEFT_OUT = new Set(['node_modules', '.git', 'dist', 'coverage']);

export async function scratchTree(root: string): Promise<ScratchTree> {
  const scratch = await scratchDirectory();
  const path = join(scratch.path, 'tree');
  await cp(root, path, { recursive: true, filter: (from) => from === root || !LEFT_OUT.has(basename(from)) });
  // A directory of links, not a link: what vitest keeps there is not for several runs at once.
  await mkdir(join(path, 'node_modules'));
  for (const name of await readdir(join(root, 'node_modules')))
    if (!name.startsWith('.vite'))
      await symlink(join(root, 'node_modules', name), join(path, 'node_modules', name));
  return {
    path,
    async write(file, text) {
      // Never through a link into the original.
      await rm(join(path, file));
      await writeFile(join(path, file), text);
    },
    [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose](),
  };
}
