import { type Deferred, deferred } from '../../proto/deferred.ts';
import { onAbort } from '../streams/on-abort.ts';

/** The reason of a no that somebody gave. */
export const NOT_CONFIRMED = 'it was not confirmed';

export interface Patience {
  readonly signal: AbortSignal;
  readonly waitMs: number;
}

/**
 * Why the answer is no; undefined for a yes. Nobody who answers in time is a no. The signal of `ask` is aborted when no
 * answer is wanted any more; what it then does is ignored. Throws the reason of `signal`, and what `ask` throws.
 */
export async function askInTime(
  ask: (signal: AbortSignal) => Promise<boolean>,
  { signal, waitMs }: Patience,
): Promise<string | undefined> {
  signal.throwIfAborted();
  const over = new AbortController();
  const end: Deferred<string | undefined> = deferred();
  const late = setTimeout(
    () => end.resolve(`nobody confirmed it within ${Math.round(waitMs / 1000)} s`),
    waitMs,
  );
  using _ = onAbort(signal, () => end.reject(signal.reason));
  ask(over.signal).then(
    (yes) => end.resolve(yes ? undefined : NOT_CONFIRMED),
    (error: unknown) => end.reject(error),
  );
  try {
    return await end.promise;
  } finally {
    clearTimeout(late);
    over.abort();
  }
}
