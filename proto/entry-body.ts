import type { Compressor } from './compression.ts';
import { type AnyBlob, type BlobHeader, maxBytesOf, type Trailer } from './entry.ts';
import { ImgmvError } from './errors.ts';
import { Hasher } from './hasher.ts';

/** A blob as it goes into an entry. */
export interface EncodedBlob extends Omit<BlobHeader, 'type' | 'item'> {
  /** Its encoded bytes. May be read once; throws if the blob's body fails or is not of its size. */
  readonly frames: AsyncIterable<Buffer>;
  /** Once, when `frames` has ended. */
  readonly trailer: () => Trailer;
}

/** The step in front of a lane: compresses what is worth it. `level` is asked before every chunk. */
export function encodeBlob(blob: AnyBlob, compressor: Compressor, level: () => number): EncodedBlob {
  const { kind, digest, size } = blob;
  const encoding = blob.compressed === true || size === 0 ? 'identity' : 'zstd';
  const hasher = size === undefined ? new Hasher() : undefined;
  const maxBytes = size ?? maxBytesOf(kind);
  let came = 0;
  const body = async function* () {
    for await (const chunk of blob.body) {
      came += chunk.length;
      // What is too long may be endless: it is not sent to its end.
      if (came > maxBytes) break;
      hasher?.add(chunk);
      yield chunk;
    }
    if (came > maxBytes || (size !== undefined && came < size))
      throw new ImgmvError('integrity', `a ${kind} of ${maxBytes} bytes was announced, ${came} came`);
  };
  return {
    kind,
    encoding,
    size,
    digest,
    frames: encoding === 'zstd' ? compressor.compress(body(), level, blob.release) : body(),
    trailer: () => ({ complete: true, size: came, ...(hasher && { digest: hasher.digest() }) }),
  };
}
