import { encodeHeader, encodeTrailer } from './entry.ts';
import type { EncodedBlob } from './entry-body.ts';
import type { Lane } from './lane.ts';
import { SEGMENT_MAX_BYTES } from './limits.ts';

/** Writes entries to one lane, one after the other. The lane stays its maker's to end. */
export class EntryWriter {
  readonly #lane: Lane;
  #wireBytes = 0;

  constructor(lane: Lane) {
    this.#lane = lane;
  }

  /** Bytes of all entries so far, headers and trailers included: what the reader counts for them, too. */
  get wireBytes(): number {
    return this.#wireBytes;
  }

  /**
   * Sends a blob. If its frames fail, the entry ends as abandoned, so that the lane can go on, and the error is
   * thrown. Its digest is the receiver's to check.
   */
  async blob(item: number, { frames, trailer, ...header }: EncodedBlob): Promise<void> {
    await this.#write(encodeHeader({ type: 'blob', item, ...header }));
    try {
      for await (const frame of frames) await this.#segments(frame);
    } catch (error) {
      // On a lane that is over this throws what has ended it.
      await this.#finish(encodeTrailer(undefined, header.size === undefined));
      throw error;
    }
    await this.#finish(encodeTrailer(trailer()));
  }

  /** Ends an item on this lane: all its blobs have been sent, or no more will come. */
  async end(item: number, blobs: number, complete: boolean): Promise<void> {
    await this.#write(encodeHeader({ type: 'end', item, blobs, complete }));
  }

  /** In as many segments as it takes; none for an empty frame, since a segment of no bytes ends the body. */
  async #segments(frame: Buffer): Promise<void> {
    for (let at = 0; at < frame.length; at += SEGMENT_MAX_BYTES) {
      const bytes = frame.subarray(at, at + SEGMENT_MAX_BYTES);
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32BE(bytes.length, 0);
      await this.#write(length, bytes);
    }
  }

  async #finish(trailer: Buffer): Promise<void> {
    await this.#write(Buffer.alloc(4), trailer);
  }

  async #write(...parts: readonly Buffer[]): Promise<void> {
    await this.#lane.write(...parts);
    for (const { length } of parts) this.#wireBytes += length;
  }
}
