/**
 * Compresses what is loaded into an engine on another host. Engines recognize compression by the first bytes of the tar
 * (moby pkg/archive, DecompressStream).
 */

import { promisify } from 'node:util';
import { constants, createGzip, type Gzip, type ZlibParams } from 'node:zlib';
import { Compressor } from '../../proto/compression.ts';
import { LevelPolicy } from '../streams/level.ts';
import type { Engine } from './engine.ts';

/** Docker takes zstd from 23.0 on. */
const ZSTD_FROM = 23;
/** Above, gzip takes twice the time for a hundredth of the bytes. */
const GZIP_LEVEL_MAX = 6;

export interface Link {
  /** Milliseconds so far that were spent waiting for it. */
  readonly waitedMs: () => number;
  /** Gets each chunk of the tar that is no longer read. */
  readonly release: (chunk: Buffer) => void;
}

/** Undefined for an engine of this host: its socket is faster than any compression. */
export function loadCompression({
  endpoint,
  info,
}: Pick<Engine, 'endpoint' | 'info'>):
  | ((tar: AsyncIterable<Buffer>, link: Link) => AsyncIterable<Buffer>)
  | undefined {
  if (endpoint.address.startsWith('unix://')) return undefined;
  const takesZstd = info.kind === 'podman' || Number.parseInt(info.version, 10) >= ZSTD_FROM;
  return (tar, { waitedMs, release }) => {
    const policy = new LevelPolicy(undefined, () => ({ linkMs: waitedMs(), readerWaits: true }));
    const level = () => policy.level();
    return takesZstd ? new Compressor().compress(tar, level, release) : gzip(tar, level, release);
  };
}

async function* gzip(
  tar: AsyncIterable<Buffer>,
  wanted: () => number,
  release: (chunk: Buffer) => void,
): AsyncGenerator<Buffer> {
  const stream = createGzip({ level: 1 }) as Gzip & ZlibParams;
  const feeding = feed(stream, tar, wanted, release).catch((error: Error) => void stream.destroy(error));
  yield* stream as AsyncIterable<Buffer>;
  await feeding;
}

async function feed(
  stream: Gzip & ZlibParams,
  tar: AsyncIterable<Buffer>,
  wanted: () => number,
  release: (chunk: Buffer) => void,
): Promise<void> {
  const change = promisify(stream.params.bind(stream));
  let level = 1;
  for await (const chunk of tar) {
    const next = Math.min(wanted(), GZIP_LEVEL_MAX);
    if (next !== level) await change(next, constants.Z_DEFAULT_STRATEGY);
    level = next;
    await new Promise<void>((resolve, reject) => {
      stream.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
    release(chunk);
  }
  stream.end();
}
