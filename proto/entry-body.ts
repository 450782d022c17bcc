import type { Compressor } from './compression.ts';
import type { Blob, BlobHeader } from './entry.ts';
import { ImgmvError } from './errors.ts';

/** A blob as it goes into an entry. */
export interface EncodedBlob extends Omit<BlobHeader, 'type' | 'item'> {
  /** Its encoded bytes. May be read once; throws if the blob's body fails or is not of its size. */
  readonly frames: AsyncIterable<Buffer>;
}

/** The step in front of a lane: compresses what is worth it. `level` is asked before every chunk. */
export function encodeBlob(blob: Blob, compressor: Compressor, level: () => number): EncodedBlob {
  const { kind, digest, size } = blob;
  const encoding = blob.compressed === true || size === 0 ? 'identity' : 'zstd';
  const body = ofItsSize(blob);
  const frames = encoding === 'zstd' ? compressor.compress(body, level) : body;
  return { kind, encoding, size, digest, frames };
}

async function* ofItsSize({ kind, size, body }: Blob): AsyncGenerator<Buffer> {
  let came = 0;
  for await (const chunk of body) {
    came += chunk.length;
    // What is too long may be endless: it is not sent to its end.
    if (came > size) break;
    yield chunk;
  }
  if (came !== size)
    throw new ImgmvError('integrity', `a ${kind} of ${size} bytes was announced, ${came} came`);
}
