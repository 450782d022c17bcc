/**
 * What differs between the kinds of store in which an engine keeps its images. classic/ and containerd/ have it, podman/
 * what podman does in another way than the classic one; stores.ts picks.
 */
import type { Blob, Digest, Image } from '../model/image.ts';
import type { Pushable } from '../model/sink.ts';
import type { ImageParts, SentDocuments } from '../oci/image-parts.ts';
import type { ArchiveFile } from './archive.ts';
import type { ListedByEngine } from './engine.ts';
import type { CommitOrder } from './incoming.ts';
import type { Inventory, List } from './inventory.ts';

/** An image whose blobs can be read one by one. */
export interface Readable {
  /** The wanted layers (undefined: all), then all metadata, each behind what it points to. */
  blobs(wanted: readonly Digest[] | undefined, signal: AbortSignal): AsyncGenerator<Blob>;
}

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

export interface ImageStore {
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

  /** Adds to an image what can be known of its layers without saving it. Undefined: only `docker save` gives its blobs. */
  look(image: Image): Promise<{ readonly image: Image; readonly readable: Readable | undefined }>;
  /** Why the engine cannot save the image, where that can be known. */
  whyUnsavable(image: Image): string | undefined;
  /** Bytes that the engine writes to its disk before it gives the first byte of the image. */
  spoolBytes(image: Image): number;

  /** Throws refused for a layer that the engine could not unpack. `head`: its first bytes. */
  checkLayer(head: Buffer): void;
  /** For what is in a layer that comes, piece by piece: throws integrity for one that the engine must not get. Undefined where it may get any. */
  lookThrough(): ((bytes: Buffer) => void) | undefined;
  /** How layers are committed one by one; undefined where those of this image cannot be. `below`: so many of the lowest are here. */
  commitOrder(image: Image, below: number): CommitOrder | undefined;
  /** `parts` are whole. `name`: undefined for none. */
  loadable(parts: ImageParts, image: Image, name: string | undefined): Promise<Loadable>;
}
