import { LINGER_MS, LINGER_UNHEARD_MS } from '../../proto/limits.ts';
import type { Session } from './session.ts';

const CHECK_MS = 1_000;

/**
 * Waits for the last word of a sender that has all results; undefined where it says nothing more. One that cannot be
 * heard may lack the last result, and be on its way back for it. Rejects as `word` does. PROTOCOL.md section 6, `finish`.
 */
export async function lingering<T>(
  session: Pick<Session, 'heard'>,
  word: Promise<T>,
): Promise<T | undefined> {
  const startedAt = performance.now();
  let heardSince = startedAt;
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<undefined>((resolve) => {
    timer = setInterval(() => {
      const now = performance.now();
      if (!session.heard) heardSince = now;
      if (now - heardSince >= LINGER_MS || now - startedAt >= LINGER_UNHEARD_MS) resolve(undefined);
    }, CHECK_MS);
  });
  try {
    return await Promise.race([word, silence]);
  } finally {
    clearInterval(timer);
  }
}
