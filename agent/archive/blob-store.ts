/** Where a sink of files puts what it takes: a tar, an OCI layout, a `dir:`. blob-sink.ts is the same for all. */
import { ImgmvError } from '../../proto/errors.ts';
import type { Digest, Image, Name } from '../model/image.ts';
import type { Room } from '../model/room.ts';
import type { Root } from '../oci/image-parts.ts';

export interface WholeImage {
  readonly image: Image;
  readonly root: Root;
  readonly metadata: readonly (readonly [Digest, Buffer])[];
  /** Of the platform that runs: what a reader wants that knows no manifests. */
  readonly config: Digest;
  readonly layers: readonly Digest[];
}

export interface BlobStore extends AsyncDisposable {
  /** Images that were there before, and their names. */
  readonly there: readonly Image[];
  /** Bytes of a blob that is there, whole; undefined where it is not. */
  sizeOf(digest: Digest): number | undefined;
  /**
   * Reads those of the blobs that were there before this run, once each, before an image leans on them. Throws
   * integrity for one that is another than its name says.
   */
  check(digests: Iterable<Digest>): Promise<void>;
  /** Why it cannot take this image beside `others`; undefined where it can. */
  refusal(image: Image, others: number): string | undefined;
  /** Bytes that may still be written, where that can be told, and where. */
  room(): Promise<Room | undefined>;
  /**
   * Takes a blob of exactly `size` bytes, once: `body` of one that is there by then is read to its end, and that is
   * all. Where `body` throws, or is another length, nothing of it stays.
   */
  put(digest: Digest, size: number, body: AsyncIterable<Buffer>): Promise<void>;
  /** From here on the image is there. */
  add(whole: WholeImage): Promise<void>;
  name(image: Image, names: readonly Name[]): Promise<void>;
  /** Its images are there once `finish` has resolved; of others each stays from `add` on. */
  readonly atomic: boolean;
  /** Makes of all images what is to stay. Nothing is put afterwards. */
  finish(): Promise<void>;
}

/** What the stores have in common in which nothing was before. */
export abstract class NewStore {
  readonly atomic = true;
  readonly there: readonly Image[] = [];
  readonly #sizes = new Map<Digest, number>();

  async check(): Promise<void> {}

  sizeOf(digest: Digest): number | undefined {
    return this.#sizes.get(digest);
  }

  async put(digest: Digest, size: number, body: AsyncIterable<Buffer>): Promise<void> {
    if (this.#sizes.has(digest)) for await (const _ of body);
    else await this.write(digest, size, body);
    this.#sizes.set(digest, size);
  }

  /** Takes a blob that is not there. */
  protected abstract write(digest: Digest, size: number, body: AsyncIterable<Buffer>): Promise<void>;

  async name(): Promise<void> {
    throw new ImgmvError('internal', 'a new archive has no image yet');
  }
}
