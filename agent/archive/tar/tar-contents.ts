/** A tar as contents: looked through once for what is in it, and read for what is wanted. */
import type { ImgmvError } from '../../../proto/errors.ts';
import { Hasher } from '../../../proto/hasher.ts';
import {
  COMPRESSION_HEAD_BYTES,
  type Compression,
  compressionOf,
  inflated,
  unreadCompression,
} from '../../streams/compression.ts';
import { integrity } from '../../streams/errors.ts';
import type { Inflation } from '../../streams/inflation.ts';
import { Turn } from '../../streams/large-window.ts';
import { peek } from '../../streams/peek.ts';
import type { ReadingMeter } from '../../streams/reading-meter.ts';
import { tap } from '../../streams/tap.ts';
import { type Contents, Heads, measured, type ReadFile, type StoredFile } from '../contents.ts';
import type { Input } from '../input.ts';
import { type Inflate, InflatedTar } from './inflated-tar.ts';
import { type Place, Places } from './places.ts';
import { SkippingReader } from './skipping-reader.ts';
import { type TarEntry, tarEntries } from './tar-entries.ts';

interface TarOptions {
  readonly inflation: Inflation;
  readonly meter: ReadingMeter;
  readonly signal: AbortSignal;
}

export class TarContents implements Contents {
  readonly files: ReadonlyMap<string, StoredFile>;
  readonly links: ReadonlyMap<string, string>;
  readonly #input: Input;
  readonly #places: Places;
  readonly #inflated: InflatedTar | undefined;

  private constructor(input: Input, index: Index, inflate: Inflate | undefined) {
    this.#input = input;
    this.files = index.files;
    this.links = index.links;
    this.#places = new Places(index.places);
    this.#inflated = inflate && new InflatedTar(this.#places, inflate);
  }

  /**
   * Looks `input` through, and closes it when disposed of: of a file that is not compressed only headers and small
   * files are read. Throws integrity for what is not a good tar.
   */
  static async open(input: Input, options: TarOptions): Promise<TarContents> {
    const opened = await plain(input, options);
    const { compression } = opened;
    const index: Index = { files: new Map(), links: new Map(), places: [] };
    const heads = new Heads();
    const repeated: Place[] = [];
    for await (const entry of tarEntries(opened.tar)) {
      const { name, link, size, offset, again } = entry;
      // Whoever says a size need not have its bytes come to be refused.
      if (compression !== 'none') options.inflation.expect(offset + size);
      const first = index.files.get(name);
      if (again && (link !== index.links.get(name) || size !== (first?.size ?? 0))) throw twice(name);
      if (link !== undefined) index.links.set(name, link);
      else {
        const file = await (compression === 'none' ? heads.of(size, entry.body) : hashed(heads, entry));
        if (!first) index.places.push({ name, offset, size });
        else if (compression === 'none') repeated.push({ name, offset, size });
        else if (first.digest === undefined || first.digest !== file.digest) throw twice(name);
        index.files.set(name, first ?? file);
      }
    }
    if (compression === 'none') {
      await requireRepeated(repeated, index.places, input, options.signal);
      return new TarContents(input, index, undefined);
    }
    const inflate: Inflate = (counts, turn, until) => {
      const whole = input.read(0, Number.POSITIVE_INFINITY, until);
      return inflated(compression, whole, { turn, inflation: counts ? options.inflation : undefined });
    };
    return new TarContents(input, index, inflate);
  }

  async *read(names: ReadonlySet<string>, signal: AbortSignal): AsyncGenerator<ReadFile> {
    if (this.#inflated) return yield* this.#inflated.read(names, signal);
    for (const { name, offset, size } of this.#places.of(names))
      yield { name, body: this.#input.read(offset, offset + size, signal) };
  }

  willRead(times: ReadonlyMap<string, number>): void {
    this.#inflated?.willRead(times);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inflated?.[Symbol.asyncDispose]();
    await this.#input[Symbol.asyncDispose]();
  }
}

interface Index {
  readonly files: Map<string, StoredFile>;
  readonly links: Map<string, string>;
  readonly places: Place[];
}

/** Checks that files with the same name have the same bytes. Reads each of them once. */
async function requireRepeated(
  repeated: readonly Place[],
  places: readonly Place[],
  input: Input,
  signal: AbortSignal,
): Promise<void> {
  const digestAt = async ({ offset, size }: Place) =>
    (await measured(input.read(offset, offset + size, signal))).digest;
  const names = new Set(repeated.map(({ name }) => name));
  const digests = new Map<string, string>();
  for (const place of places) if (names.has(place.name)) digests.set(place.name, await digestAt(place));
  for (const place of repeated)
    if ((await digestAt(place)) !== digests.get(place.name)) throw twice(place.name);
}

function twice(name: string): ImgmvError {
  return integrity(`the entry ${JSON.stringify(name)} appears twice with different content`);
}

/**
 * It had to be decompressed to get at what is behind it: what it is need not be read for once more. But where it is
 * compressed itself it has to be, if it is wanted.
 */
async function hashed(heads: Heads, { body, size }: TarEntry): Promise<StoredFile> {
  const hasher = new Hasher();
  const watched = tap(body, (chunk) => hasher.add(chunk));
  const file = await heads.of(size, watched);
  if (file.compression !== 'none' || file.digest !== undefined) return file;
  for await (const _ of watched);
  return { ...file, digest: hasher.digest() };
}

/** The tar in what may be compressed, once. */
async function plain(
  input: Input,
  { inflation, meter, signal }: TarOptions,
): Promise<{ compression: Compression; tar: AsyncIterable<Buffer> }> {
  const { size } = input;
  const beginning =
    size === undefined ? meter.over(input.first()) : input.read(0, COMPRESSION_HEAD_BYTES, signal);
  const outer = await peek(beginning, COMPRESSION_HEAD_BYTES);
  const compression = compressionOf(outer.head);
  if (compression === 'none') {
    refuse(outer.head, '');
    return {
      compression,
      tar: size === undefined ? outer.whole : new SkippingReader(input, size, meter, signal),
    };
  }
  const whole = size === undefined ? outer.whole : meter.over(input.first());
  const stream = inflated(compression, whole, { inflation, turn: new Turn('archive') });
  try {
    const inner = await peek(stream, COMPRESSION_HEAD_BYTES);
    refuse(inner.head, ` inside ${compression}`);
    const nested = compressionOf(inner.head);
    if (nested !== 'none') throw integrity(`it is ${nested} inside ${compression}: one of them is enough`);
    return { compression, tar: inner.whole };
  } catch (error) {
    // What it has taken for decompressing others wait for.
    await stream.return(undefined);
    throw error;
  }
}

function refuse(head: Buffer, where: string): void {
  if (head.length === 0) throw integrity(`it is empty${where}`);
  const unread = unreadCompression(head);
  if (unread !== undefined)
    throw integrity(`it is ${unread}${where}, which imgmv does not read`, {
      hint: `decompress it on the way: ${unread} -dc FILE | imgmv … docker-archive:-`,
    });
}
