/** Several sources as one: each image comes from the first that has it. None of them may have an order of its own. */
import { ImgmvError } from '../../proto/errors.ts';
import type { Answer, Blob, Digest, Image, Outcome, Source, Waits } from '../model/image.ts';

export class JoinedSource implements Source {
  readonly #sources: readonly Source[];
  /** Images as they are told here, by where they come from and how they are told there. */
  readonly #origins = new Map<Image, { readonly source: Source; readonly image: Image }>();
  #images: Promise<readonly Image[]> | undefined;

  /** Disposes of `sources` when it is disposed of. */
  constructor(sources: readonly Source[]) {
    this.#sources = sources;
  }

  images(): Promise<readonly Image[]> {
    this.#images ??= this.#join();
    return this.#images;
  }

  async #join(): Promise<readonly Image[]> {
    const byId = new Map<Digest, { source: Source; image: Image; names: Image['names'] }>();
    for (const source of this.#sources)
      for (const image of await source.images()) {
        const known = byId.get(image.id);
        const more = image.names.filter(
          ({ target }) => known?.names.every((name) => name.target !== target) ?? true,
        );
        byId.set(image.id, { ...(known ?? { source, image }), names: [...(known?.names ?? []), ...more] });
      }
    for (const { source, image, names } of byId.values())
      this.#origins.set({ ...image, names }, { source, image });
    return [...this.#origins.keys()];
  }

  async planned(answers: readonly Answer[]): Promise<readonly Answer[]> {
    const done = new Map<Image, Answer>();
    for (const source of this.#sources) {
      const own = answers.filter(({ image }) => this.#originOf(image).source === source);
      const told = await source.planned(
        own.map((answer) => ({ ...answer, image: this.#originOf(answer.image).image })),
      );
      for (const [at, { image }] of own.entries()) done.set(image, { ...(told[at] as Answer), image });
    }
    return answers.map(({ image }) => done.get(image) as Answer);
  }

  blobs(image: Image, wanted: readonly Digest[] | undefined, signal: AbortSignal): AsyncIterable<Blob> {
    const origin = this.#originOf(image);
    return origin.source.blobs(origin.image, wanted, signal);
  }

  prepare(image: Image, wanted: readonly Digest[] | undefined, signal: AbortSignal): void {
    const origin = this.#originOf(image);
    origin.source.prepare?.(origin.image, wanted, signal);
  }

  async settled(outcome: Outcome): Promise<void> {
    const { source, image } = this.#originOf(outcome.image);
    await source.settled({ ...outcome, image });
  }

  waits(): Waits {
    const save = this.#sources.reduce((sum, source) => sum + (source.waits().save ?? 0), 0);
    return { save };
  }

  #originOf(image: Image): { readonly source: Source; readonly image: Image } {
    const origin = this.#origins.get(image);
    if (!origin) throw new ImgmvError('internal', `image ${image.id} is of none of these sources`);
    return origin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const source of this.#sources) await source[Symbol.asyncDispose]();
  }
}
