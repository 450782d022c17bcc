/** Memory of records that are done with. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** A collection of young objects is cheap: few of them are still in use. */
const COLLECT_AFTER_BYTES = 2 * 1024 * 1024;

type Collect = (options: { readonly type: 'minor' | 'major' }) => void;

let collect: Collect | undefined;
let bytes = 0;

/**
 * Counts a buffer that is no longer used, on any channel. V8 does not look at memory outside its heap until it has grown by
 * 64 MiB, so it is told to collect every 2 MiB.
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
