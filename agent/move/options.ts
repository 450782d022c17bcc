import type { CopyOptions } from './copy.ts';

export interface MoveOptions extends CopyOptions {
  /**
   * Images under way at once, at least 1: while one is loaded, the next one travels, and the one behind that
   * is made ready. A source with an order of its own decides by itself.
   */
  readonly jobs: number;
  /** How often images that failed are tried again, where the source does not decide that. */
  readonly retries: number;
  /** What has arrived is going to be pushed, by the sink or behind it: the plan says where to. */
  readonly pushes?: boolean;
  /** Something that was meant is no image of `source`: what arrives is not all, and the status says so. */
  readonly lacking?: boolean;
  /** Ends with the plan: no blob is asked for, no image settled. */
  readonly planOnly?: boolean;
}
