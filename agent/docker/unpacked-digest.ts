/**
 * What is in a layer, and its diffID, out of its bytes as they pass by: for an engine that does not compare it with the
 * config, or that has to be kept from some layers.
 */
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { Hasher } from '../../proto/hasher.ts';
import type { Digest } from '../model/image.ts';
import { compressionOf, inflated, unreadCompression } from '../streams/compression.ts';
import { integrity } from '../streams/errors.ts';

interface UnpackedOptions {
  readonly look?: ((bytes: Buffer) => void) | undefined;
  readonly hashes?: boolean;
}

export class UnpackedDigest implements Disposable {
  readonly #hasher: Hasher | undefined;
  /** To what decompresses them; undefined where nothing has to. */
  #feed: PassThrough | undefined;
  #inflating: Promise<void> | undefined;
  readonly #look: (bytes: Buffer) => void;
  #begun = false;

  /** `look` gets what is in the layer, and may throw. Without `hashes` there is no digest. */
  constructor({ look = () => {}, hashes = true }: UnpackedOptions = {}) {
    this.#look = look;
    this.#hasher = hashes ? new Hasher() : undefined;
  }

  /** Resolves when more may come. The first bytes tell how they are compressed: COMPRESSION_HEAD_BYTES, if there are as many. Throws integrity for compressed bytes that are damaged. */
  async add(bytes: Buffer): Promise<void> {
    if (!this.#begun) this.#begin(bytes);
    if (!this.#feed) return this.#pass(bytes);
    if (!this.#feed.write(bytes)) await Promise.race([once(this.#feed, 'drain'), this.#inflating]);
  }

  #begin(head: Buffer): void {
    this.#begun = true;
    const compression = compressionOf(head);
    const unread = unreadCompression(head);
    if (unread !== undefined)
      throw integrity(`a layer that is compressed with ${unread}, which imgmv does not read`);
    if (compression === 'none') return;
    const feed = new PassThrough();
    const inflate = async () => {
      for await (const chunk of inflated(compression, feed)) this.#pass(chunk);
    };
    this.#feed = feed;
    this.#inflating = inflate();
    // Whoever adds the next bytes, or asks for the digest, gets to know.
    this.#inflating.catch(() => feed.destroy());
  }

  #pass(bytes: Buffer): void {
    this.#look(bytes);
    this.#hasher?.add(bytes);
  }

  /** Once, after all bytes. Throws integrity as `add` does. */
  async digest(): Promise<Digest | undefined> {
    this.#feed?.end();
    await this.#inflating;
    return this.#hasher?.digest();
  }

  /** For bytes of which no more will come: what decompresses them ends. */
  [Symbol.dispose](): void {
    this.#feed?.destroy();
  }
}
