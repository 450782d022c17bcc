/** What layer-thread.ts and layer-worker.ts say to one another. `id` is the asker's, one for each question. */
import type { Digest } from '../../../model/image.ts';
import type { EngineInfo } from '../../engine-info.ts';
import type { FoundImage, FoundLayer, Position } from './layout.ts';
import type { OddOptions } from './odd.ts';

/** Chunks of a layer that may be on their way, not yet taken. */
export const CHUNKS_AHEAD = 8;

export interface WorkerData {
  readonly root: string;
  readonly kind: EngineInfo['kind'];
  readonly driver: string;
}

export type Request =
  | {
      readonly type: 'find';
      readonly id: number;
      readonly image: Digest;
      readonly positions: readonly Position[];
    }
  | { readonly type: 'measure'; readonly id: number; readonly layer: FoundLayer }
  | { readonly type: 'check'; readonly id: number; readonly layer: FoundLayer }
  | { readonly type: 'read'; readonly id: number; readonly layer: FoundLayer }
  /** Of a `read`: a chunk has been taken. `spare`: one that is not read any more. */
  | { readonly type: 'more'; readonly id: number; readonly spare?: ArrayBuffer | undefined }
  /** Of a `read`: no more of it is wanted; `end` follows. */
  | { readonly type: 'stop'; readonly id: number };

export type Response =
  | { readonly type: 'found'; readonly id: number; readonly image: FoundImage }
  | { readonly type: 'measured'; readonly id: number; readonly bytes: number }
  | { readonly type: 'checked'; readonly id: number }
  | { readonly type: 'chunk'; readonly id: number; readonly bytes: Uint8Array }
  /** Of a `read`: `seconds` of a processor have gone into all that the thread has done so far. */
  | { readonly type: 'end'; readonly id: number; readonly seconds: number }
  /** The layer, or the image, is not to be read from there. */
  | ({ readonly type: 'odd'; readonly id: number; readonly why: string } & OddOptions)
  | { readonly type: 'failed'; readonly id: number; readonly error: Error };
