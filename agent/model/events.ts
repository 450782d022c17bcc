/** What a run tells while it goes on: the objects of `--json`, which the terminal renders too. */
import type { About, ErrorCode, ImgmvError } from '../../proto/errors.ts';
import type { ReadingPhase } from '../streams/reading-meter.ts';
import type { Bottleneck } from './source.ts';

interface EventRef {
  readonly source: string;
  readonly target: string;
}

export interface PlanImage {
  readonly id: string;
  readonly platform: string;
  readonly refs: readonly (EventRef & { replaces: string | null })[];
  readonly action: 'send' | 'present' | 'refuse';
  readonly reason: string | null;
  readonly warning: string | null;
  /** How layers are read out of an engine's store, at the host that reads: where they lie, or by `docker save`. */
  readonly read?: 'store' | 'save';
  /** Why not where they lie. */
  readonly readReason?: string | null;
  readonly layers: number;
  readonly layersMissing: number;
  readonly bytes: number;
  readonly bytesMissing: number;
  /** Why its id at the target will be another one; null where it stays. */
  readonly idChange: string | null;
  /** Where pushing was asked for: the names that will be pushed. One that cannot be is not among them. */
  readonly pushes?: readonly string[];
  /** Layer by layer, where the source knows its layers ahead; in a plan that is the whole run. */
  readonly layerList?: readonly PlanLayer[];
}

/** What else a compose project needs and imgmv does not move. */
export interface PlanNeed {
  readonly kind: 'build' | 'env-file' | 'volume' | 'bind-mount' | 'config' | 'secret' | 'network';
  /** As the compose file has it: a path, or a name. */
  readonly name: string;
  /** Compose does not make it: it has to exist. */
  readonly external: boolean;
  /** The engine's name of a volume or network; the file, or `$VARIABLE`, of a config or secret; null if there is none. */
  readonly from: string | null;
  readonly services: readonly string[];
  /** Where it stands. */
  readonly file: string;
  readonly line: number;
}

export interface PlanLayer {
  readonly digest: string;
  readonly bytes: number;
  readonly missing: boolean;
}

export interface ListedImage {
  readonly id: string;
  readonly names: readonly string[];
  readonly platform: string;
  /** As its place counts them. */
  readonly bytes: number;
  /** Of layers that other images there have, too; null where the place does not tell its layers. */
  readonly sharedBytes: number | null;
  /** Ids of these others. */
  readonly sharedWith: readonly string[];
  /** As its config says it. */
  readonly created: string;
}

/** What an interrupted run kept in an engine. */
export interface KeptImage {
  readonly name: string;
  /** Id at its source of the image whose layers they are; null for one that had come whole. */
  readonly image: string | null;
  /** With the layers below, which may be of other images. */
  readonly bytes: number;
  readonly since: string;
}

/** What an image took, over all tries. Waiting for a turn, or for another try, is none of these. */
export interface PhaseSeconds {
  /** From asking for its first blob until the last one is handed over. */
  readonly transfer: number;
  /** From there on until it is complete, verified and named. */
  readonly load: number;
  /** To a registry behind the target; null where it is not pushed. */
  readonly push: number | null;
}

/** A limit that one of the hosts sets to the link. */
export interface LinkLimit {
  /** Bytes a second. */
  readonly rate: number;
  readonly by: 'sender' | 'receiver';
}

/** What keeps the images of a side: an engine, or a kind of archive. */
export interface Keeper {
  readonly kind: string;
  readonly version: string;
  readonly store: string;
}

/** What is looked at, in this order. */
export type CheckName = 'installation' | 'configuration' | 'engine' | 'store' | 'room' | 'port' | 'host';

export interface PushedRef {
  readonly ref: string;
  readonly digest: string | null;
  readonly warning: string | null;
  readonly error: ToldError | null;
}

export interface ToldError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | null;
  /** For the hint, where there is none yet. */
  readonly about?: About | undefined;
}

