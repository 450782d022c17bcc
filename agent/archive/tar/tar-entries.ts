/** A tar as a stream of entries, each checked before it is given; knows nothing of images. */

import { counted } from '../../../proto/counted.ts';
import type { ImgmvError } from '../../../proto/errors.ts';
import { LAYER_MAX_BYTES } from '../../../proto/limits.ts';
import { integrity } from '../../streams/errors.ts';
import {
  BEHIND_END_MAX_BYTES,
  ENTRIES_MAX,
  ENTRY_NAMES_MAX_BYTES,
  EXTENDED_HEADER_MAX_BYTES,
} from '../limits.ts';
import { entryName, linkTarget } from './entry-name.ts';
import {
  BLOCK_BYTES,
  decodeLongName,
  decodePax,
  decodeTarHeader,
  type Extended,
  extended,
  isTarHeader,
  type TarHeader,
} from './tar-header.ts';

export interface TarEntry {
  /** In its one spelling. */
  readonly name: string;
  /** Of a link: what it leads to, inside the archive. */
  readonly link?: string;
  readonly size: number;
  /** There was one of this name before: to be taken only where both are the same. */
  readonly again: boolean;
  readonly offset: number;
  /** To be read once, before the next entry is asked for; what is not read is passed over. */
  readonly body: AsyncGenerator<Buffer>;
}

/** Bytes of which some may be passed over: says how many there were. */
type Stream = AsyncIterable<Buffer> & { skip?(bytes: number): number };

/**
 * Throws integrity for all that is not as it should be, up to the last byte of `stream`. What nobody reads of a body
 * is passed over, where the stream can do so.
 */
