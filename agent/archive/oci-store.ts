/** An OCI layout on disk, new or grown: an image is in it as soon as it is whole, and stays whatever comes behind it. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { ImgmvError } from '../../proto/errors.ts';
import type { Digest, Image, Name } from '../image.ts';
import { canonical, parseTarget } from '../reference.ts';
import type { BlobStore, WholeImage } from './blob-store.ts';
import { once } from './file-bytes.ts';
import { makeDirectories, removeEmpty } from './made-directories.ts';
import {
  blobName,
  IMAGE_NAME,
  INDEX,
  LAYOUT,
  ociImages,
  parseIndex,
  REF_NAME,
  ROOT_KIND,
} from './oci-images.ts';
import { LAYOUT_BYTES, type LayoutDescriptor, namedDescriptors, ociDescriptors } from './oci-index.ts';
import { openOciLayout } from './open-layout.ts';
import { noRoomFor } from './spool.ts';

const BLOBS = 'blobs/sha256';

type WholeIndex = Readonly<Record<string, unknown>> & { readonly manifests: readonly LayoutDescriptor[] };

const EMPTY: WholeIndex = { schemaVersion: 2, manifests: [] };

export class OciStore implements BlobStore {
  readonly there: readonly Image[];
  readonly #path: string;
  /** `index.json` as it is, with what of it we do not know. */
  #index: WholeIndex;
  readonly #sizes: Map<Digest, number>;
  /** Blobs that no image names yet. */
  readonly #loose = new Set<Digest>();
  /** Directories to remove where nothing comes of it, the innermost first. */
  readonly #made: readonly string[];
  readonly #temporary = new Set<string>();
  #committed = false;
  #last: Promise<void> = Promise.resolve();
  readonly #removeTemporary = () => {
    for (const path of this.#temporary) rmSync(path, { force: true });
  };

  private constructor(
    path: string,
    there: readonly Image[],
    sizes: Map<Digest, number>,
    index: WholeIndex,
    made: readonly string[],
  ) {
    this.#path = path;
    this.there = there;
    this.#sizes = sizes;
    this.#index = index;
    this.#made = made;
    process.once('exit', this.#removeTemporary);
  }

  /** A layout that is there is checked as one that is read. Throws usage for a directory that holds something else. */
  static async open(given: string, signal: AbortSignal): Promise<OciStore> {
    const path = resolve(given);
    if (await OciStore.isThere(given)) {
      await using contents = await openOciLayout(path, signal);
      const there = ociImages(contents).map(({ image }) => image);
      const sizes = new Map<Digest, number>();
      for (const [name, { size }] of contents.files)
        if (name.startsWith(`${BLOBS}/`)) sizes.set(`sha256:${name.slice(BLOBS.length + 1)}`, size);
      const index = (await readIndexFile(path)) ?? EMPTY;
      return new OciStore(path, there, sizes, index, []);
    }
    const made = await makeDirectories(path);
    return new OciStore(path, [], new Map(), EMPTY, made);
  }

  /** Whether it would be added to. Throws as `open` does for what can be told without reading all of it. */
  static async isThere(given: string): Promise<boolean> {
    const path = resolve(given);
    const names = await readdir(path).catch((error: NodeJS.ErrnoException): string[] => {
      if (error.code === 'ENOENT') return [];
      throw new ImgmvError('usage', `cannot write ${path}: ${error.message}`, { cause: error });
    });
    if (names.length === 0) return false;
    if (!names.includes(LAYOUT))
      throw new ImgmvError('usage', `${path} is no OCI layout, and not empty`, { hint: 'name another one' });
    await makeDirectories(path);
    await readIndexFile(path);
    return true;
  }

  sizeOf(digest: Digest): number | undefined {
    return this.#sizes.get(digest);
  }

  refusal(): undefined {}

  async room() {
    const { bavail, bsize } = await statfs(this.#path);
    return { path: this.#path, freeBytes: bavail * bsize };
  }

  async put(digest: Digest, size: number, body: AsyncIterable<Buffer>): Promise<void> {
    if (this.#sizes.has(digest)) {
      for await (const _ of body);
      return;
    }
    await this.#write(blobName(digest), body);
    // An image that is there by now may name it, since somebody else brought it meanwhile.
    if (this.#sizes.has(digest)) return;
    this.#sizes.set(digest, size);
    this.#loose.add(digest);
  }

  add(whole: WholeImage): Promise<void> {
    return this.#inTurn(async () => {
      const { metadata, root } = whole;
      for (const [digest, bytes] of [...metadata, [root.digest, root.bytes] as const])
        await this.put(digest, bytes.length, once(bytes));
      await this.#list(ociDescriptors(whole, 'oci'), whole.image.names);
      for (const { digest } of whole.image.layers ?? []) this.#loose.delete(digest);
      for (const digest of [...whole.layers, ...metadata.map(([one]) => one), root.digest])
        this.#loose.delete(digest);
    });
  }

  name({ id, config }: Image, names: readonly Name[]): Promise<void> {
    return this.#inTurn(async () => {
      const mine = await this.#rootOf(id, config);
      await this.#list(namedDescriptors(mine, names, 'oci'), names);
    });
  }

  /** The descriptor, without a name, of an image that is there; one of a classic store is found by its config. */
  async #rootOf(id: Digest, config: Digest | undefined): Promise<LayoutDescriptor> {
    for (const { annotations, ...plain } of this.#index.manifests) {
      const kind = annotations?.[ROOT_KIND];
      const descriptor = { ...plain, ...(kind !== undefined && { annotations: { [ROOT_KIND]: kind } }) };
      if (descriptor.digest === id) return descriptor;
      const bytes = await readFile(join(this.#path, blobName(descriptor.digest)), 'utf8');
      const manifest = JSON.parse(bytes) as { config?: { digest: string } };
      if (config === id && manifest.config?.digest === id) return descriptor;
    }
    throw new ImgmvError('internal', `${id} is not in ${this.#path}`);
  }

  /** Names move to the new descriptors; one without a name is there once. */
  async #list(added: readonly LayoutDescriptor[], names: readonly Name[]): Promise<void> {
    const moved = new Set(names.map(({ target }) => canonical(parseTarget(target, 'the name'))));
    // Another process may have added to it.
    this.#index = (await readIndexFile(this.#path)) ?? this.#index;
    const same = ({ digest }: LayoutDescriptor) => added.some((one) => one.digest === digest);
    const kept = this.#index.manifests.filter((descriptor) => {
      const { [IMAGE_NAME]: name, [REF_NAME]: label } = descriptor.annotations ?? {};
      if (name === undefined && label === undefined) return !same(descriptor);
      return !moved.has(name ?? label ?? '');
    });
    const known = names.length === 0 && kept.some(same);
    const index = { ...this.#index, manifests: known ? kept : [...kept, ...added] };
    await this.#write(LAYOUT, once(LAYOUT_BYTES));
    await this.#write(INDEX, once(Buffer.from(JSON.stringify(index))));
    this.#index = index;
    this.#committed = true;
  }

  /** Whole under its name, or not there. */
  async #write(name: string, body: AsyncIterable<Buffer>): Promise<void> {
    const path = join(this.#path, name);
    const temporary = join(this.#path, `.imgmv-${randomBytes(6).toString('hex')}`);
    let bytes = 0;
    try {
      await using file = await open(temporary, 'wx');
      this.#temporary.add(temporary);
      for await (const chunk of body) {
        await file.appendFile(chunk).catch((cause: unknown) => {
          throw noRoomFor(name, this.#path, bytes, cause, 'make room, or name another disk');
        });
        bytes += chunk.length;
      }
      await file.sync();
    } catch (error) {
      await rm(temporary, { force: true });
      this.#temporary.delete(temporary);
      throw error;
    }
    await mkdir(dirname(path), { recursive: true });
    await rename(temporary, path);
    this.#temporary.delete(temporary);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  /** What no image has come of goes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    process.off('exit', this.#removeTemporary);
    for (const digest of this.#loose) await rm(join(this.#path, blobName(digest)), { force: true });
    if (this.#committed) return;
    if (this.#made.length > 0) await removeEmpty([BLOBS, 'blobs'].map((one) => join(this.#path, one)));
    await removeEmpty(this.#made);
  }
}

/** Undefined where there is none yet. Throws integrity for what is no index. */
async function readIndexFile(path: string): Promise<WholeIndex | undefined> {
  const bytes = await readFile(join(path, INDEX)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (bytes === undefined) return undefined;
  parseIndex(bytes);
  return JSON.parse(bytes.toString('utf8')) as WholeIndex;
}
