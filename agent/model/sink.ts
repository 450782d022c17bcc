/** Where images go to: an engine, files, or another host. test/conformance holds what every sink must do. */
import { ImgmvError } from '../../proto/errors.ts';
import type { PushProblem } from '../../proto/messages.ts';
import type { Blob, Digest, Image, Name, Platform, Store } from './image.ts';
import type { Waits } from './source.ts';

export interface PlannedName extends Name {
  /** Id of the image that has this name at the target and will lose it; 12 digits of it from another host. */
  readonly replaces?: string | undefined;
  /** It will be pushed once the image is there. */
  readonly push?: true | undefined;
}

/** What a sink says to an image that is offered. */
export interface Answer {
  readonly image: Image;
  readonly action: 'send' | 'present' | 'refuse';
  /** Why it is refused, or why it is sent though one may not expect so. */
  readonly reason?: string | undefined;
  readonly warning?: string | undefined;
  readonly refs: readonly PlannedName[];
  /** With `refuse`: why the sink could not say, which may be otherwise another time. */
  readonly error?: ImgmvError | undefined;
  /** With `send`: digests out of the image's `layers` that are not at the sink. Absent: all that comes is wanted. */
  readonly missing?: readonly Digest[] | undefined;
}

export interface Planned {
  readonly answer: Answer;
  /** For an answer that is not `refuse`, once; for `present` only `commit` follows. */
  open(signal: AbortSignal): Promise<ImageWriter>;
  /** How long the image took, once it has its outcome, where another host measures that. */
  tookMs?(): number | undefined;
}

export interface SetName extends Name {
  /** As `replaces`. */
  readonly replaced?: string | undefined;
}

export interface Pushed {
  /** The name at the target; the image's id there where it has none. */
  readonly target: string;
  /** Of the manifest or index that the registry has now. */
  readonly digest?: Digest | undefined;
  /** What else the engine said that one may not expect. */
  readonly warning?: string | undefined;
  readonly error?: ImgmvError | undefined;
  /** With `error`: the part of it that another host may know. */
  readonly problem?: PushProblem | undefined;
}

/** Bytes as the engine counts them. `bytesTotal` grows while the engine looks at one layer after another. */
export interface PushProgress {
  readonly bytes: number;
  readonly bytesTotal: number;
}

/** A push that goes on behind a commit. Nothing of the image depends on it, and nothing has to wait for it. */
export interface Push {
  /** What became of each name, one at least. Never rejects: what stops it is told of the names that are left. */
  readonly done: Promise<readonly Pushed[]>;
  progress(): PushProgress;
}

export interface Outcome {
  readonly image: Image;
  readonly status: 'loaded' | 'present' | 'refused' | 'failed' | 'skipped';
  /** Its id at the target, where it is there; as `Committed` has it. */
  readonly targetId?: string;
  readonly refs: readonly SetName[];
  readonly error?: ImgmvError;
  /** With `failed`: bytes of layers that stay at the target for the next run. */
  readonly kept?: number;
  /** Where it was pushed on: of the names that say where to. */
  readonly pushed?: readonly Pushed[];
}

/** What a push of an image would take along. */
export interface Pushable {
  /** What the image names and its source has neither sent nor offered. If there is any, nothing may be pushed. */
  readonly foreign: readonly Digest[];
  /** Names the file of a layer in whose place the engine would push a file of its host. If set, nothing may be pushed. */
  readonly withheld?: string;
  /** Whether it would cannot be seen from here. */
  readonly unseen?: boolean;
  /** Of another image by now, or of none; or `slow`: nobody can say in time whose it is. The image's own when left out. */
  readonly name?: 'ours' | 'moved' | 'slow';
  /** Push only the manifest of this platform: the index names others that are missing. */
  readonly platform?: Platform;
}

export interface Committed {
  /** A digest; 12 digits of it where another host had the image under an id that was not offered. */
  readonly targetId: string;
  readonly refs: readonly SetName[];
  /** Asked right before each try of a push: what may be pushed changes with what else is at the sink. */
  readonly pushable: (name: string) => Promise<Pushable>;
  /** Undefined where nothing is pushed. */
  readonly push: Push | undefined;
}

/** Layers that were thought to be at the sink, and are not any more. */
export interface Incomplete {
  readonly missing: readonly Digest[];
}

/** One image on its way into a sink. Ends by `commit` or by `abort`, once. */
export interface ImageWriter {
  /**
   * Takes one blob, in any order; resolves when its bytes are taken. Bytes that are not what the digest says
   * fail with integrity, here or at `commit`: a peer checks them on the other host. Where the body throws BlobGivenUp
   * so does this; the blob may be written again, and where other layers went with it, `commit` says which.
   */
  write(blob: Blob): Promise<void>;
  /**
   * Makes the image complete, verifies it, and only then sets its names, all or none. Nothing under a name before.
   * Where layers have gone meanwhile it says which; the caller writes these and all metadata again, and commits again.
   */
  commit(): Promise<Committed | Incomplete>;
  /** Bytes that the sink has worked off since `commit` was called; 0 where it cannot tell. */
  loadedBytes(): number;
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

export interface SinkFacts {
  /** How images are kept there; another kind than the source's means other ids. Undefined: as they come. */
  readonly store: Store | undefined;
  /** Its images are there all together once `finish` has resolved, and none before. */
  readonly atomic: boolean;
}

export interface Sink extends AsyncDisposable {
  readonly facts: SinkFacts;
  /** One an image, in the same order. Asked for all images, then for those of each `Retry`. */
  plan(images: readonly Image[]): Promise<readonly Planned[]>;
  /** Told what is tried again, before the pause; `plan` follows. */
  retrying(retry: Retry): Promise<void>;
  /**
   * Called once, when each image has been committed or aborted and none is tried again. Of an atomic sink it makes what
   * was committed what stays: where it throws, or is not called, none of the images is there. Others never throw.
   */
  finish(): Promise<void>;
  waits(): Waits;
}

/** Of a sink that makes nothing but what the source gives. */
export const ALL_PUSHABLE = async (): Promise<Pushable> => ({ foreign: [] });

/** What a writer says of which nothing stays that was not committed, and that does not know how far it is. */
export const KEEPS_NOTHING = { loadedBytes: () => 0, keptBytes: () => 0, abort: async () => {} };

/** For an image that is there already: only its names are to be set, by `commit`. */
export function presentWriter(commit: () => Promise<Committed>): ImageWriter {
  return {
    write: () => Promise.reject(new ImgmvError('internal', 'a blob of an image that is present')),
    commit,
    ...KEEPS_NOTHING,
  };
}

/** For an answer that is `refuse`. */
export function refused(answer: Answer & { readonly action: 'refuse' }): Planned {
  return {
    answer,
    open: () => Promise.reject(new ImgmvError('internal', 'an image that is refused has no way in')),
  };
}
