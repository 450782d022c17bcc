/** skopeo's `dir:` format, of one image: made beside its place, and moved there when the image is whole. */
import { randomBytes } from 'node:crypto';
import { renameSync, rmSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, rm, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Digest, Image } from '../../model/image.ts';
import { type Room, roomAt } from '../../model/room.ts';
import { hexOf } from '../../oci/blob-path.ts';
import { isIndexType } from '../../oci/metadata.ts';
import { usage } from '../../streams/errors.ts';
import { once } from '../../streams/file-bytes.ts';
import { lstatIfAny } from '../../streams/lstat-if-any.ts';
import { type BlobStore, NewStore, type WholeImage } from '../blob-store.ts';
import { MANIFEST } from '../docker-archive/docker-archive.ts';
import { cannotWrite, FOLDER_MODE } from '../folder.ts';
import { DIRECTORY, kindAt } from '../kind-at.ts';
import { makeDirectories, removeEmpty } from '../made-directories.ts';
import { writeNewFile } from '../new-file.ts';

/** containers/image directory/directory_dest.go */
const VERSION = Buffer.from('Directory Transport Version: 1.1\n');

export class DirStore extends NewStore implements BlobStore {
  readonly #path: string;
  readonly #temporary: string;
  readonly #overwrite: boolean;
  readonly #made: readonly string[];
  /** Where the directory is meanwhile that is being replaced. */
  #old: string | undefined;
  /** Also when a second signal ends the process at once. */
  readonly #remove = () => {
    try {
      if (this.#old !== undefined && !this.#placed) renameSync(this.#old, this.#path);
      rmSync(this.#temporary, { recursive: true, force: true });
    } catch {
      // There is nobody left to tell.
    }
  };
  #placed = false;

  private constructor(path: string, temporary: string, overwrite: boolean, made: readonly string[]) {
    super();
    this.#path = path;
    this.#temporary = temporary;
    this.#overwrite = overwrite;
    this.#made = made;
    process.once('exit', this.#remove);
  }

  /** Throws usage where something is there that is not to be replaced. */
  static async create(given: string, overwrite: boolean): Promise<DirStore> {
    const path = resolve(given);
    await requireReplaceable(path, path, overwrite);
    const temporary = join(dirname(path), `.${basename(path)}.imgmv-${randomBytes(6).toString('hex')}`);
    const made = await makeDirectories(dirname(path));
    try {
      await mkdir(temporary, { mode: FOLDER_MODE }).catch(cannotWrite(path));
    } catch (error) {
      await removeEmpty(made);
      throw error;
    }
    return new DirStore(path, temporary, overwrite, made);
  }

  refusal({ root, store }: Image, others: number): string | undefined {
    if (others > 0) return 'a dir: holds one image';
    if (store === 'containerd' && isIndexType(root.mediaType))
      return 'a dir: holds the manifest of one platform, and this image is an index; oci: holds both';
    return undefined;
  }

  room(): Promise<Room> {
    return roomAt(dirname(this.#path));
  }

  protected write(digest: Digest, _size: number, body: AsyncIterable<Buffer>): Promise<void> {
    return this.#write(hexOf(digest), body);
  }

  async add({ root, metadata }: WholeImage): Promise<void> {
    for (const [digest, bytes] of metadata)
      if (digest !== root.digest) await this.put(digest, bytes.length, once(bytes));
    await this.#write(MANIFEST, once(root.bytes));
    await this.#write('version', once(VERSION));
  }

  async finish(): Promise<void> {
    if (this.#overwrite && (await kindAt(this.#path)) !== undefined) await this.#replace();
    else await this.#place();
  }

  /** A directory replaces an empty one, and no other. */
  async #place(): Promise<void> {
    await this.#keepMode(this.#path);
    try {
      await rename(this.#temporary, this.#path);
    } catch (error) {
      await requireReplaceable(this.#path, this.#path, false);
      throw error;
    }
    this.#placed = true;
  }

  /** Who may look into a directory that is replaced was decided by its owner. */
  async #keepMode(replaced: string): Promise<void> {
    const found = await lstatIfAny(replaced);
    if (found?.isDirectory()) await chmod(this.#temporary, found.mode & 0o7777);
  }

  /** What is there is looked at when nobody can find it any more, and goes back where it is not to go. */
  async #replace(): Promise<void> {
    const old = `${this.#temporary}-old`;
    await rename(this.#path, old);
    this.#old = old;
    let names: readonly string[];
    try {
      await this.#keepMode(old);
      names = await requireReplaceable(old, this.#path, true);
      await this.#place();
    } catch (error) {
      await this.#putBack(old, error);
      throw error;
    }
    for (const name of names) await unlink(join(old, name));
    // Who had it open may have put something into it since: that stays.
    await rmdir(old).catch(() => {});
  }

  async #putBack(old: string, error: unknown): Promise<void> {
    try {
      await rename(old, this.#path);
    } catch {
      const { message } = error as Error;
      throw usage(`cannot replace ${this.#path}: ${message}`, {
        cause: error,
        hint: `what was there is in ${old}`,
      });
    } finally {
      this.#old = undefined;
    }
  }

  #write(name: string, body: AsyncIterable<Buffer>): Promise<void> {
    return writeNewFile(join(this.#temporary, name), body, { name, path: dirname(this.#path) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#remove);
    if (this.#placed) return;
    await rm(this.#temporary, { recursive: true, force: true });
    await removeEmpty(this.#made);
  }
}

/** What a `dir:` is made of, with the parts that only others write: manifests of more platforms, and signatures. */
const PART = /^(version|([0-9a-f]{64}\.)?manifest\.json|[0-9a-f]{64}|([0-9a-f]{64}-)?signature-[0-9]+)$/;

/**
 * The names of all that is in the directory `at`, which is called `path`; none where there is no such directory.
 * Throws usage where it is not to be replaced: without `overwrite` it is empty, with it nothing but a `dir:`.
 */
async function requireReplaceable(at: string, path: string, overwrite: boolean): Promise<readonly string[]> {
  const kind = await kindAt(at).catch(cannotWrite(path));
  if (kind === undefined) return [];
  if (kind !== DIRECTORY) throw usage(`${path} is ${kind}, not a directory`, { hint: 'name another one' });
  const found = await readdir(at, { withFileTypes: true }).catch(cannotWrite(path));
  const names = found.map(({ name }) => name);
  if (names.length === 0) return names;
  const other = found.find((one) => !one.isFile() || !PART.test(one.name))?.name;
  const isDir = other === undefined && names.includes('version') && names.includes(MANIFEST);
  if (overwrite && isDir) return names;
  const holds = other === undefined ? 'something else' : JSON.stringify(other);
  throw usage(`${path} exists already`, {
    hint: isDir ? '--overwrite replaces it' : `it holds ${holds}, which no dir: has; name another one`,
  });
}
