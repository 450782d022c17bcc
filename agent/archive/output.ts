/** Where an archive is written: a file that appears when it is whole, or standard output. */
import { randomBytes } from 'node:crypto';
import { unlinkSync } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ImgmvError } from '../../proto/errors.ts';
import { type Room, roomAt } from '../model/room.ts';
import { usage } from '../streams/errors.ts';
import { whyNot } from '../streams/file-error.ts';
import { giveName } from '../streams/new-name.ts';
import { orAborted } from '../streams/or-aborted.ts';
import { cannotWrite, FILE_MODE } from './folder.ts';
import { kindAt, REGULAR_FILE } from './kind-at.ts';
import { noRoomFor } from './spool.ts';

export interface Output extends AsyncDisposable {
  write(chunk: Uint8Array): Promise<void>;
  readonly position: number;
  /** Forgets what was written since `position`. Absent where that cannot be. */
  truncate?(position: number): Promise<void>;
  room(): Promise<Room | undefined>;
  /** All has been written. Disposed of without it, nothing stays. */
  finish(): Promise<void>;
}

/** Writes all of a chunk; throws what the system says. */
export type WriteStdout = (chunk: Uint8Array) => Promise<void>;

export class FileOutput implements Output {
  readonly #path: string;
  readonly #temporary: string;
  readonly #overwrite: boolean;
  readonly #file: FileHandle;
  /** Also when a second signal ends the process at once. */
  readonly #remove = () => {
    try {
      unlinkSync(this.#temporary);
    } catch {
      // It is gone, or its directory is: there is nobody left to tell.
    }
  };
  position = 0;
  #done = false;

  private constructor(path: string, temporary: string, overwrite: boolean, file: FileHandle) {
    this.#path = path;
    this.#temporary = temporary;
    this.#overwrite = overwrite;
    this.#file = file;
    process.once('exit', this.#remove);
  }

  /** Throws usage where the file exists and is not to be replaced, or cannot be made. */
  static async create(given: string, overwrite: boolean): Promise<FileOutput> {
    const path = resolve(given);
    await requireFree(path, overwrite);
    const temporary = join(dirname(path), `.${basename(path)}.imgmv-${randomBytes(6).toString('hex')}`);
    const file = await open(temporary, 'wx', FILE_MODE).catch(cannotWrite(path));
    return new FileOutput(path, temporary, overwrite, file);
  }

  async write(chunk: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < chunk.length; )
        at += (await this.#file.write(chunk, at, chunk.length - at, this.position + at)).bytesWritten;
    } catch (cause) {
      const hint = 'make room, or name another disk';
      throw noRoomFor(basename(this.#path), dirname(this.#path), this.position, cause, hint);
    }
    this.position += chunk.length;
  }

  async truncate(position: number): Promise<void> {
    await this.#file.truncate(position);
    this.position = position;
  }

  room(): Promise<Room> {
    return roomAt(dirname(this.#path));
  }

  async finish(): Promise<void> {
    try {
      await this.#file.sync();
      await this.#place();
    } catch (cause) {
      if (cause instanceof ImgmvError) throw cause;
      throw noRoomFor(basename(this.#path), dirname(this.#path), this.position, cause, 'make room');
    }
    this.#done = true;
    process.off('exit', this.#remove);
    await syncDirectory(dirname(this.#path));
  }

  async #place(): Promise<void> {
    if (this.#overwrite) {
      await requireFree(this.#path, true);
      return rename(this.#temporary, this.#path);
    }
    try {
      await giveName(this.#temporary, this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') await requireFree(this.#path, false);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    if (this.#done) return;
    this.#remove();
    process.off('exit', this.#remove);
  }
}

/** Throws usage where there is something that is not to be replaced: nothing but a regular file ever is. */
export async function requireFree(path: string, overwrite: boolean): Promise<void> {
  const kind = await kindAt(path).catch(cannotWrite(path));
  if (kind === undefined) return;
  if (kind !== REGULAR_FILE)
    throw usage(`${path} is ${kind}, not a regular file`, {
      hint: 'name another one; - is standard output',
    });
  if (!overwrite) throw usage(`${path} exists already`, { hint: '--overwrite replaces it' });
}

/** The name is on the disk, too. */
async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync().catch((error: NodeJS.ErrnoException) => {
    // Some file systems have no such thing.
    if (error.code !== 'EINVAL' && error.code !== 'ENOTSUP') throw error;
  });
}

/** What has gone out cannot be taken back: once a blob was broken off, no archive comes of it. */
export class StreamOutput implements Output {
  readonly #write: WriteStdout;
  readonly #signal: AbortSignal;
  position = 0;

  constructor(write: WriteStdout, signal: AbortSignal) {
    this.#write = write;
    this.#signal = signal;
  }

  async write(chunk: Uint8Array): Promise<void> {
    try {
      // Whoever stops does not wait for a reader that reads no more.
      await orAborted(this.#write(chunk), this.#signal);
    } catch (cause) {
      this.#signal.throwIfAborted();
      throw new ImgmvError('refused', `cannot write to standard output: ${whyNot('-', cause)}`, {
        cause,
        hint: 'the command that reads it ended too soon',
      });
    }
    this.position += chunk.length;
  }

  async room(): Promise<undefined> {}

  async finish(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}
