/** The files of an OCI layout or a `dir:` on disk as contents. Links are not followed, wherever below it they are. */
import type { FileHandle } from 'node:fs/promises';
import { integrity, usage } from '../streams/errors.ts';
import { fileBytes } from '../streams/file-bytes.ts';
import { type Contents, Heads, type ReadFile, type StoredFile } from './contents.ts';
import { Folder } from './folder.ts';
import { ENTRIES_MAX } from './limits.ts';

interface Place {
  readonly folder: Folder;
  readonly name: string;
}

export class DirectoryContents implements Contents {
  readonly files: ReadonlyMap<string, StoredFile>;
  readonly links: ReadonlyMap<string, string> = new Map();
  readonly #folders: readonly Folder[];
  readonly #places: ReadonlyMap<string, Place>;

  private constructor(
    folders: readonly Folder[],
    places: ReadonlyMap<string, Place>,
    files: ReadonlyMap<string, StoredFile>,
  ) {
    this.#folders = folders;
    this.#places = places;
    this.files = files;
  }

  /** Looks at the files whose names `wanted` takes, in `paths` of `path` ('' is `path` itself). */
  static async open(
    path: string,
    paths: readonly string[],
    wanted: (name: string) => boolean,
    signal: AbortSignal,
  ): Promise<DirectoryContents> {
    const folders: Folder[] = [await Folder.open(path)];
    try {
      const files = new Map<string, StoredFile>();
      const places = new Map<string, Place>();
      const heads = new Heads();
      for (const below of paths) {
        const folder = await folderBelow(folders, below);
        const names = (await folder?.names()) ?? [];
        if (names.length > ENTRIES_MAX) throw integrity(`more than ${ENTRIES_MAX} files in ${folder?.path}`);
        for (const name of names.toSorted()) {
          const full = below === '' ? name : `${below}/${name}`;
          if (!folder || !wanted(full)) continue;
          const place = { folder, name };
          await using file = await openBlob(place);
          const { size } = await file.stat();
          files.set(full, await heads.of(size, fileBytes(file, 0, size, signal)));
          places.set(full, place);
        }
      }
      return new DirectoryContents(folders, places, files);
    } catch (error) {
      await close(folders);
      throw error;
    }
  }

  async *read(names: ReadonlySet<string>, signal: AbortSignal): AsyncGenerator<ReadFile> {
    for (const name of names) {
      await using file = await openBlob(this.#places.get(name) as Place);
      yield { name, body: fileBytes(file, 0, Number.POSITIVE_INFINITY, signal) };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await close(this.#folders);
  }
}

/** That at `path` below the first of `folders`, to which it and those above it are added; undefined for none. */
async function folderBelow(folders: Folder[], path: string): Promise<Folder | undefined> {
  let folder = folders[0];
  for (const name of path === '' ? [] : path.split('/')) {
    folder = await folder?.folder(name);
    if (!folder) return undefined;
    folders.push(folder);
  }
  return folder;
}

async function openBlob({ folder, name }: Place): Promise<FileHandle> {
  const file = await folder.file(name);
  if (!file) throw usage(`cannot read ${folder.path}/${name}: it is gone`);
  return file;
}

async function close(folders: readonly Folder[]): Promise<void> {
  for (const folder of folders) await folder[Symbol.asyncDispose]();
}
