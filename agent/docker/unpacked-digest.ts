/** The diffID of a layer, out of its bytes as they pass by: for an engine that does not compare it with the config. */
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { Hasher } from '../../proto/hasher.ts';
import type { Digest } from '../model/image.ts';
import { compressionOf, inflated } from '../streams/compression.ts';

export class UnpackedDigest implements Disposable {
  readonly #hasher = new Hasher();
  /** To what decompresses them; undefined where nothing has to. */
  #feed: PassThrough | undefined;
  #inflating: Promise<void> | undefined;
  #begun = false;

  /** Resolves when more may come. The first bytes tell how they are compressed: COMPRESSION_HEAD_BYTES, if there are as many. Throws integrity for compressed bytes that are damaged. */
  async add(bytes: Buffer): Promise<void> {
    if (!this.#begun) this.#begin(bytes);
    if (!this.#feed) return void this.#hasher.add(bytes);
    if (!this.#feed.write(bytes)) await Promise.race([once(this.#feed, 'drain'), this.#inflating]);
  }

  #begin(head: Buffer): void {
    this.#begun = true;
    const compression = compressionOf(head);
    if (compression === 'none') return;
    const feed = new PassThrough();
    const inflate = async () => {
      for await (const chunk of inflated(compression, feed)) this.#hasher.add(chunk);
    };
    this.#feed = feed;
    this.#inflating = inflate();
    // Whoever adds the next bytes, or asks for the digest, gets to know.
    this.#inflating.catch(() => feed.destroy());
  }

  /** Once, after all bytes. Throws integrity as `add` does. */
  async digest(): Promise<Digest> {
    this.#feed?.end();
    await this.#inflating;
    return this.#hasher.digest();
  }

  /** For bytes of which no more will come: what decompresses them ends. */
  [Symbol.dispose](): void {
    this.#feed?.destroy();
  }
}
