/** A clock of one process that can be set while it runs: libfaketime, which leaves the machine's clock alone. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const LIBRARIES = '/usr/lib';
const LIBRARY = 'faketime/libfaketime.so.1';

let found: string | undefined;

/** Where the library is; undefined where it is not installed. */
export async function fakeClockLibrary(): Promise<string | undefined> {
  if (found !== undefined) return found;
  const entries = await readdir(LIBRARIES, { withFileTypes: true });
  for (const entry of entries.filter((one) => one.isDirectory())) {
    const path = join(LIBRARIES, entry.name, LIBRARY);
    if (await readdir(join(path, '..')).catch(() => undefined)) found = path;
  }
  return found;
}

/** The environment of a process whose wall clock is off by what `file` says, now 0. The monotonic one stays true. */
export async function fakeClock(file: string): Promise<Record<string, string>> {
  const library = await fakeClockLibrary();
  if (library === undefined) throw new Error('libfaketime is not installed');
  await writeFile(file, '+0');
  return {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
}
