/**
 * A directory that is held open. What is in it is named by way of its descriptor, so that nothing below it is found
 * through a link, and nobody can put another directory in its place meanwhile.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ImgmvError } from '../../proto/errors.ts';
import { integrity, usage } from '../streams/errors.ts';
import { fileError, missingDirectory } from '../streams/file-error.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** Of what holds images: they are their owner's business. */
export const FILE_MODE = 0o600;
export const FOLDER_MODE = 0o700;

export class Folder implements AsyncDisposable {
  /** As people know it. */
  readonly path: string;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** The path itself may lead through links: whoever runs this has named it. Throws image-not-found, or usage. */
  static async open(path: string): Promise<Folder> {
    try {
      return new Folder(path, await open(path, O_RDONLY | O_DIRECTORY));
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'ENOENT') throw notThere('directory', path, cause);
      throw cannot('read', path, cause);
    }
  }

  /** What the system finds an entry by; a link there is followed by those that follow links. */
  at(name: string): string {
    return `/proc/self/fd/${this.#handle.fd}/${name}`;
  }

  async names(): Promise<readonly string[]> {
    return readdir(this.at('.')).catch((cause: unknown) => {
      throw cannot('read', this.path, cause);
    });
  }

  /** Undefined where there is none. Throws integrity for what is no directory, a link to one included. */
  async folder(name: string): Promise<Folder | undefined> {
    const handle = await this.#open(name, O_DIRECTORY, 'directory');
    return handle && new Folder(join(this.path, name), handle);
  }

  /** The same, and made where there is none. */
  async madeFolder(name: string): Promise<Folder> {
    await mkdir(this.at(name), { mode: FOLDER_MODE }).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EEXIST') throw cannot('write', join(this.path, name), cause);
    });
    const folder = await this.folder(name);
    if (!folder) throw usage(`${join(this.path, name)} was removed in the meantime`);
    return folder;
  }

  /** A regular file, to be read; undefined where there is none. Throws integrity for anything else. */
  async file(name: string): Promise<FileHandle | undefined> {
    // A fifo would wait for a writer.
    const file = await this.#open(name, O_NONBLOCK, 'regular file');
    if (!file || (await file.stat()).isFile()) return file;
    await file.close();
    throw isNone(join(this.path, name), 'regular file');
  }

  /** All of a file that has to be small. Throws integrity for one of more than `maxBytes`, and as `file` does. */
  async smallFile(name: string, maxBytes: number): Promise<Buffer | undefined> {
    await using file = await this.file(name);
    if (!file) return undefined;
    const room = Buffer.alloc(maxBytes + 1);
    let bytes = 0;
    while (bytes < room.length) {
      const { bytesRead } = await file.read(room, bytes, room.length - bytes, bytes);
      if (bytesRead === 0) return room.subarray(0, bytes);
      bytes += bytesRead;
    }
    throw integrity(`${join(this.path, name)} has more than ${maxBytes} bytes`);
  }

  async #open(name: string, flags: number, kind: string): Promise<FileHandle | undefined> {
    const path = join(this.path, name);
    try {
      return await open(this.at(name), O_RDONLY | O_NOFOLLOW | flags);
    } catch (cause) {
      const { code = '' } = cause as NodeJS.ErrnoException;
      if (code === 'ENOENT') return undefined;
      // A link, another kind of entry, and a socket.
      if (['ELOOP', 'ENOTDIR', 'ENXIO'].includes(code)) throw isNone(path, kind);
      throw cannot('read', path, cause);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

function isNone(path: string, kind: string): ImgmvError {
  return integrity(`${JSON.stringify(path)} is not a ${kind}`, { hint: 'links are not followed there' });
}

/** For a file or directory that was named, to be read. */
export function notThere(kind: 'file' | 'directory', path: string, cause: unknown): ImgmvError {
  const above = missingDirectory(path, cause);
  const hint = above === undefined ? undefined : `there is no directory ${above}: check the path`;
  return new ImgmvError('image-not-found', `no such ${kind}: ${path}`, { cause, hint });
}

export function cannot(what: 'read' | 'write', path: string, cause: unknown): ImgmvError {
  return fileError(`cannot ${what} ${path}`, path, cause, { toWrite: what === 'write' });
}

/** For a `catch`: the error for a path that was named. */
export function cannotWrite(path: string): (cause: unknown) => never {
  return (cause) => {
    throw cannot('write', path, cause);
  };
}
