/**
 * The only file that knows zstd-napi. Compresses a stream of bytes into one zstd frame (RFC 8878) on
 * libzstd's own threads, at a level that may change on the way, and decompresses within fixed bounds.
 */
import { availableParallelism } from 'node:os';
import type {
  CCtx as CompressionContext,
  DCtx as DecompressionContext,
  EndDirective as Directive,
} from 'zstd-napi/binding.js';
import { ImgmvError } from './errors.ts';
import { ZSTD_WINDOW_LOG_MAX } from './limits.ts';
import { INSTALLED, isSingleFile, shippedAddon } from './shipped.ts';
import { Slab } from './slab.ts';

type Addon = typeof import('zstd-napi/binding.js');

/** 2 MiB, zstd's own choice for level 3: the same at every level, since it cannot change inside a frame. */
const WINDOW_LOG = 21;
/** Input of one thread's job. Smaller costs ratio, larger memory: each thread holds a few of them. */
const JOB_BYTES = 1 * 1024 * 1024;
const EMPTY = Buffer.alloc(0);
/** Magic number, two bytes of header, one empty block. zstd does not look at the window of a frame that it gets whole. */
const FRAME_MIN_BYTES = 9;

let addon: Addon | undefined;

/**
 * Loads the addon, once. Commands that need no zstd run without it: npm does not compile it if scripts are off, and one
 * that was compiled on another system may not load. Throws not-installed.
 */
export function requireZstd(): Addon {
  try {
    addon ??= shippedAddon('zstd-napi/binding.js') as Addon;
    return addon;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why =
      code === 'MODULE_NOT_FOUND' ? 'it was not installed, or not compiled' : message.split('\n')[0];
    throw new ImgmvError('not-installed', `the zstd addon of imgmv cannot be loaded: ${why}`, {
      cause,
      hint: isSingleFile
        ? 'imgmv writes it to an unnamed file where programs may run: in TMPDIR, /dev/shm, /run, /var/tmp, your home or here'
        : `compile it, which takes python3, make and g++: npm_config_build_from_source=true npm rebuild zstd-napi --ignore-scripts=false --prefix ${shellWord(INSTALLED)}`,
    });
  }
}

function shellWord(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

/** One compressor for many entries, one after the other. Memory is freed when it is collected. */
export class Compressor {
  readonly #zstd = requireZstd();
  readonly #threads: number;
  readonly #slab = new Slab();
  #context: CompressionContext;
  #level = 0;
  #busy = false;
  /** Time spent inside zstd, in milliseconds: waiting for its threads included. */
  busyMs = 0;

  constructor(threads = Math.min(2, availableParallelism())) {
    this.#threads = threads;
    this.#context = newContext(this.#zstd, threads);
  }

  /**
   * One frame that holds all of `source`. `level` is asked before every chunk; with worker threads a new
   * level holds from the next job on (zstd.h: parameters that may be updated during compression). `release` gets each
   * chunk of `source` once it is no longer read.
   */
  async *compress(
    source: AsyncIterable<Buffer>,
    level: () => number,
    release?: (chunk: Buffer) => void,
  ): AsyncGenerator<Buffer> {
    if (this.#busy) throw new ImgmvError('internal', 'a compressor is used twice at once');
    const { EndDirective } = this.#zstd;
    this.#busy = true;
    let finished = false;
    try {
      for await (const chunk of source) {
        this.#setLevel(level());
        yield* this.#run(chunk, EndDirective.continue);
        release?.(chunk);
      }
      yield* this.#run(EMPTY, EndDirective.end);
      finished = true;
    } finally {
      if (!finished) {
        // Not reset: libzstd 1.5.7 keeps a job that was ready and not yet posted (mtctx->jobReady) through a
        // reset, and its worker then reads what is gone. A context that is dropped ends its workers first.
        this.#context = newContext(this.#zstd, this.#threads);
        this.#level = 0;
      }
      this.#busy = false;
    }
  }

  *#run(input: Buffer, directive: Directive): Generator<Buffer> {
    const { EndDirective } = this.#zstd;
    let rest = input;
    for (;;) {
      const started = performance.now();
      const [toFlush, produced, consumed] = this.#context.compressStream2(this.#slab.room(), rest, directive);
      this.busyMs += performance.now() - started;
      if (produced > 0) yield this.#slab.take(produced);
      rest = rest.subarray(consumed);
      if (rest.length === 0 && (directive === EndDirective.continue || toFlush === 0)) return;
    }
  }

  #setLevel(level: number): void {
    if (level === this.#level) return;
    this.#level = level;
    this.#context.setParameter(this.#zstd.CParameter.compressionLevel, level);
  }
}

function newContext({ CCtx, CParameter }: Addon, threads: number): CompressionContext {
  const context = new CCtx();
  context.setParameter(CParameter.windowLog, WINDOW_LOG);
  context.setParameter(CParameter.nbWorkers, threads);
  context.setParameter(CParameter.jobSize, JOB_BYTES);
  // The digest of each blob is checked: zstd's own checksum would be read for nothing.
  context.setParameter(CParameter.checksumFlag, 0);
  return context;
}

/**
 * One decompressor for many bodies, one after the other. Not one for each: what zstd holds for a window is freed a while after it is garbage, and thousands of small bodies may come before that.
 */
export class Decompressor {
  readonly #zstd = requireZstd();
  readonly #context = new this.#zstd.DCtx();
  readonly #slab = new Slab();

  /** Takes no window over 2^`windowLogMax` bytes. */
  constructor(windowLogMax = ZSTD_WINDOW_LOG_MAX) {
    this.#context.setParameter(this.#zstd.DParameter.windowLogMax, windowLogMax);
  }

  /** Takes back a chunk that is no longer read. */
  release(chunk: Buffer): void {
    this.#slab.release(chunk);
  }

  /**
   * All that the frames of `source` hold, at most `maxBytes`, in chunks of 256 KiB at most. May be left early; the
   * one before must not be taken up again then. Throws integrity for bytes that are no zstd frame, for a window that
   * is too large, for more than `maxBytes`, and for an end inside a frame.
   */
  async *decompress(source: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
    this.#context.reset(this.#zstd.ResetDirective.sessionOnly);
    let bytes = 0;
    let hint = 0;
    for await (const chunk of source) {
      let rest = chunk;
      // zstd gives a block at a time: several of them make one chunk.
      let room = this.#slab.room();
      let filled = 0;
      for (;;) {
        const input = hint === 0 ? rest.subarray(0, FRAME_MIN_BYTES - 1) : rest;
        const output = room.subarray(filled);
        const [next, produced, consumed] = decompressStep(this.#context, output, input);
        hint = next;
        rest = rest.subarray(consumed);
        filled += produced;
        bytes += produced;
        if (bytes > maxBytes)
          throw new ImgmvError('integrity', `compressed bytes hold more than the ${maxBytes} declared`);
        // A full output may mean that zstd holds more of what it has read; not so at the end of a frame, where
        // asking again would begin the next one.
        const done = rest.length === 0 && (produced < output.length || hint === 0);
        if (filled > 0 && (done || filled === room.length)) {
          yield this.#slab.take(filled);
          if (!done) room = this.#slab.room();
          filled = 0;
        }
        if (done) break;
      }
    }
    if (hint !== 0) throw new ImgmvError('integrity', 'compressed bytes end inside a zstd frame');
  }
}

function decompressStep(
  context: DecompressionContext,
  output: Buffer,
  input: Buffer,
): [number, number, number] {
  try {
    return context.decompressStream(output, input);
  } catch (cause) {
    throw new ImgmvError('integrity', 'bytes that should be zstd are not', { cause });
  }
}
