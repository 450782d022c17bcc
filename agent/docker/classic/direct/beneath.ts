/**
 * Files below one directory, and nothing else, however strangers have filled it: no link is followed in any component,
 * and only regular files are opened. Node has no openat(2); `/proc/self/fd/N/NAME` is the same. All calls are
 * synchronous: for a thread of its own.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import { Odd } from './odd.ts';

/** O_PATH of Linux, which Node has no name for: opening so touches nothing, not even a device. */
const O_PATH = 0o10000000;
const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_RDONLY } = constants;
const IS_ASCII = /^[ -~]*$/;
/** As Linux has it. */
const LINKS_FOLLOWED_MAX = 40;
/** A service may have 1,024 descriptors. */
const DIRECTORIES_MAX = 256;

/** A regular file that is open; whoever opened it closes it. */
export interface OpenFile {
  readonly fd: number;
  readonly size: number;
}

/** Paths are bytes as latin1 text: names of files are bytes, and need not be UTF-8. */
export class Beneath implements Disposable {
  readonly #root: number;
  /** Open directories by their path; those that were used last are last. */
  readonly #directories = new Map<string, number>();
  /** The directory that was asked for last, as it was asked for: files come one directory after the other. */
  #latest: { readonly path: string; readonly fd: number } | undefined;
  /** Names of regular files in the directory that was listed last. */
  #listed: { readonly fd: number; readonly path: string; readonly files: ReadonlySet<string> } | undefined;

  /** Links on the way to `path` are followed: it is the place that is meant. Throws what the system says. */
  constructor(path: string) {
    this.#root = openSync(path, O_PATH | O_DIRECTORY);
  }

  /** Throws Odd for what is no regular file, and where a component is no directory. */
  open(path: string): OpenFile {
    const { directory, name } = this.#placeOf(path);
    const found = this.#openIn(directory, name, O_PATH, path);
    try {
      const { size, mode } = fstatSync(found);
      const type = mode & constants.S_IFMT;
      if (type === constants.S_IFLNK) throw new Odd('is a link', path);
      if (type !== constants.S_IFREG) throw new Odd('is no regular file', path, { hopeless: true });
      return { fd: reopen(found, path), size };
    } finally {
      closeSync(found);
    }
  }

