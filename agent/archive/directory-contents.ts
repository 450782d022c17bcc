/** The files of an OCI layout or a `dir:` on disk as contents. Links are not followed. */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ImgmvError } from '../../proto/errors.ts';
import { type Contents, type FileFacts, Measure, type ReadFile } from './contents.ts';
import { fileBytes } from './file-bytes.ts';

export class DirectoryContents implements Contents {
  readonly files: ReadonlyMap<string, FileFacts>;
  readonly links: ReadonlyMap<string, string> = new Map();
  readonly #path: string;

  private constructor(path: string, files: ReadonlyMap<string, FileFacts>) {
    this.#path = path;
    this.files = files;
  }

  /** Reads the files whose names `wanted` takes, in `folders` of `path` ('' is `path` itself). */
  static async open(
    path: string,
    folders: readonly string[],
    wanted: (name: string) => boolean,
    signal: AbortSignal,
  ): Promise<DirectoryContents> {
    const files = new Map<string, FileFacts>();
    const measure = new Measure();
    for (const folder of folders)
      for (const name of (await namesIn(path, folder)).filter(wanted)) {
        await using file = await openBlob(join(path, name));
        files.set(name, await measure.file(fileBytes(file, 0, Number.POSITIVE_INFINITY, signal)));
      }
    return new DirectoryContents(path, files);
  }

  async *read(names: ReadonlySet<string>, signal: AbortSignal): AsyncGenerator<ReadFile> {
    for (const name of names) {
      await using file = await openBlob(join(this.#path, name));
      yield { name, body: fileBytes(file, 0, Number.POSITIVE_INFINITY, signal) };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** `folder/name`, sorted. None where there is no such folder; `path` itself has to be there. */
async function namesIn(path: string, folder: string): Promise<readonly string[]> {
  try {
    const names = await readdir(join(path, folder));
    return names.sort().map((name) => (folder === '' ? name : `${folder}/${name}`));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' && folder !== '') return [];
    if (code === 'ENOENT') throw new ImgmvError('image-not-found', `no such directory: ${path}`, { cause });
    throw new ImgmvError('usage', `cannot read ${path}: ${message}`, { cause });
  }
}

async function openBlob(path: string): Promise<FileHandle> {
  try {
    // A fifo would wait for a writer.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code !== 'ELOOP') throw new ImgmvError('usage', `cannot read ${path}: ${message}`, { cause });
  }
  throw new ImgmvError('integrity', `${JSON.stringify(path)} is no regular file`);
}
