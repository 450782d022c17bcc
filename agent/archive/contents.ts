/**
 * What an archive holds, as files with names, once all of it has been read: each with its true digest, and that
 * of what is in it where it is compressed. tar-contents.ts and directory-contents.ts make it.
 */
import { createHash } from 'node:crypto';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { METADATA_MAX_BYTES } from '../../proto/limits.ts';
import type { Digest } from '../image.ts';
import { type Compression, compressionOf, inflated } from './compression.ts';
import { METADATA_IN_MEMORY_MAX_BYTES } from './limits.ts';

export interface FileFacts {
  readonly size: number;
  readonly digest: Digest;
  readonly compression: Compression;
  /** Of what is in a compressed file, or why it cannot be read. */
  readonly inside?: Inside | ImgmvError;
  /** Of a small file that looks like JSON, or like a line of text. */
  readonly bytes?: Buffer;
}

export interface Inside {
  readonly size: number;
  readonly digest: Digest;
}

/** A file that is read once more. */
export interface ReadFile {
  readonly name: string;
  /** As it is stored; to be read, to its end or not, before the next file is asked for. */
  readonly body: AsyncIterable<Buffer>;
}

export interface Contents extends AsyncDisposable {
  readonly files: ReadonlyMap<string, FileFacts>;
  /** Links by where they lead. */
  readonly links: ReadonlyMap<string, string>;
  /** Those files, in the order in which they are stored. Throws the reason of `signal`. */
  read(names: ReadonlySet<string>, signal: AbortSignal): AsyncIterable<ReadFile>;
}

/** Reads files for their facts, and keeps the small ones within bounds. */
export class Measure {
  #kept = 0;

  /** Reads `body` to its end. Throws integrity where small files are too many. */
  async file(body: AsyncIterable<Buffer>): Promise<FileFacts> {
    const hash = createHash('sha256');
    let size = 0;
    const hashed = (async function* () {
      for await (const chunk of body) {
        hash.update(chunk);
        size += chunk.length;
        yield chunk;
      }
    })();
    const head = await firstBytes(hashed);
    const compression = compressionOf(head);
    const all = withHead(head, hashed);
    let bytes: Buffer | undefined;
    let inside: Inside | ImgmvError | undefined;
    if (compression !== 'none') inside = await insideOf(compression, all);
    else if (isText(head)) bytes = await smallBytes(all);
    // What was not needed for that belongs to the digest all the same.
    for await (const _ of all);
    if (bytes && size <= METADATA_MAX_BYTES) this.#kept += size;
    else bytes = undefined;
    if (this.#kept > METADATA_IN_MEMORY_MAX_BYTES)
      throw new ImgmvError('integrity', `more than ${METADATA_IN_MEMORY_MAX_BYTES} bytes of metadata`);
    return {
      size,
      digest: `sha256:${hash.digest('hex')}`,
      compression,
      ...(inside && { inside }),
      ...(bytes && { bytes }),
    };
  }
}

/** As many bytes tell the compressions apart that are read. */
const MAGIC_BYTES = 4;

async function insideOf(
  compression: Exclude<Compression, 'none'>,
  source: AsyncGenerator<Buffer>,
): Promise<Inside | ImgmvError> {
  const hash = createHash('sha256');
  let size = 0;
  let head: Buffer = Buffer.alloc(0);
  let lost: unknown;
  // Kept open when the inflating gives up: the rest is still to be hashed.
  const open = async function* () {
    try {
      for (let next = await source.next(); !next.done; next = await source.next()) yield next.value;
    } catch (error) {
      lost = error;
      throw error;
    }
  };
  try {
    for await (const chunk of inflated(compression, open())) {
      // The first pieces may be as small as whoever made it likes.
      if (head.length < MAGIC_BYTES) {
        head = Buffer.concat([head, chunk.subarray(0, MAGIC_BYTES - head.length)]);
        if (compressionOf(head) !== 'none')
          return new ImgmvError('integrity', `it is ${compressionOf(head)} inside ${compression}`);
      }
      hash.update(chunk);
      size += chunk.length;
    }
  } catch (error) {
    // A file that cannot be read is another matter than a file that is no good, which may not be wanted.
    if (lost !== undefined) throw lost;
    return toImgmvError(error);
  }
  return { size, digest: `sha256:${hash.digest('hex')}` };
}

/** As many bytes as tell compressions apart, or fewer where there are no more. */
async function firstBytes(source: AsyncGenerator<Buffer>): Promise<Buffer> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < 8) {
    const next = await source.next();
    if (next.done) break;
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  return head;
}

/** Gives `head` once, then goes on with `rest` wherever that is; may be left and taken up again. */
function withHead(head: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  let first: Buffer | undefined = head.length > 0 ? head : undefined;
  const generator: AsyncGenerator<Buffer> = {
    async next() {
      const value = first;
      first = undefined;
      return value === undefined ? rest.next() : { value, done: false };
    },
    // Not passed on: `for await` would end what is still to be read.
    return: async (value: unknown) => ({ value: await value, done: true }),
    throw: (error) => Promise.reject(error),
    [Symbol.asyncIterator]: () => generator,
    [Symbol.asyncDispose]: async () => {},
  };
  return generator;
}

/** Undefined where it is not small. */
async function smallBytes(source: AsyncGenerator<Buffer>): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > METADATA_MAX_BYTES) return undefined;
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

/** Metadata is JSON; the file `version` of a `dir:` begins with a letter. A tar begins so, too, and is let go. */
function isText(head: Buffer): boolean {
  return head.length > 0 && /^[\s[{D]/.test(head.subarray(0, 1).toString('latin1'));
}
