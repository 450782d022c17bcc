/** One image on its way into files: layers are put as they come, under their digests; the image is added when whole. */

import { counted } from '../../proto/counted.ts';
import { Hasher } from '../../proto/hasher.ts';
import type { Stopwatch } from '../../proto/stopwatch.ts';
import type { Blob, Digest, Image } from '../model/image.ts';
import type { Answer, Incomplete } from '../model/sink.ts';
import { type HeldLayer, ImageParts } from '../oci/image-parts.ts';
import { integrity } from '../streams/errors.ts';
import { tap } from '../streams/tap.ts';
import { verify } from '../streams/verify.ts';
import type { BlobStore } from './blob-store.ts';
import { Spool } from './spool.ts';

export class BlobWriter {
  readonly #store: BlobStore;
  readonly #image: Image;
  readonly #parts: ImageParts;
  readonly #waited: Stopwatch;
  readonly #signal: AbortSignal;

  /** `waited` counts how long layers wait to be written. */
  constructor(store: BlobStore, { image, missing }: Answer, waited: Stopwatch, signal: AbortSignal) {
    this.#store = store;
    this.#image = image;
    this.#parts = new ImageParts(image, missing);
    this.#waited = waited;
    this.#signal = signal;
  }

  async write(blob: Blob): Promise<void> {
    this.#signal.throwIfAborted();
    this.#parts.count(blob);
    if (blob.kind !== 'layer') return this.#parts.addMetadata(blob);
    if (blob.digest === undefined) return this.#spooled(blob);
    this.#parts.expectLayer(blob.digest);
    await this.#put(blob.digest, blob.size, blob.body);
  }

  /** 20.10 tells a layer's digest after its bytes, and a file has its name before them. */
  async #spooled({ size, body }: Blob): Promise<void> {
    await using spool = await Spool.open('a layer');
    const hasher = new Hasher();
    for await (const chunk of body) {
      this.#signal.throwIfAborted();
      if (spool.bytes + chunk.length > size)
        throw integrity(`a layer is longer than its ${counted(size, 'byte')}`);
      hasher.add(chunk);
      await spool.write(chunk);
    }
    const digest = hasher.digest();
    // All of them come in every round.
    if (this.#parts.hasLayer(digest)) return;
    this.#parts.expectLayer(digest);
    await this.#put(digest, size, spool.read(0, size, this.#signal));
  }

  async #put(digest: Digest, size: number, body: AsyncIterable<Buffer>): Promise<void> {
    const differs = (came: Digest, bytes: number) =>
      integrity(`blob ${digest} of ${counted(size, 'byte')} came as ${came} of ${bytes}`);
    const abortable = tap(body, () => this.#signal.throwIfAborted());
    const checked = verify(abortable, { digest, size }, differs);
    await this.#waited.during(this.#store.put(digest, size, checked));
    this.#parts.addLayer(digest, { path: digest, size });
  }

  /**
   * The image's id, as its bytes give it; or layers that other images were to bring, and have not. Throws integrity unless
   * all else is there.
   */
  async commit(): Promise<{ readonly targetId: Digest } | Incomplete> {
    const held = new Map<Digest, HeldLayer>();
    const missing: Digest[] = [];
    for (const digest of this.#parts.held) {
      const size = this.#store.sizeOf(digest);
      if (size === undefined) missing.push(digest);
      else held.set(digest, { digest, size });
    }
    if (missing.length > 0) {
      this.#parts.again(missing, false);
      return { missing };
    }
    this.#parts.checkWhole();
    const { config, layers } = this.#parts.classicView();
    await this.#store.add({
      image: this.#image,
      root: this.#parts.containerdRoot(held),
      metadata: this.#parts.metadata(),
      config,
      layers,
    });
    return { targetId: this.#image.store === 'classic' ? config : this.#parts.root().digest };
  }
}