type Told =
  | (Keeper & { readonly event: 'engine'; readonly address: string; readonly foundBy: string })
  | {
      /** When the reading of an archive begins, then every half second while it goes on, and then at its end. */
      readonly event: 'reading';
      readonly archive: string;
      /** The directory where a copy of it is kept meanwhile, since it comes but once; null for none. */
      readonly spool: string | null;
      /** First what is in it is looked up; then the layers of the images that were chosen are checked. */
      readonly phase: ReadingPhase;
      /** Of the archive as it is stored, in this phase. */
      readonly bytes: number;
      /** What `bytes` will be in the end; null where a stream does not tell its length. */
      readonly bytesTotal: number | null;
      /** Bytes that what is compressed in it has become, so far and in both phases. */
      readonly inflated: number;
      /** The phase has ended; not told of one that was over at once. */
      readonly done: boolean;
    }
  /** Images go into files: as they were named. */
  | { readonly event: 'writing'; readonly archive: string }
  | {
      readonly event: 'listening';
      readonly address: string;
      readonly port: number;
      readonly expires: string;
      readonly codeFile?: string;
    }
  | {
      readonly event: 'paired';
      readonly peer: {
        readonly name: string;
        readonly address: string;
        readonly key: string;
        readonly engine: Keeper;
      };
      readonly role: 'sender' | 'receiver';
    }
  /** Somebody at the other host is asked whether anything is to move. */
  | { readonly event: 'confirming'; readonly peer: string }
  | { readonly event: 'attempt'; readonly address: string; readonly left: number }
  | {
      readonly event: 'plan';
      readonly images: readonly PlanImage[];
      /** Nothing is to follow: the plan is what was asked for. */
      readonly only: boolean;
      /** With `--compose`, at the host that reads the file. */
      readonly needs?: readonly PlanNeed[];
    }
  | {
      readonly event: 'estimate';
      /** Of the link, in bytes a second. */
      readonly rate: number;
      readonly bytes: number;
      /** What `bytes` take at `rate` as they are; compression makes it less, docker's own work more. */
      readonly seconds: number;
      /** What went over the wire to find out the rate. */
      readonly wireBytes: number;
    }
  | {
      readonly event: 'progress';
      readonly id: string;
      readonly refs: readonly EventRef[];
      /** With `push`, `bytes` and `bytesTotal` are of that push. */
      readonly phase: 'transfer' | 'load' | 'push';
      readonly bytes: number;
      readonly bytesTotal: number;
      readonly wireBytes: number;
      /** Bytes of layers that would stay at the target, whatever happens. */
      readonly kept: number;
      /** Uncompressed bytes a second over the last interval. */
      readonly rate: number;
      /** Bytes a second on the wire over the last interval, of all that the session sends and receives. */
      readonly wireRate: number;
      /** A limit is `network` here. */
      readonly bottleneck: Bottleneck | null;
      /** The limit that holds it up; null where none does. */
      readonly limit: LinkLimit | null;
      /** Whole seconds for which no byte has moved, while it travels or is pushed. */
      readonly stalledSeconds: number;
    }
  | { readonly event: 'silent'; readonly seconds: number }
  | {
      readonly event: 'reconnecting';
      /** From 1; 0 at the side that can only wait. */
      readonly attempt: number;
      /** Compressed bytes that need not travel again. */
      readonly kept: number;
    }
  | {
      /** An image has failed, and is tried again after the others; its `image` comes when that has ended. */
      readonly event: 'retrying';
      readonly id: string;
      readonly refs: readonly EventRef[];
      /** From 1. */
      readonly attempt: number;
      readonly waitSeconds: number;
      /** The image is loaded, and it is its push that failed; `refs` is the name. It waits for no others. */
      readonly phase?: 'push';
      readonly error: ToldError;
    }
  | {
      readonly event: 'image';
      readonly id: string;
      readonly platform: string;
      readonly refs: readonly (EventRef & { replaced: string | null })[];
      readonly status: 'loaded' | 'present' | 'refused' | 'failed' | 'skipped';
      readonly targetId: string | null;
      readonly bytes: number;
      /** Of its entries, compressed: the same on both sides. What a break made travel again is in `done` only. */
      readonly wireBytes: number;
      readonly layersSent: number;
      /** As `PlanImage` has it; `save`, too, where some layers had to be read so. */
      readonly read?: 'store' | 'save';
      readonly readReason?: string | null;
      readonly layersSkipped: number;
      /** When its first turn began: seconds since the plan was told. */
      readonly startedAt: number;
      /**
       * From there on until it ended: its phases, and what it waited between tries and for others. Where it goes to
       * another host that one measures it, and both tell the same.
       */
      readonly seconds: number;
      readonly phases: PhaseSeconds;
      /** Bytes of layers that stay at the target for the next run, of an image that failed. */
      readonly kept: number;
      readonly error: ToldError | null;
      /** Where pushing was asked for: of each name, or of `targetId` where there is none. */
      readonly pushed?: readonly PushedRef[];
    }
  | {
      readonly event: 'done';
      readonly images: number;
      readonly failed: number;
      readonly bytes: number;
      /** Of the whole session, in both directions, as counted by the target; for a plan, by this host. */
      readonly wireBytes: number;
      /** From the plan until the last image ended, or all were placed, as the target measures it; a plan alone as a whole. */
      readonly seconds: number;
      readonly exit: number;
    }
  | {
      readonly event: 'images';
      readonly images: readonly ListedImage[];
      /** Of their layers, each once; null where a place does not tell its layers. */
      readonly layerBytes: number | null;
    }
  /** Something that may not be what was meant, and stops nothing. */
  | { readonly event: 'warning'; readonly message: string }
  | {
      readonly event: 'cleaned';
      readonly removed: readonly KeptImage[];
      readonly kept: readonly (KeptImage & { readonly reason: string })[];
      /** By what its layers take less now, as the engine measures them; null where it does not say. */
      readonly freedBytes: number | null;
    }
  | {
      readonly event: 'check';
      readonly name: CheckName;
      readonly status: 'ok' | 'warning' | 'fault';
      readonly message: string;
      /** What to do, where it is not well. */
      readonly hint: string | null;
      /** What a command would end with; null where none would for this. */
      readonly code: ErrorCode | null;
      /** For the hint, where there is none yet. */
      readonly about?: About | undefined;
    }
  /** Behind the last check. */
  | {
      readonly event: 'checked';
      readonly ok: number;
      readonly warnings: number;
      readonly faults: number;
      readonly exit: number;
    }
  | (ToldError & { readonly event: 'error'; readonly exit: number });

/** `target` is the host that a sender sends to, in all that it tells about it. */
export type Event = Told & { readonly target?: string };

export type Emit = (event: Event) => void;
export type EventOf<E extends Event['event']> = Extract<Event, { event: E }>;

export function tellError({ code, message, hint, about }: ImgmvError): ToldError {
  return { code, message, hint: hint ?? null, about };
}

export function errorEvent(error: ImgmvError): EventOf<'error'> {
  const { code, ...words } = tellError(error);
  return { event: 'error', code, exit: error.exit, ...words };
}

export function warnBy(emit: Emit): (message: string) => void {
  return (message) => emit({ event: 'warning', message });
}
