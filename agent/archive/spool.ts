/** A file that has no name: what cannot be read twice is kept in it, and it is gone with this process. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { counted } from '../../proto/counted.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { fileBytes } from '../streams/file-bytes.ts';
import { fileError, whyNot } from '../streams/file-error.ts';
import { FILE_MODE } from './folder.ts';

export class Spool implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #what: string;
  bytes = 0;

  private constructor(file: FileHandle, what: string) {
    this.#file = file;
    this.#what = what;
  }

  /** In TMPDIR, 0600. `what` is kept in it, for errors. */
  static async open(what: string): Promise<Spool> {
    const path = join(tmpdir(), `imgmv-${process.pid}-${randomBytes(6).toString('hex')}`);
    try {
      const file = await open(path, 'wx+', FILE_MODE);
      await unlink(path);
      return new Spool(file, what);
    } catch (cause) {
      throw fileError(`cannot keep ${what} under ${tmpdir()}`, path, cause, {
        toWrite: true,
        hint: 'set TMPDIR to another directory',
      });
    }
  }

  /** Throws refused where there is no room. */
  async write(chunk: Uint8Array): Promise<void> {
    try {
      await this.#file.appendFile(chunk);
    } catch (cause) {
      throw noRoomFor(this.#what, tmpdir(), this.bytes, cause, 'set TMPDIR to another directory');
    }
    this.bytes += chunk.length;
  }

  read(start: number, end: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    return fileBytes(this.#file, start, end, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/** What the place that was named is like, which is no fault of ours. */
const NOT_TO_BE_WRITTEN = ['EROFS', 'EACCES', 'EPERM', 'EISDIR', 'ENOTDIR', 'EBUSY', 'ENAMETOOLONG'];

/** The error for a write that failed: refused where the disk is full, usage where the place cannot be written. */
export function noRoomFor(
  what: string,
  path: string,
  bytes: number,
  cause: unknown,
  hint: string,
): ImgmvError {
  const { code = '' } = cause as NodeJS.ErrnoException;
  if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code))
    return new ImgmvError(
      'refused',
      `no room for ${what} under ${path}: it was full after ${counted(bytes, 'byte')}`,
      {
        cause,
        hint,
      },
    );
  const theirs = NOT_TO_BE_WRITTEN.includes(code);
  return new ImgmvError(
    theirs ? 'usage' : 'internal',
    `cannot write ${what} under ${path}: ${whyNot(path, cause)}`,
    {
      cause,
    },
  );
}