export async function* tarEntries(stream: Stream): AsyncGenerator<TarEntry> {
  const input = new Input(stream);
  const names = new Set<string>();
  let nameBytes = 0;
  let before: Extended = {};
  try {
    for (let entries = 0; ; entries++) {
      const block = await input.take(BLOCK_BYTES);
      // Some writers leave out the end, and readers do not miss it.
      if (block.length === 0 && entries > 0) break;
      if (block.length < BLOCK_BYTES) throw truncated('it ends inside a header');
      if (isZero(block)) break;
      if (entries === ENTRIES_MAX) throw integrity(`more than ${ENTRIES_MAX} entries`);
      const header = decodeTarHeader(block);
      const more = await extension(header, input);
      if (more !== undefined) {
        before = joined(before, more);
        continue;
      }
      const { name: written, type, size, linkName } = extended(header, before);
      before = {};
      const name = entryName(written);
      // As writers had it before there was a type for them.
      const isDirectory = type === '5' || (type === '0' && written.endsWith('/'));
      const isLink = type === '1' || type === '2';
      if (!isDirectory && !isLink && type !== '0')
        throw integrity(`${JSON.stringify(written)} is ${kindOf(type)}`);
      if (size > (isDirectory || isLink ? 0 : LAYER_MAX_BYTES))
        throw integrity(`${JSON.stringify(written)} has ${counted(size, 'byte')}`);
      if (isDirectory) continue;
      if (name === '') throw integrity(`the file ${JSON.stringify(written)} has the name of a folder`);
      const again = names.has(name);
      const link = isLink ? { link: type === '2' ? linkTarget(name, linkName) : entryName(linkName) } : {};
      // It is another name of a file that is there, and not of one that comes and could be another by then.
      if (type === '1' && !(names.has(link.link ?? '') && link.link !== name))
        throw integrity(
          `${JSON.stringify(name)} is a hard link to ${JSON.stringify(linkName)}, which does not come before it`,
        );
      names.add(name);
      nameBytes += Buffer.byteLength(name) + Buffer.byteLength(link.link ?? '');
      if (nameBytes > ENTRY_NAMES_MAX_BYTES)
        throw integrity(`more than ${ENTRY_NAMES_MAX_BYTES} bytes of names`);
      const { offset } = input;
      const body = input.chunks(size, name);
      yield { name, ...link, size, again, offset, body };
      await input.skipTo(offset + size, name);
      // It may be left out behind the last one.
      await input.take((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES);
    }
    if (Object.keys(before).length > 0) throw truncated('an extended header has no entry after it');
    await input.passRest();
  } finally {
    await input.close();
  }
}

/** What an extended header says; undefined for a header of any other kind. */
async function extension(header: TarHeader, input: Input): Promise<Extended | undefined> {
  const { type, size } = header;
  if (!['x', 'g', 'L', 'K'].includes(type)) return undefined;
  if (size > EXTENDED_HEADER_MAX_BYTES) throw integrity(`an extended header of ${counted(size, 'byte')}`);
  const padded = Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  const block = await input.take(padded);
  if (block.length < padded) throw truncated('it ends inside an extended header');
  const bytes = block.subarray(0, size);
  if (type === 'L') return { name: decodeLongName(bytes) };
  if (type === 'K') return { linkName: decodeLongName(bytes) };
  const said = decodePax(bytes, type === 'g');
  return type === 'g' ? {} : said;
}

function joined(one: Extended, other: Extended): Extended {
  const twice = Object.keys(other).find((key) => key in one);
  if (twice !== undefined) throw integrity(`an entry is given its ${twice} twice`);
  return { ...one, ...other };
}

class Input {
  readonly #stream: Stream;
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  offset = 0;

  constructor(stream: Stream) {
    this.#stream = stream;
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** Fewer at the end of the stream. */
  async take(count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let left = count;
    while (left > 0 && (await this.#fill())) {
      const part = this.#next(left);
      parts.push(part);
      left -= part.length;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  async *chunks(count: number, name: string): AsyncGenerator<Buffer> {
    for (let left = count; left > 0; ) {
      if (!(await this.#fill())) throw truncated(`it ends inside ${JSON.stringify(name)}`);
      const part = this.#next(left);
      left -= part.length;
      yield part;
    }
  }

  async skipTo(offset: number, name: string): Promise<void> {
    while (this.offset < offset) {
      if (this.#rest.length === 0) this.offset += this.#stream.skip?.(offset - this.offset) ?? 0;
      if (this.offset < offset && !(await this.#fill()))
        throw truncated(`it ends inside ${JSON.stringify(name)}`);
      this.#next(offset - this.offset);
    }
  }

  /** No reader looks at it. But whoever put another tar there would miss what is in it. */
  async passRest(): Promise<void> {
    const start = this.offset;
    for (let zeros = true; ; ) {
      const block = await this.take(BLOCK_BYTES);
      if (block.length === 0) return;
      if (this.offset - start > BEHIND_END_MAX_BYTES)
        throw integrity(`more than ${BEHIND_END_MAX_BYTES} bytes follow the end of the tar`);
      if (!zeros || isZero(block)) continue;
      zeros = false;
      if (isTarHeader(block))
        throw integrity('another tar follows the end of the tar', {
          hint: 'the archives were joined: take them apart, because only the first one would be read',
        });
    }
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  #next(maxBytes: number): Buffer {
    const part = this.#rest.subarray(0, maxBytes);
    this.#rest = this.#rest.subarray(part.length);
    this.offset += part.length;
    return part;
  }

  async #fill(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done) return false;
      this.#rest = next.value;
    }
    return true;
  }
}

const ZEROS = Buffer.alloc(BLOCK_BYTES);

/** Of a block, which may be shorter at the end of a stream. */
function isZero(block: Buffer): boolean {
  return block.equals(ZEROS.subarray(0, block.length));
}

function truncated(how: string): ImgmvError {
  return integrity(`the tar is cut short: ${how}`);
}

function kindOf(type: string): string {
  const kinds: Partial<Record<string, string>> = {
    3: 'a device',
    4: 'a device',
    6: 'a fifo',
    S: 'a sparse file',
  };
  return kinds[type] ?? `of the unknown type 0x${type.charCodeAt(0).toString(16)}`;
}
