/** How fast the link to the other host is, found out with bytes that mean nothing. */
import { randomBytes } from 'node:crypto';
import { PROBE_MAX_CHARACTERS } from '../../proto/limits.ts';
import type { Session } from './session.ts';

/** A round that takes this long says enough: TCP has found its pace. */
const LONG_ENOUGH_MS = 400;
const ROUND_MAX_BYTES = 32 * 1024 * 1024;

/** Bytes a second. Takes a second or two; the rounds double until one takes long enough. */
export async function measureRate({ control }: Session): Promise<number> {
  const padding = randomBytes(PROBE_MAX_CHARACTERS / 2).toString('hex');
  for (let bytes = padding.length; ; bytes *= 2) {
    const started = performance.now();
    for (let sent = 0; sent < bytes; sent += padding.length) await control.send({ type: 'probe', padding });
    await control.lane.ping();
    const elapsedMs = performance.now() - started;
    if (elapsedMs >= LONG_ENOUGH_MS || bytes >= ROUND_MAX_BYTES) return (bytes * 1_000) / elapsedMs;
  }
}
