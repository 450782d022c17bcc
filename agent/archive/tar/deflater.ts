/**
 * Compresses a file part by part, so that what came of the last part can be taken back. zstd is a frame for each
 * part (RFC 8878), which all readers take. gzip is one member all the same (RFC 1952): not all take several.
 */
import { finished, Readable } from 'node:stream';
import { constants, crc32, createDeflateRaw } from 'node:zlib';
import { Compressor } from '../../../proto/compression.ts';
import type { Compression } from '../../streams/compression.ts';
import { tap } from '../../streams/tap.ts';

export interface Deflater {
  /** What comes of `source`, behind that of the parts before. One at a time. */
  part(source: AsyncIterable<Buffer>): AsyncIterable<Buffer>;
  /** Call what it gives to forget all parts since. */
  mark(): () => void;
  /** What belongs behind the last part. */
  end(): Buffer;
}

const GZIP_LEVEL = 6;
const ZSTD_LEVEL = 3;
/** No name, no date, made on Unix: the same bytes for the same content. */
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
/** RFC 1951: a last block, of fixed codes, that holds nothing. */
const LAST_BLOCK = Buffer.from([0x03, 0x00]);

/** Each part stands for itself. */
const UNFRAMED = { mark: () => () => {}, end: () => Buffer.alloc(0) };

export function deflater(compression: Compression): Deflater {
  switch (compression) {
    case 'none':
      return { ...UNFRAMED, part: (source) => source };
    case 'zstd': {
      const compressor = new Compressor();
      return { ...UNFRAMED, part: (source) => compressor.compress(source, () => ZSTD_LEVEL) };
    }
    case 'gzip':
      return new Gzip();
    default:
      return compression satisfies never;
  }
}

class Gzip implements Deflater {
  #begun = false;
  #crc = 0;
  #bytes = 0;

  async *part(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    if (!this.#begun) yield GZIP_HEADER;
    this.#begun = true;
    const counted = tap(source, (chunk) => {
      this.#crc = crc32(chunk, this.#crc);
      this.#bytes += chunk.length;
    });
    const input = Readable.from(counted, { objectMode: true });
    // It ends on a whole byte and not with a last block, so that the next part can follow.
    const deflate = createDeflateRaw({ level: GZIP_LEVEL, finishFlush: constants.Z_SYNC_FLUSH });
    finished(input, (error) => {
      if (error) deflate.destroy(error);
    });
    try {
      input.pipe(deflate);
      for await (const chunk of deflate) yield chunk as Buffer;
    } finally {
      input.destroy();
      deflate.destroy();
    }
  }

  mark(): () => void {
    const [begun, crc, bytes] = [this.#begun, this.#crc, this.#bytes];
    return () => {
      this.#begun = begun;
      this.#crc = crc;
      this.#bytes = bytes;
    };
  }

  end(): Buffer {
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(this.#crc, 0);
    trailer.writeUInt32LE(this.#bytes % 2 ** 32, 4);
    return Buffer.concat([LAST_BLOCK, trailer]);
  }
}
