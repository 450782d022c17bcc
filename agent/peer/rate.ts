/** How fast the link to the other host is, found out with bytes that mean nothing. */
import { randomBytes } from 'node:crypto';
import { PROBE_MAX_CHARACTERS } from '../../proto/limits.ts';
import type { Session } from './session.ts';

/** A round that takes this long says enough: TCP has found its pace. */
const LONG_ENOUGH_MS = 400;
const ROUND_MAX_BYTES = 8 * 1024 * 1024;

/** `rate`: bytes a second. `wireBytes`: what went over the wire, both ways, to find that out. */
export interface LinkRate {
  readonly rate: number;
  readonly wireBytes: number;
}

/**
 * Takes a second or two; the rounds double until one takes long enough, and one in which the connection
 * broke says nothing. Throws what ended the session.
 */
export async function measureRate(session: Pick<Session, 'control' | 'wireBytes'>): Promise<LinkRate> {
  const { control } = session;
  const wireBytesBefore = session.wireBytes;
  const padding = randomBytes(PROBE_MAX_CHARACTERS / 2).toString('hex');
  for (let bytes = padding.length; ; ) {
    const started = performance.now();
    // Without a connection this waits for the next one as soon as the window is full.
    for (let sent = 0; sent < bytes; sent += padding.length) await control.send({ type: 'probe', padding });
    if ((await control.lane.ping()) === undefined) continue;
    const elapsedMs = performance.now() - started;
    if (elapsedMs >= LONG_ENOUGH_MS || bytes >= ROUND_MAX_BYTES)
      return { rate: (bytes * 1_000) / elapsedMs, wireBytes: session.wireBytes - wireBytesBefore };
    bytes *= 2;
  }
}
