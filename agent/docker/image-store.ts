/**
 * What differs between the kinds of store in which an engine keeps its images. classic/ and containerd/ have it, podman/
 * what podman does in another way than the classic one; stores.ts picks.
 */
import type { Blob, Digest, Image, ReadBy } from '../model/image.ts';
import type { Pushable } from '../model/sink.ts';
import type { ImageParts, SentDocuments } from '../oci/image-parts.ts';
import type { ArchiveFile } from './archive.ts';
import type { ListedByEngine } from './engine.ts';
import type { CommitOrder } from './incoming.ts';
import type { Inventory, List } from './inventory.ts';

/** Layers of an image, and all its metadata, out of `docker save`. */
export type Save = (wanted: readonly Digest[], signal: AbortSignal) => AsyncIterable<Blob>;

/** An image whose blobs can be read one by one. */
export interface Readable {
  /** The wanted layers (undefined: all), then all metadata, each behind what it points to. `save` is there for the rest. */
  blobs(wanted: readonly Digest[] | undefined, signal: AbortSignal, save: Save): AsyncGenerator<Blob>;
  /** What it came to. */
  readonly readBy: ReadBy;
}

/** An image with `readBy`, and with as much of its layers as can be known without saving it. */
export interface Looked {
  readonly image: Image;
  /** Undefined: only `docker save` gives its blobs. */
  readonly readable: Readable | undefined;
}

/** Why an image is not read from the store. */
export const NOT_DIRECTLY = 'reading the store is switched off';

/** All that a load wants besides the layers. */
export interface Loadable {
  readonly id: Digest;
  readonly files: readonly ArchiveFile[];
}

export interface PushableOptions {
  readonly image: Image;
  readonly targetId: Digest;
  /** Undefined where the image was here before. */
  readonly sent: SentDocuments | undefined;
  /** Whether an image of this session may still bring this blob. */
  readonly mayCome: (digest: Digest) => boolean;
}

export interface ImageStore extends AsyncDisposable {
  readonly layersMax: number;
  /** Media type of the root, for engines that do not report it. */
  readonly rootType: string;
  /**
   * Whether the engine compares layers with the config that names them. If not, we compare them, and an image on the
   * engine may claim layers that it lacks.
   */
  readonly comparesLayers: boolean;

  inventory(list: List): Promise<Inventory>;
  /** The id here of this very image of a store of this kind, whole; `listed`: what the engine lists under its id. */
  present(image: Image, listed: ListedByEngine | undefined): Promise<Digest | undefined>;
  pushable(options: PushableOptions): Promise<Pushable>;
  /** Why imgmv cannot see from here whether the engine would push files of its host; undefined if it can, or if the engine never does. */
  whyUnseen(): Promise<string | undefined>;

  /** `direct`: its blobs are to be read from the store, where that can be done. */
  look(image: Image, direct: boolean): Promise<Looked>;
  /** Why the engine cannot save the image, where that can be known. */
  whyUnsavable(image: Image): string | undefined;
  /** Bytes that the engine writes to its disk before it gives the first byte of the image. */
  spoolBytes(image: Image): number;

  /** Throws refused for a layer that the engine could not unpack. `head`: its first bytes. */
  checkLayer(head: Buffer): void;
  /** The engine has image `id` of these layers by now, which came from position `from` on. Throws integrity where it must not keep them; where it cannot be seen what it has made of them, nothing. */
  checkLoaded(id: Digest, diffIds: readonly Digest[], from: number): Promise<void>;
  /** Runs `work`, which loads an image and checks it. One at a time, if the engine might reuse an unchecked layer for another image. */
  runLoad<T>(work: () => Promise<T>): Promise<T>;
  /** How layers are committed one by one; undefined where those of this image cannot be. `below`: so many of the lowest are here. */
  commitOrder(image: Image, below: number): CommitOrder | undefined;
  /** `parts` are whole. `name`: undefined for none. */
  loadable(parts: ImageParts, image: Image, name: string | undefined): Promise<Loadable>;
}
