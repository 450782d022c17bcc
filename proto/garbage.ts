/** Memory of records that are done with. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** A young collection takes less than a millisecond, since little of what came in between is still alive. */
const COLLECT_AFTER_BYTES = 2 * 1024 * 1024;

type Collect = (options: { readonly type: 'minor' | 'major' }) => void;

let collect: Collect | undefined;
let bytes = 0;

/**
 * Counts buffers that are of no use any more, of all channels. V8 does not count memory outside its heap until there are 64 MiB
 * of it, so it is told to look after every few.
 */
export function countGarbage({ length }: Uint8Array): void {
  bytes += length;
  if (bytes < COLLECT_AFTER_BYTES) return;
  bytes = 0;
  collect ??= collector();
  collect({ type: 'minor' });
}

/** Collects all garbage, whatever it takes. */
export function collectAll(): void {
  collect ??= collector();
  collect({ type: 'major' });
}

/** V8 shows its collector to contexts that are made while the flag is set. */
function collector(): Collect {
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext('gc') as Collect;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
