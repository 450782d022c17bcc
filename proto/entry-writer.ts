import type { Compressor } from './compression.ts';
import { type Blob, encodeHeader, encodeTrailer, type Trailer } from './entry.ts';
import { ImgmvError } from './errors.ts';
import type { Lane } from './lane.ts';
import { SEGMENT_MAX_BYTES } from './limits.ts';

/** Writes entries to one lane, one after the other. The lane stays its maker's to end. */
export class EntryWriter {
  readonly #lane: Lane;
  readonly #compressor: Compressor;

  constructor(lane: Lane, compressor: Compressor) {
    this.#lane = lane;
    this.#compressor = compressor;
  }

  /**
   * Sends a blob. If the body fails or is longer or shorter than announced, the entry ends as abandoned, so
   * that the lane can go on, and the error is thrown. Its digest is the receiver's to check.
   */
  async blob(image: number, blob: Blob, level: () => number): Promise<void> {
    const encoding = blob.compressed === true || blob.size === 0 ? 'identity' : 'zstd';
    const { kind, size: announced, digest: named } = blob;
    await this.#lane.write(
      encodeHeader({ type: 'blob', kind, image, encoding, size: announced, digest: named }),
    );
    let size = 0;
    let bodyError: unknown;
    const body = async function* () {
      try {
        for await (const chunk of blob.body) {
          size += chunk.length;
          // What is too long may be endless: it is not sent to its end.
          if (size > announced) break;
          yield chunk;
        }
        if (size !== announced)
          throw new ImgmvError('integrity', `a ${kind} of ${announced} bytes was announced, ${size} came`);
      } catch (error) {
        bodyError = error;
        throw error;
      }
    };
    try {
      for await (const chunk of encoding === 'zstd' ? this.#compressor.compress(body(), level) : body())
        await this.#segments(chunk);
    } catch (error) {
      if (bodyError !== undefined) await this.#finish(undefined);
      throw error;
    }
    await this.#finish({ complete: true, size });
  }

  /** Ends an image on this lane: all its blobs have been sent, or no more will come. */
  async end(image: number, blobs: number, complete: boolean): Promise<void> {
    await this.#lane.write(encodeHeader({ type: 'end', image, blobs, complete }));
  }

  /** In as many segments as it takes; none for an empty chunk, since a segment of no bytes ends the body. */
  async #segments(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length; at += SEGMENT_MAX_BYTES) {
      const bytes = chunk.subarray(at, at + SEGMENT_MAX_BYTES);
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32BE(bytes.length, 0);
      await this.#lane.write(length, bytes);
    }
  }

  async #finish(trailer: Trailer | undefined): Promise<void> {
    await this.#lane.write(Buffer.alloc(4), encodeTrailer(trailer));
  }
}
