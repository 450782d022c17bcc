/** An OCI layout on disk, new or grown: an image is in it as soon as it is whole, and stays whatever comes behind it. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ImgmvError } from '../../../proto/errors.ts';
import { METADATA_MAX_BYTES } from '../../../proto/limits.ts';
import { Turns } from '../../../proto/turns.ts';
import type { Digest, Image, Name } from '../../model/image.ts';
import { canonical, parseTarget } from '../../model/reference.ts';
import { type Room, roomAt } from '../../model/room.ts';
import { hexOf } from '../../oci/blob-path.ts';
import { MANIFEST_KEYS } from '../../oci/image-keys.ts';
import { strictJson } from '../../oci/strict-json.ts';
import { integrity, usage } from '../../streams/errors.ts';
import { fileBytes, once } from '../../streams/file-bytes.ts';
import type { BlobStore, WholeImage } from '../blob-store.ts';
import { measured } from '../contents.ts';
import { cannotWrite, Folder } from '../folder.ts';
import { makeDirectories, removeEmpty } from '../made-directories.ts';
import { writeNewFile } from '../new-file.ts';
import {
  IMAGE_NAME,
  INDEX,
  LAYOUT,
  ociImages,
  openOciLayout,
  parseIndex,
  REF_NAME,
  ROOT_KIND,
} from './oci-images.ts';
import { LAYOUT_BYTES, type LayoutDescriptor, namedDescriptors, ociDescriptors } from './oci-index.ts';

const BLOBS = 'blobs/sha256';

type WholeIndex = Readonly<Record<string, unknown>> & { readonly manifests: readonly LayoutDescriptor[] };

export class OciStore implements BlobStore {
  readonly atomic = false;
  there: readonly Image[] = [];
  readonly #root: Folder;
  /** `blobs/sha256`, once it is there. */
  #blobs: Folder | undefined;
  /** `index.json` as it is, with what of it we do not know. */
  #index: WholeIndex = { schemaVersion: 2, manifests: [] };
  readonly #sizes = new Map<Digest, number>();
  /** Blobs that were there and have not been compared with their names. */
  readonly #unread = new Set<Digest>();
  readonly #checks = new Map<Digest, Promise<void>>();
  readonly #signal: AbortSignal;
  /** Blobs that no image names yet. */
  readonly #loose = new Set<Digest>();
  readonly #made: readonly string[];
  readonly #temporary = new Set<string>();
  #committed = false;
  readonly #turns = new Turns();
  readonly #removeTemporary = () => {
    for (const name of this.#temporary) rmSync(this.#root.at(name), { force: true });
  };

  private constructor(root: Folder, made: readonly string[], signal: AbortSignal) {
    this.#root = root;
    this.#made = made;
    this.#signal = signal;
    process.once('exit', this.#removeTemporary);
  }

  /**
   * Of a layout that is there all metadata is read, and of its layers only what `check` is asked for: what their names
   * say fixes what the manifests say of them, and nothing has to be decompressed. Throws usage for a directory that
   * holds something else.
   */
  static async open(given: string, signal: AbortSignal): Promise<OciStore> {
    const path = resolve(given);
    const isThere = await OciStore.isThere(given);
    const made = isThere ? [] : await makeDirectories(path);
    const store = new OciStore(await Folder.open(path), made, signal);
    try {
      if (isThere) await store.#look();
      return store;
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #look(): Promise<void> {
    await using contents = await openOciLayout(this.#root.path, this.#signal);
    // What is no image stays as it is: only its line in the index is handed on.
    this.there = ociImages(contents).images.map(({ image }) => image);
    for (const [name, { size }] of contents.files)
      if (name.startsWith(`${BLOBS}/`)) this.#sizes.set(`sha256:${name.slice(BLOBS.length + 1)}`, size);
    for (const digest of this.#sizes.keys()) this.#unread.add(digest);
    this.#index = (await readIndexFile(this.#root)) ?? this.#index;
  }

  /** Whether it would be added to. Throws as `open` does for what can be told without reading all of it. */
  static async isThere(given: string): Promise<boolean> {
    const path = resolve(given);
    const names = await readdir(path).catch((error: NodeJS.ErrnoException): string[] => {
      return error.code === 'ENOENT' ? [] : cannotWrite(path)(error);
    });
    if (names.length === 0) return false;
    if (!names.includes(LAYOUT))
      throw usage(`${path} is neither an OCI layout nor empty`, { hint: 'name another one' });
    await makeDirectories(path);
    await using root = await Folder.open(path);
    await readIndexFile(root);
    return true;
  }

  sizeOf(digest: Digest): number | undefined {
    return this.#sizes.get(digest);
  }

  async check(digests: Iterable<Digest>): Promise<void> {
    for (const digest of new Set(digests)) {
      if (!this.#unread.has(digest)) continue;
      const check = this.#checks.get(digest) ?? this.#compare(digest);
      this.#checks.set(digest, check);
      await check;
      this.#unread.delete(digest);
    }
  }

  async #compare(digest: Digest): Promise<void> {
    const folder = await this.#blobsFolder();
    await using file = await folder.file(hexOf(digest));
    if (!file) throw integrity(`the blob ${digest} is gone from ${folder.path}`);
    const body = fileBytes(file, 0, Number.POSITIVE_INFINITY, this.#signal);
    const { digest: found } = await measured(body);
    if (found !== digest)
      throw integrity(`the blob "${BLOBS}/${hexOf(digest)}" has the digest ${found}`, {
        hint: `${this.#root.path} is damaged: name another layout`,
      });
  }

  refusal(): undefined {}

  async room(): Promise<Room> {
    return { ...(await roomAt(this.#root.at('.'))), path: this.#root.path };
  }

  async put(digest: Digest, size: number, body: AsyncIterable<Buffer>): Promise<void> {
    if (this.#sizes.has(digest)) {
      await this.check([digest]);
      for await (const _ of body);
      return;
    }
    await this.#write(await this.#blobsFolder(), hexOf(digest), body);
    // An image that is there by now may name it, since somebody else brought it meanwhile.
    if (this.#sizes.has(digest)) return;
    this.#sizes.set(digest, size);
    this.#loose.add(digest);
  }

  add(whole: WholeImage): Promise<void> {
    return this.#turns.take(async () => {
      const { metadata, root } = whole;
      for (const [digest, bytes] of [...metadata, [root.digest, root.bytes] as const])
        await this.put(digest, bytes.length, once(bytes));
      await this.#list(ociDescriptors(whole, 'oci'), whole.image.names);
      const layers = whole.image.layers?.map(({ digest }) => digest) ?? [];
      for (const digest of [...layers, ...whole.layers, ...metadata.map(([one]) => one), root.digest])
        this.#loose.delete(digest);
    });
  }

  name({ id, config }: Image, names: readonly Name[]): Promise<void> {
    return this.#turns.take(async () => {
      const mine = await this.#rootOf(id, config);
      await this.#list(namedDescriptors(mine, names, 'oci'), names);
    });
  }

  async finish(): Promise<void> {}

  /** The descriptor, without a name, of an image that is there; one of a classic store is found by its config. */
  async #rootOf(id: Digest, config: Digest | undefined): Promise<LayoutDescriptor> {
    for (const { annotations, ...plain } of this.#index.manifests) {
      const kind = annotations?.[ROOT_KIND];
      const descriptor = { ...plain, ...(kind !== undefined && { annotations: { [ROOT_KIND]: kind } }) };
      if (descriptor.digest === id) return descriptor;
      if (config === id && (await this.#configOf(descriptor.digest)) === id) return descriptor;
    }
    throw new ImgmvError('internal', `${id} is not in ${this.#root.path}`);
  }

  /** Undefined for an index. */
  async #configOf(digest: Digest): Promise<string | undefined> {
    const bytes = await (await this.#blobsFolder()).smallFile(hexOf(digest), METADATA_MAX_BYTES);
    if (!bytes) return undefined;
    const manifest = strictJson(bytes, digest, MANIFEST_KEYS) as { config?: { digest: string } };
    return manifest.config?.digest;
  }

  /** Names move to the new descriptors; one without a name is there once. */
  async #list(added: readonly LayoutDescriptor[], names: readonly Name[]): Promise<void> {
    const moved = new Set(names.map(({ target }) => canonical(parseTarget(target, 'the name'))));
    // Another process may have added to it.
    this.#index = (await readIndexFile(this.#root)) ?? this.#index;
    const same = ({ digest }: LayoutDescriptor) => added.some((one) => one.digest === digest);
    const kept = this.#index.manifests.filter((descriptor) => {
      const { [IMAGE_NAME]: name, [REF_NAME]: label } = descriptor.annotations ?? {};
      if (name === undefined && label === undefined) return !same(descriptor);
      return !moved.has(name ?? label ?? '');
    });
    const known = names.length === 0 && kept.some(same);
    const index = { ...this.#index, manifests: known ? kept : [...kept, ...added] };
    const bytes = Buffer.from(JSON.stringify(index));
    if (bytes.length > METADATA_MAX_BYTES)
      throw new ImgmvError('refused', `${INDEX} would have more than ${METADATA_MAX_BYTES} bytes`, {
        hint: 'put the next images into another layout',
      });
    await this.#write(this.#root, LAYOUT, once(LAYOUT_BYTES));
    await this.#write(this.#root, INDEX, once(bytes));
    this.#index = index;
    this.#committed = true;
  }

  /** Whole under its name, or not there. */
  async #write(folder: Folder, name: string, body: AsyncIterable<Buffer>): Promise<void> {
    const temporary = `.imgmv-${randomBytes(6).toString('hex')}`;
    const at = this.#root.at(temporary);
    this.#temporary.add(temporary);
    await writeNewFile(at, body, { name, path: this.#root.path });
    await rename(at, folder.at(name));
    this.#temporary.delete(temporary);
  }

  async #blobsFolder(): Promise<Folder> {
    if (this.#blobs) return this.#blobs;
    await using algorithms = await this.#root.madeFolder('blobs');
    const blobs = await algorithms.madeFolder('sha256');
    // Somebody else may have asked meanwhile.
    if (this.#blobs) await blobs[Symbol.asyncDispose]();
    this.#blobs ??= blobs;
    return this.#blobs;
  }

  /** What no image has come of goes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turns.idle();
    process.off('exit', this.#removeTemporary);
    for (const digest of this.#loose)
      if (this.#blobs) await rm(this.#blobs.at(hexOf(digest)), { force: true });
    await this.#blobs?.[Symbol.asyncDispose]();
    if (!this.#committed && this.#made.length > 0)
      await removeEmpty([BLOBS, 'blobs'].map((one) => this.#root.at(one)));
    await this.#root[Symbol.asyncDispose]();
    if (!this.#committed) await removeEmpty(this.#made);
  }
}

/** Undefined where there is none yet. Throws integrity for what is no index. */
async function readIndexFile(root: Folder): Promise<WholeIndex | undefined> {
  const bytes = await root.smallFile(INDEX, METADATA_MAX_BYTES);
  if (bytes === undefined) return undefined;
  parseIndex(bytes);
  return strictJson(bytes, INDEX, MANIFEST_KEYS) as WholeIndex;
}
