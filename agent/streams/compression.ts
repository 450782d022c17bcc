/** How a file is compressed, by its first bytes; and its bytes without it, within bounds. */
import { finished } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { Decompressor } from '../../proto/compression.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { ZSTD_WINDOW_LOG_MAX } from '../../proto/limits.ts';
import { drained } from './drained.ts';
import { integrity } from './errors.ts';
import type { Inflation } from './inflation.ts';
import { Turn } from './large-window.ts';
import { ZSTD_LONG_WINDOW_LOG_MAX } from './limits.ts';
import { isGzip, isZstd } from './magic.ts';
import { firstFrame } from './zstd-frame.ts';

export type Compression = 'none' | 'gzip' | 'zstd';

/** As many bytes tell compressions apart, also those that are not read. */
export const COMPRESSION_HEAD_BYTES = 8;

/** `head`: the first bytes, four at least where there are so many. */
export function compressionOf(head: Uint8Array): Compression {
  if (isGzip(head)) return 'gzip';
  if (isZstd(head)) return 'zstd';
  return 'none';
}

/** How people call a compression that imgmv does not read; undefined where these bytes begin none. */
export function unreadCompression(head: Uint8Array): string | undefined {
  const bytes = Buffer.from(head.subarray(0, 6));
  if (bytes.toString('latin1').startsWith('BZh')) return 'bzip2';
  return bytes.equals(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])) ? 'xz' : undefined;
}

/** What `source` is decompressed for. */
export interface Inflating {
  /** Counts what comes of it; left out where it has been counted before. */
  readonly inflation?: Inflation | undefined;
  /** Whose turn it is where it needs a large window; that of a layer when left out. */
  readonly turn?: Turn;
}

/**
 * What `source` holds. Throws integrity for damage, for bytes behind the end, for a zstd window over
 * 2^ZSTD_LONG_WINDOW_LOG_MAX, and for what is too much for `inflation`, as soon as it is.
 */
export async function* inflated(
  compression: Exclude<Compression, 'none'>,
  source: AsyncIterable<Buffer>,
  { inflation, turn = new Turn('layer') }: Inflating = {},
): AsyncGenerator<Buffer> {
  let lost: unknown;
  const watched = async function* () {
    try {
      yield* source;
    } catch (error) {
      lost = error;
      throw error;
    }
  };
  const output = compression === 'gzip' ? gunzipped(watched()) : unzstd(watched(), turn);
  try {
    for await (const chunk of output) {
      inflation?.add(chunk.length);
      yield chunk;
    }
  } catch (error) {
    if (lost !== undefined) throw lost;
    if (error instanceof ImgmvError && error.cause === undefined) throw error;
    const cause = (error as Error).cause ?? error;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw integrity(`the ${compression} is damaged, or not what imgmv reads: ${why}`, { cause });
  }
}

/** The first frame says how large a window the whole may have: a large one is taken before anything is decompressed. */
async function* unzstd(source: AsyncGenerator<Buffer>, turn: Turn): AsyncGenerator<Buffer> {
  try {
    const { windowBytes, frames } = await firstFrame(source);
    const inBounds = (decompressor: Decompressor) => decompressor.decompress(frames, Number.MAX_SAFE_INTEGER);
    if (windowBytes <= 2 ** ZSTD_WINDOW_LOG_MAX) return yield* inBounds(new Decompressor());
    if (windowBytes > 2 ** ZSTD_LONG_WINDOW_LOG_MAX)
      throw integrity(
        `zstd with a window of ${windowBytes} bytes, more than ${2 ** ZSTD_LONG_WINDOW_LOG_MAX}`,
        { hint: `compress it with --long=${ZSTD_LONG_WINDOW_LOG_MAX} or less` },
      );
    const decompressor = await turn.begin();
    try {
      yield* inBounds(decompressor);
    } finally {
      turn.end();
    }
  } finally {
    await source.return(undefined);
  }
}

/** Node's gunzip ends with the last member, and says nothing of what is behind it. */
async function* gunzipped(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip();
  const ended = finished(gunzip, { writable: false }).catch(() => {});
  const feed = async () => {
    /** What it may not have read to the end, by where that is. */
    const unread: { readonly end: number; readonly bytes: Buffer }[] = [];
    let fed = 0;
    for await (const bytes of source) {
      fed += bytes.length;
      unread.push({ end: fed, bytes });
      while (unread[0] && unread[0].end <= gunzip.bytesWritten) unread.shift();
      if (gunzip.readableEnded) expectZeros(bytes);
      // Nobody wants the rest.
      else if (gunzip.destroyed) return;
      else if (!gunzip.write(bytes)) await drained(gunzip);
    }
    gunzip.end();
    await ended;
    const read = gunzip.bytesWritten;
    for (const { end, bytes } of unread)
      expectZeros(bytes.subarray(Math.max(0, bytes.length - (end - read))));
  };
  const feeding = feed();
  feeding.catch((error: Error) => gunzip.destroy(error));
  try {
    for await (const chunk of gunzip) yield chunk as Buffer;
    await feeding;
  } finally {
    gunzip.destroy();
    await feeding.catch(() => {});
  }
}

/** Tapes were filled up with zeros. */
function expectZeros(bytes: Buffer): void {
  if (bytes.some((byte) => byte !== 0)) throw integrity('more bytes follow the end of the compressed data');
}
