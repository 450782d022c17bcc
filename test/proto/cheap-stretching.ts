/**
 * Stands in for the stretching of a code, which takes 0.1 s of a processor at each end of each session. For tests of
 * what comes after a pairing: `vi.mock('…/proto/code.ts', …)`. test/proto/code.test.ts has the true one.
 */
import { createHash } from 'node:crypto';
import type { Secret } from '../../proto/secret.ts';

export async function deriveKey(code: Secret, salt: Uint8Array): Promise<Buffer> {
  return createHash('sha256').update(salt).update(code.reveal()).digest();
}
