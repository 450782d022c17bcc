/**
 * A new tar of images: docker-archive in the one shape that every engine loads (docs/engines.md), or oci-archive.
 * Entries are compressed one by one, so that one that was broken off can be taken back.
 */
import { ImgmvError, toImgmvError } from '../../../proto/errors.ts';
import { Turns } from '../../../proto/turns.ts';
import type { Digest, Image } from '../../model/image.ts';
import { blobPath } from '../../oci/blob-path.ts';
import type { Compression } from '../../streams/compression.ts';
import { once } from '../../streams/file-bytes.ts';
import type { BlobStore, WholeImage } from '../blob-store.ts';
import { MANIFEST } from '../docker-archive/docker-archive.ts';
import { INDEX, LAYOUT } from '../oci-layout/oci-images.ts';
import { LAYOUT_BYTES, ociDescriptors } from '../oci-layout/oci-index.ts';
import type { Output } from '../output.ts';
import { type Deflater, deflater } from './deflater.ts';
import { BLOCK_BYTES, encodeTarHeader, padding } from './tar-header.ts';

export class TarStore implements BlobStore {
  readonly atomic = true;
  readonly there: readonly Image[] = [];
  readonly #output: Output;
  readonly #compression: Compression;
  readonly #kind: 'docker-archive' | 'oci-archive';
  readonly #deflater: Deflater;
  readonly #blobs = new Map<Digest, number>();
  readonly #images: WholeImage[] = [];
  /** One entry after the other, whoever writes. */
  readonly #turns = new Turns();
  #broken: ImgmvError | undefined;

  constructor(output: Output, kind: 'docker-archive' | 'oci-archive', compression: Compression) {
    this.#output = output;
    this.#kind = kind;
    this.#compression = compression;
    this.#deflater = deflater(compression);
  }

  /** Nothing was there before. */
  async check(): Promise<void> {}

  sizeOf(digest: Digest): number | undefined {
    return this.#blobs.get(digest);
  }

  refusal(): undefined {}

  async room() {
    // How much less compression makes of it cannot be told.
    return this.#compression === 'none' ? this.#output.room() : undefined;
  }

  async put(digest: Digest, size: number, body: AsyncIterable<Buffer>): Promise<void> {
    await this.#turns.take(async () => {
      // Asked only now: whoever was before may have brought it.
      if (this.#blobs.has(digest)) for await (const _ of body);
      else await this.#append(entry(blobPath(digest), size, body));
      this.#blobs.set(digest, size);
    });
  }

  async add(whole: WholeImage): Promise<void> {
    for (const [digest, bytes] of [...whole.metadata, [whole.root.digest, whole.root.bytes] as const])
      await this.put(digest, bytes.length, once(bytes));
    this.#images.push(whole);
  }

  async name(): Promise<void> {
    throw new ImgmvError('internal', 'a new archive has no image yet');
  }

  async finish(): Promise<void> {
    const manifests = this.#images.flatMap((whole) => ociDescriptors(whole, this.#kind));
    await this.#json(INDEX, { schemaVersion: 2, manifests });
    if (this.#kind === 'docker-archive') await this.#json(MANIFEST, this.#images.map(manifestEntry));
    await this.#turns.take(() => this.#append(entry(LAYOUT, LAYOUT_BYTES.length, once(LAYOUT_BYTES))));
    await this.#turns.take(() => this.#append(once(Buffer.alloc(2 * BLOCK_BYTES))));
    await this.#output.write(this.#deflater.end());
    await this.#output.finish();
  }

  #json(name: string, value: unknown): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(value));
    return this.#turns.take(() => this.#append(entry(name, bytes.length, once(bytes))));
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
          'standard output cannot take back the image that was broken off: no archive comes of it',
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
