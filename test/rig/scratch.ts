import { rmSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atExit, isAlive } from './cleanup.ts';

const PREFIX = 'imgmv-rig-';

/** A directory under the system's temporary one, removed with all it holds when disposed. */
export interface ScratchDirectory extends AsyncDisposable {
  readonly path: string;
}

let swept = false;

/** Makes a scratch directory; the first call also removes those whose process has died. */
export async function scratchDirectory(): Promise<ScratchDirectory> {
  if (!swept) {
    swept = true;
    await sweep();
  }
  // The owner's id is part of the name: a directory is never seen without its owner.
  const path = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
  const forget = atExit(() => rmSync(path, { recursive: true, force: true }));
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true });
      forget();
    },
  };
}

async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const owner = /^imgmv-rig-(\d+)-/.exec(name)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}
