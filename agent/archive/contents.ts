/**
 * What an archive holds, as files with names. That there is a file, how large it is and what it says, where it is
 * small, is known at once; what a layer is only when it has been read. tar-contents.ts and directory-contents.ts
 * make it.
 */

import { counted } from '../../proto/counted.ts';
import { Hasher } from '../../proto/hasher.ts';
import { METADATA_MAX_BYTES } from '../../proto/limits.ts';
import type { Digest } from '../model/image.ts';
import { digestOf } from '../oci/metadata.ts';
import { COMPRESSION_HEAD_BYTES, type Compression, compressionOf, inflated } from '../streams/compression.ts';
import { integrity } from '../streams/errors.ts';
import type { Inflation } from '../streams/inflation.ts';
import { peek } from '../streams/peek.ts';
import { readAll } from '../streams/read-all.ts';
import { tap } from '../streams/tap.ts';
import { METADATA_IN_MEMORY_MAX_BYTES } from './limits.ts';

/** What is known of a file before it has been read to its end. */
export interface StoredFile {
  readonly size: number;
  readonly compression: Compression;
  /** Of a small file that looks like JSON, or like a line of text. */
  readonly bytes?: Buffer;
  /** Where it had to be read anyway. */
  readonly digest?: Digest;
}

export interface FileFacts {
  readonly size: number;
  readonly digest: Digest;
  /** What is in a compressed one; absent where it was not asked for. */
  readonly inside?: FileFacts;
}

export interface ReadFile {
  readonly name: string;
  /** As it is stored; to be read, to its end or not, before the next file is asked for. */
  readonly body: AsyncIterable<Buffer>;
}

export interface Contents extends AsyncDisposable {
  readonly files: ReadonlyMap<string, StoredFile>;
  /** Links by where they lead. */
  readonly links: ReadonlyMap<string, string>;
  /** Those files, in the order in which they are stored. Throws the reason of `signal`. */
  read(names: ReadonlySet<string>, signal: AbortSignal): AsyncIterable<ReadFile>;
  /**
   * How often each file is going to be read from now on, for contents that have one order: what comes before its
   * time may be kept.
   */
  willRead?(times: ReadonlyMap<string, number>): void;
}

/** Reads the beginnings of files, and keeps the small ones within bounds. */
export class Heads {
  #kept = 0;

  /** `body` has `size` bytes, and is read as far as that takes. Throws integrity where small files are too many. */
  async of(size: number, body: AsyncGenerator<Buffer>): Promise<StoredFile> {
    const { head, whole } = await peek(body, COMPRESSION_HEAD_BYTES);
    const compression = compressionOf(head);
    if (compression !== 'none' || !isText(head) || size > METADATA_MAX_BYTES) return { size, compression };
    this.#kept += size;
    if (this.#kept > METADATA_IN_MEMORY_MAX_BYTES)
      throw integrity(`more than ${METADATA_IN_MEMORY_MAX_BYTES} bytes of metadata`);
    const longer = () => integrity(`a file is longer than its ${counted(size, 'byte')}`);
    const bytes = await readAll(whole, size, longer);
    return { size, compression, bytes, digest: digestOf(bytes) };
  }
}

/**
 * Reads `body` to its end. With `inflation`, which counts it, also measures what is in it, decompressed once, as an engine
 * does: the diffID of a layer that is compressed twice is the digest of the inner compressed bytes. Throws integrity for
 * bytes that cannot be decompressed.
 */
export async function measured(
  body: AsyncIterable<Buffer>,
  compression: Compression = 'none',
  inflation?: Inflation,
): Promise<FileFacts> {
  const hasher = new Hasher();
  let inside: FileFacts | undefined;
  if (compression === 'none' || !inflation) for await (const chunk of body) hasher.add(chunk);
  else {
    const hashed = tap(body, (chunk) => hasher.add(chunk));
    inside = await measured(inflated(compression, hashed, { inflation }));
  }
  return { size: hasher.bytes, digest: hasher.digest(), ...(inside && { inside }) };
}

/** Metadata is JSON; the file `version` of a `dir:` begins with a letter. A tar begins so, too, and is let go. */
function isText(head: Buffer): boolean {
  return head.length > 0 && /^[\s[{D]/.test(head.subarray(0, 1).toString('latin1'));
}
