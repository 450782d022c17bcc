/** skopeo's `dir:` format, of one image: made beside its place, and moved there when the image is whole. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ImgmvError } from '../../proto/errors.ts';
import { isIndexType } from '../engine/metadata.ts';
import type { Digest, Image } from '../image.ts';
import type { BlobStore, WholeImage } from './blob-store.ts';
import { dirName } from './dir-image.ts';
import { MANIFEST } from './docker-archive.ts';
import { once } from './file-bytes.ts';
import { noRoomFor } from './spool.ts';

/** containers/image directory/directory_dest.go */
const VERSION = Buffer.from('Directory Transport Version: 1.1\n');

export class DirStore implements BlobStore {
  readonly there: readonly Image[] = [];
  readonly #path: string;
  readonly #temporary: string;
  readonly #sizes = new Map<Digest, number>();
  readonly #remove = () => rmSync(this.#temporary, { recursive: true, force: true });
  #placed = false;

  private constructor(path: string, temporary: string) {
    this.#path = path;
    this.#temporary = temporary;
    process.once('exit', this.#remove);
  }

  /** Throws usage where something is there that is not to be replaced. */
  static async create(given: string, overwrite: boolean): Promise<DirStore> {
    const path = resolve(given);
    const names = await readdir(path).catch((error: NodeJS.ErrnoException): string[] => {
      if (error.code === 'ENOENT') return [];
      throw new ImgmvError('usage', `cannot write ${path}: ${error.message}`, { cause: error });
    });
    if (names.length > 0 && !(overwrite && names.includes('version') && names.includes(MANIFEST)))
      throw new ImgmvError('usage', `${path} exists already`, {
        hint: names.includes(MANIFEST)
          ? '--overwrite replaces it'
          : 'it holds something else: name another one',
      });
    const temporary = join(dirname(path), `.${basename(path)}.imgmv-${randomBytes(6).toString('hex')}`);
    try {
      await mkdir(temporary, { recursive: true });
    } catch (cause) {
      throw new ImgmvError('usage', `cannot make ${path}: ${(cause as Error).message}`, { cause });
    }
    return new DirStore(path, temporary);
  }

  sizeOf(digest: Digest): number | undefined {
    return this.#sizes.get(digest);
  }

  refusal({ root, store }: Image, others: number): string | undefined {
    if (others > 0) return 'a dir: holds one image';
    if (store === 'containerd' && isIndexType(root.mediaType))
      return 'a dir: holds the manifest of one platform, and this image is an index; oci: holds both';
    return undefined;
  }

  async room() {
    const path = dirname(this.#path);
    const { bavail, bsize } = await statfs(path);
    return { path, freeBytes: bavail * bsize };
  }

  async put(digest: Digest, size: number, body: AsyncIterable<Buffer>): Promise<void> {
    await this.#write(dirName(digest), body);
    this.#sizes.set(digest, size);
  }

  async add({ root, metadata }: WholeImage): Promise<void> {
    for (const [digest, bytes] of metadata)
      if (digest !== root.digest) await this.put(digest, bytes.length, once(bytes));
    await this.#write(MANIFEST, once(root.bytes));
    await this.#write('version', once(VERSION));
  }

  async name(): Promise<void> {
    throw new ImgmvError('internal', 'a new dir: has no image yet');
  }

  async finish(): Promise<void> {
    const old = `${this.#temporary}-old`;
    // A directory replaces an empty one, and no other.
    const replaced = await rename(this.#path, old).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return false;
        throw error;
      },
    );
    await rename(this.#temporary, this.#path);
    this.#placed = true;
    if (replaced) await rm(old, { recursive: true, force: true });
  }

  async #write(name: string, body: AsyncIterable<Buffer>): Promise<void> {
    const path = join(this.#temporary, name);
    let bytes = 0;
    try {
      await using file = await open(path, 'wx');
      for await (const chunk of body) {
        await file.appendFile(chunk).catch((cause: unknown) => {
          throw noRoomFor(name, dirname(this.#path), bytes, cause, 'make room, or name another disk');
        });
        bytes += chunk.length;
      }
      await file.sync();
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#remove);
    if (!this.#placed) await rm(this.#temporary, { recursive: true, force: true });
  }
}
