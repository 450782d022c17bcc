/** What comes with the program: beside it where it is installed, inside of it where it is a single file. */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Whether this is a single executable: the build defines it, and a checkout has none. */
declare const SINGLE_FILE: boolean;

/** Node's own module for single executables. No import: Node before 20.12 has none. */
type Sea = typeof import('node:sea');

export const isSingleFile = typeof SINGLE_FILE === 'boolean' && SINGLE_FILE;

/** Where package.json of imgmv stands: one folder up, in the sources and in dist/. */
export const INSTALLED = isSingleFile ? '' : fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

const here = isSingleFile ? process.execPath : import.meta.url;

/** An unnamed file in a directory (open(2), Linux); Node has no constant for it, and processors differ in one of its parts. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

/** `docs/push.md`, `package.json`: a file of imgmv's, by where it stands in its folder. Throws as `readFileSync` does. */
export function shippedText(path: string): string {
  return isSingleFile ? sea().getAsset(path, 'utf8') : readFileSync(join(INSTALLED, path), 'utf8');
}

/** What `require` gives for `name`, an addon that is compiled for this machine. Throws as `require` does. */
export function shippedAddon(name: string): unknown {
  return isSingleFile ? addonFrom(Buffer.from(sea().getAsset(name))) : createRequire(here)(name);
}

function sea(): Sea {
  return createRequire(here)('node:sea') as Sea;
}

/**
 * The loader takes a file only, and only from where programs may run: an unnamed one in the first directory that does.
 * Throws what the loader said of the last.
 */
function addonFrom(bytes: Buffer): unknown {
  let refused: unknown;
  for (const directory of new Set([tmpdir(), '/dev/shm', '/run', '/var/tmp', homedir(), process.cwd()])) {
    let file: number | undefined;
    try {
      file = openSync(directory, constants.O_RDWR | O_TMPFILE, 0o700);
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      const loaded = { exports: {} };
      process.dlopen(loaded, `/proc/self/fd/${file}`);
      return loaded.exports;
    } catch (error) {
      refused = error;
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }
  throw refused;
}