  /**
   * Sees that whoever opens `path` by way of any links gets a regular file that is below `base`. Opens no file. Throws Odd
   * where it may be another one, or is none: below another directory, which this one is laid over, there may be one.
   */
  check(base: string, path: string): void {
    if (this.#isListed(`${base}/${path}`)) return;
    const above = componentsOf(base);
    const parts = componentsOf(path);
    const left = parts.reverse();
    const real = [...above];
    for (let links = 0; left.length > 0; ) {
      const name = left.pop() as string;
      if (name === '..' && real.length === above.length) throw new Odd('leads out of its directory', path);
      if (name === '..') {
        real.pop();
        continue;
      }
      real.push(name);
      const kind = this.#kindAt(real, path);
      if (kind === constants.S_IFLNK) {
        const target = readlinkSync(this.#pathOf(real, path), 'latin1');
        if (target.startsWith('/') || ++links > LINKS_FOLLOWED_MAX)
          throw new Odd('leads out of its directory', path);
        real.pop();
        left.push(...namesIn(target).reverse());
      } else if (kind !== (left.length > 0 ? constants.S_IFDIR : constants.S_IFREG))
        throw new Odd('is no regular file', path);
    }
  }

  /** Whether that is a regular file in a directory that is reached by no link. */
  #isListed(path: string): boolean {
    try {
      const { directory, name } = this.#placeOf(path);
      const at = this.#latest?.path ?? '';
      if (this.#listed?.fd !== directory || this.#listed.path !== at)
        this.#listed = { fd: directory, path: at, files: filesIn(directory) };
      return this.#listed.files.has(name);
    } catch (error) {
      if (error instanceof Odd) return false;
      throw error;
    }
  }

  #placeOf(path: string): { readonly directory: number; readonly name: string } {
    const end = path.lastIndexOf('/');
    const name = path.slice(end + 1);
    if (this.#latest && isPlain(name) && path.slice(0, Math.max(0, end)) === this.#latest.path)
      return { directory: this.#latest.fd, name };
    const components = componentsOf(path);
    const last = components.pop();
    if (last === undefined) throw new Odd('is no path of a file', path);
    const directory = this.#directory(components, path);
    this.#latest = isPlain(name) ? { path: path.slice(0, Math.max(0, end)), fd: directory } : undefined;
    return { directory, name: last };
  }

  /** The type of a file as stat(2) has it. Throws Odd for none, and where a directory on the way is none. */
  #kindAt(components: readonly string[], path: string): number {
    try {
      return lstatSync(this.#pathOf(components, path)).mode & constants.S_IFMT;
    } catch (error) {
      throw Odd.of(error, path);
    }
  }

  #pathOf(components: readonly string[], path: string): string | Buffer {
    return within(this.#directory(components.slice(0, -1), path), components.at(-1) as string);
  }

  /** All of a small file. Throws Odd for one of more than `maxBytes`. */
  read(path: string, maxBytes: number): Buffer {
    const { fd, size } = this.open(path);
    try {
      if (size > maxBytes) throw new Odd(`has more than ${maxBytes} bytes`, path);
      const bytes = Buffer.alloc(size);
      let have = 0;
      while (have < size) {
        const got = readSync(fd, bytes, have, size - have, have);
        if (got === 0) throw new Odd('was cut while it was read', path);
        have += got;
      }
      return bytes;
    } finally {
      closeSync(fd);
    }
  }

  #directory(components: readonly string[], path: string): number {
    let directory = this.#root;
    let at = '';
    for (const name of components) {
      at += `/${name}`;
      directory = this.#known(at) ?? this.#enter(directory, name, at, path);
    }
    return directory;
  }

  #known(at: string): number | undefined {
    const known = this.#directories.get(at);
    if (known === undefined) return undefined;
    this.#directories.delete(at);
    this.#directories.set(at, known);
    return known;
  }

  #enter(directory: number, name: string, at: string, path: string): number {
    const entered = this.#openIn(directory, name, O_PATH | O_DIRECTORY, path);
    this.#directories.set(at, entered);
    if (this.#directories.size > DIRECTORIES_MAX) {
      const [[oldest, fd] = ['', -1]] = this.#directories;
      this.#directories.delete(oldest);
      closeSync(fd);
      if (this.#latest?.fd === fd) this.#latest = undefined;
      if (this.#listed?.fd === fd) this.#listed = undefined;
    }
    return entered;
  }

  #openIn(directory: number, name: string, flags: number, path: string): number {
    try {
      return openSync(within(directory, name), flags | O_NOFOLLOW);
    } catch (error) {
      throw Odd.of(error, path);
    }
  }

  /** Closes all directories but the root: one that is gone, and made again since, is another one. */
  forget(): void {
    for (const fd of this.#directories.values()) closeSync(fd);
    this.#directories.clear();
    this.#latest = undefined;
    this.#listed = undefined;
  }

  [Symbol.dispose](): void {
    this.forget();
    closeSync(this.#root);
  }
}

/** What an O_PATH descriptor stands for, for reading. */
function reopen(fd: number, path: string): number {
  try {
    return openSync(`/proc/self/fd/${fd}`, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  } catch (error) {
    throw Odd.of(error, path);
  }
}

/** A name in an open directory. */
function within(directory: number, name: string): string | Buffer {
  const path = `/proc/self/fd/${directory}/${name}`;
  return IS_ASCII.test(name) ? path : Buffer.from(path, 'latin1');
}

function isPlain(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..';
}

/** The regular files in an open directory. */
function filesIn(directory: number): ReadonlySet<string> {
  const found = readdirSync(`/proc/self/fd/${directory}`, { encoding: 'latin1', withFileTypes: true });
  return new Set(found.flatMap((one) => (one.isFile() ? one.name : [])));
}

/** Empty components and dots mean nothing. */
function namesIn(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

/** As an unpacker cleans a path of a tar. Throws Odd where it climbs. */
function componentsOf(path: string): string[] {
  const components = namesIn(path);
  if (components.includes('..')) throw new Odd('climbs out of its directory', path);
  return components;
}
