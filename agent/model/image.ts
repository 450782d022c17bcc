/** What an image is, and what it is called. */
import type { Digest } from '../../proto/entry.ts';

export type { Blob, BlobKind, Digest } from '../../proto/entry.ts';

/** OCI image spec, descriptor.md. `size` in bytes. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

/** OCI image spec, image-index.md: GOOS, GOARCH and variant. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

/** As Go names what this host is. */
export const HOST_PLATFORM: Platform = {
  os: 'linux',
  architecture: { x64: 'amd64', ia32: '386' }[process.arch as string] ?? process.arch,
};

/** How an engine keeps images, and so what their ids are: of the config (classic) or of the root (containerd). */
export type Store = 'classic' | 'containerd';

/** A name that travels: what it is at the source, and what it is to be at the target; both familiar, with a tag. */
export interface Name {
  readonly source: string;
  readonly target: string;
  /** What the sender wanted it to be at the target, where the receiver has rules of its own. */
  readonly offered?: string | undefined;
}

/** A layer as its store holds it. */
export interface LayerBlob {
  /** Of the blob: the diffID itself in a classic store, which holds layers uncompressed. */
  readonly digest: Digest;
  /** Bytes of the blob; an estimate in a classic store. */
  readonly size: number;
  /** Absent in a classic store, where it is the digest, and for platforms other than the image's. */
  readonly diffId?: Digest | undefined;
}

/** How a source reads an image of an engine: blob by blob out of its store, or out of `docker save`. */
export interface ReadBy {
  readonly way: 'store' | 'save';
  /** Why it is not the store. */
  readonly why?: string | undefined;
}

/** An image that a source has. */
export interface Image {
  readonly id: Digest;
  /** Where its graph begins: an index, a manifest, or (classic) a config. */
  readonly root: Descriptor;
  readonly store: Store;
  /** Of the image that would run here; an index may hold others. */
  readonly platform: Platform;
  /** Empty where it was chosen by id. */
  readonly names: readonly Name[];
  /** sha256 of the uncompressed layers of `platform`, bottom first. */
  readonly diffIds: readonly Digest[];
  /** The config of `platform`, where the source knows it before it gives any blob. */
  readonly config?: Digest | undefined;
  /**
   * The layers of all present platforms, each digest once; absent where the source learns of them only as
   * they come. A sink names the layers that it lacks by these digests.
   */
  readonly layers?: readonly LayerBlob[] | undefined;
  /** The uncompressed size that the source's engine reports: an estimate of what travels. */
  readonly bytes: number;
  /** How its source is going to read it; absent if there is only one way. Not sent to the other host. */
  readonly readBy?: ReadBy | undefined;
  /** Why its source cannot give it; a sink that has it already may name it all the same. Absent: it can. */
  readonly withheld?: string | undefined;
}

/** Bytes of an image that are to come, before compression, as far as its source knows: its whole size where not. */
export function bytesToCome({ layers, bytes }: Image, missing: readonly Digest[] | undefined): number {
  if (layers === undefined || missing === undefined) return bytes;
  const wanted = new Set(missing);
  return layers.reduce((sum, { digest, size }) => sum + (wanted.has(digest) ? size : 0), 0);
}

/** A classic store names its layers by their diffIDs. */
export function diffIdOf({ digest, diffId }: LayerBlob): Digest {
  return diffId ?? digest;
}

/** All digests that an offer of the image tells. */
export function* digestsOf({ id, root, config, diffIds, layers = [] }: Image): Generator<Digest> {
  yield id;
  yield root.digest;
  if (config) yield config;
  yield* diffIds;
  for (const { digest } of layers) yield digest;
}
