/** Several sources as one: each image comes from the first that has it. */
import type { Digest, Image } from '../model/image.ts';
import type { Source, SourceImage, Waits, Wanted } from '../model/source.ts';

/** An image under all the names that it has in any of the sources. */
interface Joined extends SourceImage {
  readonly source: Source;
  readonly inner: SourceImage;
}

export class JoinedSource implements Source {
  readonly #sources: readonly Source[];
  #images: Promise<ReadonlyMap<Digest, Joined>> | undefined;
  #joined: ReadonlyMap<Digest, Joined> = new Map();

  /** Disposes of `sources` when it is disposed of. */
  constructor(sources: readonly Source[]) {
    this.#sources = sources;
  }

  async images(): Promise<readonly SourceImage[]> {
    this.#images ??= this.#join();
    this.#joined = await this.#images;
    return [...this.#joined.values()];
  }

  async #join(): Promise<ReadonlyMap<Digest, Joined>> {
    const byId = new Map<Digest, { source: Source; inner: SourceImage; names: Image['names'] }>();
    for (const source of this.#sources)
      for (const inner of await source.images()) {
        const { id, names: own } = inner.image;
        const known = byId.get(id) ?? { source, inner, names: [] };
        const more = own.filter(({ target }) => known.names.every((name) => name.target !== target));
        byId.set(id, { ...known, names: [...known.names, ...more] });
      }
    const joined = [...byId].map(([id, { source, inner, names }]): [Digest, Joined] => [
      id,
      {
        image: { ...inner.image, names },
        source,
        inner,
        blobs: (wanted, signal) => inner.blobs(wanted, signal),
        prepare: (wanted, signal) => inner.prepare(wanted, signal),
        readBy: () => inner.readBy(),
      },
    ]);
    return new Map(joined);
  }

  expect(wanted: readonly Wanted[]): void {
    for (const source of this.#sources)
      source.expect(
        wanted.flatMap(({ from, layers }) => {
          const joined = this.#joined.get(from.image.id);
          return joined?.source === source ? { from: joined.inner, layers } : [];
        }),
      );
  }

  waits(): Waits {
    const save = this.#sources.reduce((sum, source) => sum + (source.waits().save ?? 0), 0);
    return { save };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const source of this.#sources) await source[Symbol.asyncDispose]();
  }
}
