/** What people read of what became of an image; events, and reports for scripts, have the status itself. */
import type { ToldError } from '../agent/model/events.ts';
import type { ErrorCode } from '../proto/errors.ts';
import type { ImageStatus } from './report/model.ts';

const STOPS: readonly ErrorCode[] = ['sighup', 'sigint', 'sigterm', 'peer-stopped'];

interface Ended {
  readonly status: ImageStatus;
  readonly error: Pick<ToldError, 'code'> | null;
}

/** What goes into files is written, and what somebody has stopped has not failed. */
export function statusWord({ status, error }: Ended, intoFiles: boolean): string {
  if (status === 'failed' && error && STOPS.includes(error.code)) return 'stopped';
  return status === 'loaded' && intoFiles ? 'written' : status;
}
