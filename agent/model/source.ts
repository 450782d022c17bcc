/** Where images come from: an engine, or archives. test/conformance holds what every source must do. */
import type { Blob, Digest, Image, ReadBy } from './image.ts';

/** Milliseconds that an end has waited so far for each part of the pipe; only the parts that it knows. */
export interface Waits {
  readonly save?: number;
  readonly compress?: number;
  readonly network?: number;
  readonly load?: number;
  /** For the limit that this host, or the other one, sets to the link. */
  readonly ownLimit?: number;
  readonly peerLimit?: number;
}

export type Bottleneck = Exclude<keyof Waits, 'ownLimit' | 'peerLimit'>;

/** An image, and how to get what it is made of. */
export interface SourceImage {
  readonly image: Image;
  /**
   * Its present blobs, each once, in the order in which the store gives them: metadata always, and the layers in
   * `wanted`, or all where that is undefined. A source that learns a layer's digest only from its bytes may give
   * layers that are not wanted. Every `body` must be read, to its end or not, before the next blob is asked for.
   * A body that ends with BlobGivenUp may come again behind it. Asked again for what a sink found incomplete.
   */
  blobs(wanted: readonly Digest[] | undefined, signal: AbortSignal): AsyncIterable<Blob>;
  /**
   * Says that this image will be next, or is wanted once more: what takes long before its first blob may begin.
   * `blobs` with the same arguments follows, or the source is disposed of.
   */
  prepare(wanted: readonly Digest[] | undefined, signal: AbortSignal): void;
  /** As it has been read so far; undefined where there is but one way. */
  readBy(): ReadBy | undefined;
}

/** What of an image will be asked for; undefined: all of its layers. */
export interface Wanted {
  readonly from: SourceImage;
  readonly layers: readonly Digest[] | undefined;
}

export interface Source extends AsyncDisposable {
  /**
   * The images that were chosen, each id once, the same each time. What cannot be given says so by `withheld`, which
   * is known before anybody is offered anything.
   */
  images(): Promise<readonly SourceImage[]>;
  /** Told before any blob is asked for, once for all images and once for each `Retry`: nothing else will be. */
  expect(wanted: readonly Wanted[]): void;
  waits(): Waits;
}
