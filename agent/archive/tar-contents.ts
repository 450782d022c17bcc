/** A tar as contents: read once for what is in it, and again for what is wanted. */
import { ImgmvError } from '../../proto/errors.ts';
import { type Compression, compressionOf, inflated, unreadCompression } from './compression.ts';
import { type Contents, type FileFacts, Measure, type ReadFile } from './contents.ts';
import type { Input } from './input.ts';
import { tarEntries } from './tar-entries.ts';

interface Place {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

export class TarContents implements Contents {
  readonly files: ReadonlyMap<string, FileFacts>;
  readonly links: ReadonlyMap<string, string>;
  readonly #input: Input;
  readonly #compression: Compression;
  /** In the order of the tar, in bytes of it before compression. */
  readonly #places: readonly Place[];

  private constructor(input: Input, compression: Compression, index: Index) {
    this.#input = input;
    this.#compression = compression;
    this.files = index.files;
    this.links = index.links;
    this.#places = index.places;
  }

  /** Reads all of `input`, and closes it when disposed of. Throws integrity for what is not a good tar. */
  static async open(input: Input): Promise<TarContents> {
    const { compression, tar } = await plain(input.first());
    const index: Index = { files: new Map(), links: new Map(), places: [] };
    const measure = new Measure();
    for await (const { name, link, size, offset, body } of tarEntries(tar)) {
      if (link !== undefined) index.links.set(name, link);
      else {
        index.files.set(name, await measure.file(body));
        index.places.push({ name, offset, size });
      }
    }
    return new TarContents(input, compression, index);
  }

  async *read(names: ReadonlySet<string>, signal: AbortSignal): AsyncGenerator<ReadFile> {
    const wanted = this.#places.filter(({ name }) => names.has(name));
    if (this.#compression !== 'none') return yield* this.#inflate(this.#compression, wanted, signal);
    for (const { name, offset, size } of wanted)
      yield { name, body: this.#input.read(offset, offset + size, signal) };
  }

  /** From the beginning to the last that is wanted: there is no other way into what is compressed. */
  async *#inflate(
    compression: Exclude<Compression, 'none'>,
    wanted: readonly Place[],
    signal: AbortSignal,
  ): AsyncGenerator<ReadFile> {
    const stream = inflated(compression, this.#input.read(0, Number.POSITIVE_INFINITY, signal));
    try {
      let at = 0;
      let rest: Buffer = Buffer.alloc(0);
      const upTo = async function* (end: number): AsyncGenerator<Buffer> {
        while (at < end) {
          if (rest.length === 0) {
            const next = await stream.next();
            if (next.done) return;
            rest = next.value;
          }
          const part = rest.subarray(0, end - at);
          rest = rest.subarray(part.length);
          at += part.length;
          yield part;
        }
      };
      for (const { name, offset, size } of wanted) {
        for await (const _ of upTo(offset));
        yield { name, body: upTo(offset + size) };
      }
    } finally {
      await stream.return(undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input[Symbol.asyncDispose]();
  }
}

interface Index {
  readonly files: Map<string, FileFacts>;
  readonly links: Map<string, string>;
  readonly places: Place[];
}

/** The tar in a stream that may be compressed, once. */
async function plain(
  stream: AsyncGenerator<Buffer>,
): Promise<{ compression: Compression; tar: AsyncGenerator<Buffer> }> {
  const outer = await peek(stream);
  const compression = compressionOf(outer.head);
  if (compression === 'none') {
    refuse(outer.head, '');
    return { compression, tar: outer.all };
  }
  const inner = await peek(inflated(compression, outer.all));
  refuse(inner.head, ` inside ${compression}`);
  const nested = compressionOf(inner.head);
  if (nested !== 'none')
    throw new ImgmvError('integrity', `it is ${nested} inside ${compression}: one of them would do`);
  return { compression, tar: inner.all };
}

function refuse(head: Buffer, where: string): void {
  if (head.length === 0) throw new ImgmvError('integrity', `it is empty${where}`);
  const unread = unreadCompression(head);
  if (unread !== undefined)
    throw new ImgmvError('integrity', `it is ${unread}${where}, which imgmv does not read`, {
      hint: `decompress it on the way: ${unread} -dc FILE | imgmv … docker-archive:-`,
    });
}

/** The first bytes, eight where there are so many, and the whole with them. */
async function peek(stream: AsyncGenerator<Buffer>): Promise<{ head: Buffer; all: AsyncGenerator<Buffer> }> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < 8) {
    const next = await stream.next();
    if (next.done) break;
    head = Buffer.concat([head, next.value]);
  }
  const all = async function* () {
    try {
      if (head.length > 0) yield head;
      yield* stream;
    } finally {
      await stream.return(undefined);
    }
  };
  return { head, all: all() };
}
