/**
 * What an image is, and the two ends of every move: a `Source` gives images, a `Sink` takes them. An engine,
 * a peer, and an archive is one pair of these. test/conformance holds what all of them must do.
 */
import type { Blob, Digest } from '../../proto/entry.ts';
import type { ImgmvError } from '../../proto/errors.ts';
import type { PushProblem } from '../../proto/messages.ts';

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
  readonly variant?: string;
}

/** How an engine keeps images, and so what their ids are: of the config (classic) or of the root (containerd). */
export type Store = 'classic' | 'containerd';

/** A name that travels: what it is at the source, and what it is to be at the target; both familiar, with a tag. */
export interface Name {
  readonly source: string;
  readonly target: string;
  /** What the sender wanted it to be at the target, where the receiver has rules of its own. */
  readonly offered?: string;
}

/** A layer as its store holds it. */
export interface LayerBlob {
  /** Of the blob: the diffID itself in a classic store, which holds layers uncompressed. */
  readonly digest: Digest;
  /** Bytes of the blob; an estimate in a classic store. */
  readonly size: number;
  /** Absent in a classic store, where it is the digest, and for platforms other than the image's. */
  readonly diffId?: Digest;
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
  readonly config?: Digest;
  /**
   * The layers of all present platforms, each digest once; absent where the source learns of them only as
   * they come. What a sink lacks is told by these digests.
   */
  readonly layers?: readonly LayerBlob[];
  /** As the source's engine counts them: an estimate of what travels, uncompressed. */
  readonly bytes: number;
}

export interface PlannedName extends Name {
  /** Id of the image that has this name at the target and will lose it; 12 digits of it from another host. */
  readonly replaces?: string;
  /** It will be pushed once the image is there. */
  readonly push?: true;
}

/** What a sink says to an image that is offered. */
export interface Answer {
  readonly image: Image;
  readonly action: 'send' | 'present' | 'refuse';
  /** Why it is refused, or why it is sent though one may not expect so. */
  readonly reason?: string;
  readonly warning?: string;
  readonly refs: readonly PlannedName[];
  /** With `refuse`: the sink would take it, its own source cannot give it. */
  readonly withdrawn?: true;
  /** With `refuse`: why the sink could not say, which may be otherwise another time. */
  readonly error?: ImgmvError;
  /** With `send`: digests out of the image's `layers` that are not at the sink. Absent: all that comes is wanted. */
  readonly missing?: readonly Digest[];
}

export interface SetName extends Name {
  /** As `replaces`. */
  readonly replaced?: string;
}

/** What became of the push of one name: it has a digest or an error. */
export interface Pushed {
  /** The name at the target; the image's id there where it has none. */
  readonly target: string;
  /** Of the manifest or index that the registry has now. */
  readonly digest?: Digest;
  /** What else the engine said that one may not expect. */
  readonly warning?: string;
  readonly error?: ImgmvError;
  /** With `error`: what of it is told to another host. */
  readonly problem?: PushProblem;
}

/** What became of an image. */
export interface Outcome {
  readonly image: Image;
  readonly status: 'loaded' | 'present' | 'refused' | 'failed' | 'skipped';
  /** Its id at the target, where it is there; as `Committed` has it. */
  readonly targetId?: string;
  readonly refs: readonly SetName[];
  readonly error?: ImgmvError;
  /** With `failed`: bytes of layers that stay at the target for the next run. */
  readonly kept?: number;
  /** As `Committed` has them. */
  readonly pushed?: readonly Pushed[];
  readonly pushMs?: number;
}

export interface Committed {
  /** A digest; 12 digits of it where another host had the image under an id that was not offered. */
  readonly targetId: string;
  readonly refs: readonly SetName[];
  /**
   * Asks for manifests that an index of the image names and that are whole at the sink, though the source has neither
   * sent nor offered them: a push of the image would push them, too. Absent where there can be none.
   */
  readonly unsent?: () => Promise<readonly Digest[]>;
  /** Where pushing was asked for: of the names that say where to, and how long it took them all. */
  readonly pushed?: readonly Pushed[];
  readonly pushMs?: number;
}

/** Bytes as the engine counts them. `bytesTotal` grows while the engine looks at one layer after another. */
export interface PushProgress {
  readonly bytes: number;
  readonly bytesTotal: number;
}

/** Layers that were thought to be at the sink, and are not any more. */
export interface Incomplete {
  readonly missing: readonly Digest[];
}

