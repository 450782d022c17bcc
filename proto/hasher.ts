import { createHash } from 'node:crypto';
import type { Digest } from './entry.ts';

/** The sha256 of bytes that pass by, and how many they are. */
export class Hasher {
  readonly #hash = createHash('sha256');
  bytes = 0;

  add(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.bytes += chunk.length;
  }

  /** Of all that was added. Once. */
  digest(): Digest {
    return `sha256:${this.#hash.digest('hex')}`;
  }
}
