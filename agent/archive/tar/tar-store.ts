/**
 * A new tar of images: docker-archive in the one shape that every engine loads (docs/engines.md), or oci-archive.
 * Entries are compressed one by one, so that one that was broken off can be taken back.
 */
import { ImgmvError, toImgmvError } from '../../../proto/errors.ts';
import { Turns } from '../../../proto/turns.ts';
import type { Digest } from '../../model/image.ts';
import { blobPath } from '../../oci/blob-path.ts';
import type { Compression } from '../../streams/compression.ts';
import { once } from '../../streams/file-bytes.ts';
import { type BlobStore, NewStore, type WholeImage } from '../blob-store.ts';
import { MANIFEST } from '../docker-archive/docker-archive.ts';
import { INDEX, LAYOUT } from '../oci-layout/oci-images.ts';
import { LAYOUT_BYTES, ociDescriptors } from '../oci-layout/oci-index.ts';
import type { Output } from '../output.ts';
import { type Deflater, deflater } from './deflater.ts';
import { BLOCK_BYTES, encodeTarHeader, padding } from './tar-header.ts';

export class TarStore extends NewStore implements BlobStore {
  readonly #output: Output;
  readonly #compression: Compression;
  readonly #kind: 'docker-archive' | 'oci-archive';
  readonly #deflater: Deflater;
  readonly #images: WholeImage[] = [];
  readonly #turns = new Turns();
  #broken: ImgmvError | undefined;

  constructor(output: Output, kind: 'docker-archive' | 'oci-archive', compression: Compression) {
    super();
    this.#output = output;
    this.#kind = kind;
    this.#compression = compression;
    this.#deflater = deflater(compression);
  }

  refusal(): undefined {}

  async room() {
    // How much less compression makes of it cannot be told.
    return this.#compression === 'none' ? this.#output.room() : undefined;
  }

  /** Whether it is there is asked only when its turn comes: whoever was before may have brought it. */
  override put(digest: Digest, size: number, body: AsyncIterable<Buffer>): Promise<void> {
    return this.#turns.take(() => super.put(digest, size, body));
  }

  protected write(digest: Digest, size: number, body: AsyncIterable<Buffer>): Promise<void> {
    return this.#append(entry(blobPath(digest), size, body));
  }

  async add(whole: WholeImage): Promise<void> {
    for (const [digest, bytes] of [...whole.metadata, [whole.root.digest, whole.root.bytes] as const])
      await this.put(digest, bytes.length, once(bytes));
    this.#images.push(whole);
  }

  async finish(): Promise<void> {
    const manifests = this.#images.flatMap((whole) => ociDescriptors(whole, this.#kind));
    const file = (name: string, bytes: Buffer) => this.#append(entry(name, bytes.length, once(bytes)));
    const json = (value: unknown) => Buffer.from(JSON.stringify(value));
    await this.#turns.take(async () => {
      await file(INDEX, json({ schemaVersion: 2, manifests }));
      if (this.#kind === 'docker-archive') await file(MANIFEST, json(this.#images.map(manifestEntry)));
      await file(LAYOUT, LAYOUT_BYTES);
      await this.#append(once(Buffer.alloc(2 * BLOCK_BYTES)));
    });
    await this.#output.write(this.#deflater.end());
    await this.#output.finish();
  }

  async #append(source: AsyncIterable<Buffer>): Promise<void> {
    if (this.#broken) throw this.#broken;
    const start = this.#output.position;
    const takeBack = this.#deflater.mark();
    try {
      for await (const part of this.#deflater.part(source)) await this.#output.write(part);
    } catch (error) {
      takeBack();
      if (this.#output.position === start) throw error;
      if (this.#output.truncate) await this.#output.truncate(start);
      else
        this.#broken = new ImgmvError(
          toImgmvError(error).code,
          'an image was broken off, and standard output cannot take it back: the archive is of no use',
          { cause: error },
        );
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turns.idle();
    await this.#output[Symbol.asyncDispose]();
  }
}

async function* entry(name: string, size: number, body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield encodeTarHeader(name, size);
  yield* body;
  yield padding(size);
}

function manifestEntry({ image, config, layers }: WholeImage) {
  const tags = image.names.map(({ target }) => target);
  return { Config: blobPath(config), RepoTags: tags.length > 0 ? tags : null, Layers: layers.map(blobPath) };
}