/** Milliseconds that an end has waited so far for each part of the pipe; only the parts that it knows. */
export interface Waits {
  readonly save?: number;
  readonly compress?: number;
  readonly network?: number;
  readonly load?: number;
}

export type Bottleneck = keyof Waits;

/** One image on its way into a sink. Ends by `commit` or by `abort`, once. */
export interface ImageWriter {
  /**
   * Takes one blob, in any order; resolves when its bytes are taken. Bytes that are not what the digest says
   * fail with integrity, here or at `commit`: a peer checks them on the other host.
   */
  write(blob: Blob): Promise<void>;
  /**
   * Makes the image complete, verifies it, and only then sets its names. Nothing under a name before. Where
   * layers have gone meanwhile it says which; the caller writes these and all metadata again, and commits again.
   */
  commit(): Promise<Committed | Incomplete>;
  /** Bytes that the sink has worked off since `commit` was called; 0 where it cannot tell. */
  loadedBytes(): number;
  /** How far the push is that goes on now; undefined while there is none. Absent: the sink pushes nothing. */
  pushing?(): PushProgress | undefined;
  /** Bytes of layers that stay although it is aborted: the next writer for this image need not get them again. */
  keptBytes(): number;
  /** Undoes: nothing of this image stays but `keptBytes`, nothing under a name changes. Never throws. */
  abort(error: ImgmvError): Promise<void>;
}

/** Images that failed, and are planned and moved once more after a pause. */
export interface Retry {
  readonly images: readonly Image[];
  /** From 1. */
  readonly attempt: number;
  readonly waitMs: number;
}

export interface Source extends AsyncDisposable {
  /** The images that were chosen, each id once. */
  images(): Promise<readonly Image[]>;
  /**
   * Told before any blob is asked for, once for all images and once for each `Retry`. Gives the plan as it is
   * to be done: an image that cannot be given is `withdrawn`.
   */
  planned(answers: readonly Answer[]): Promise<readonly Answer[]>;
  /**
   * For a source whose images come in an order of its own: the one whose blobs are next, once it is known. The
   * same until they are asked for; rejects when there can be none any more. Absent: any image may be next.
   */
  next?(): Promise<Image>;
  /**
   * The present blobs of one image, each once, in the order in which the store gives them: metadata always,
   * and the layers in `wanted`, or all where that is undefined. A source that learns a layer's digest only
   * from its bytes may give layers that are not wanted. Every `body` must be read, to its end or not, before
   * the next blob is asked for. Called again for what a sink found incomplete.
   */
  blobs(image: Image, wanted: readonly Digest[] | undefined, signal: AbortSignal): AsyncIterable<Blob>;
  /**
   * Says that this image will be next, or is wanted once more: what takes long before its first blob may
   * begin. `blobs` with the same arguments follows, or the source is disposed of.
   */
  prepare?(image: Image, wanted: readonly Digest[] | undefined, signal: AbortSignal): void;
  /** Told for each image, as it ends; again for each time that it is tried. */
  settled(outcome: Outcome): Promise<void>;
  /**
   * For a source whose other side decides what is tried again. Asked when all images have ended and `failed` did
   * without success; resolves once it is known, with undefined where they are left at that.
   */
  retry?(failed: readonly Image[]): Promise<Retry | undefined>;
  /** Told, of a sink that has `finish`, that it has, or why it could not. */
  finished?(error: ImgmvError | undefined): Promise<void>;
  waits(): Waits;
}

export interface Sink extends AsyncDisposable {
  /** How images are kept there; another kind than the source's means other ids. Undefined: as they come. */
  readonly store: Store | undefined;
  /** One answer an image, in the same order. Asked for all images, then for those of each `Retry`. */
  plan(images: readonly Image[]): Promise<readonly Answer[]>;
  /** Told what is tried again, before the pause; `plan` follows. */
  retry?(retry: Retry): Promise<void>;
  /** For an answer that is not `refuse`; for `present` only `commit` follows. */
  writer(answer: Answer, signal: AbortSignal): Promise<ImageWriter>;
  /**
   * For a sink whose images are there all together or not at all. Called once, when each has been committed or
   * aborted and none is tried again: makes what was committed what stays. Where it throws, or is not called, none
   * of the images is there.
   */
  finish?(): Promise<void>;
  waits(): Waits;
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
