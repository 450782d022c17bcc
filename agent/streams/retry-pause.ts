import { RETRY_PAUSE_FACTOR, RETRY_PAUSE_MAX_MS, RETRY_PAUSE_MIN_MS } from '../../proto/limits.ts';

/** How long to wait before what failed is tried for another time; `attempt` is from 1. */
export function retryPauseMs(attempt: number): number {
  return Math.min(RETRY_PAUSE_MIN_MS * RETRY_PAUSE_FACTOR ** (attempt - 1), RETRY_PAUSE_MAX_MS);
}
