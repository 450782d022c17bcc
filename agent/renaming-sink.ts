/** A sink behind rules of its own for names: what images are to be called is changed on the way in. */

import { toImgmvError } from '../proto/errors.ts';
import { NAMES_PER_IMAGE_MAX } from '../proto/limits.ts';
import { unique } from './choose/meant.ts';
import type { Answer, Image, ImageWriter, Retry, Sink, Store, Waits } from './image.ts';
import type { Renaming } from './rename.ts';

export class RenamingSink implements Sink {
  readonly store: Store | undefined;
  readonly finish?: () => Promise<void>;
  readonly #inner: Sink;
  readonly #renaming: Renaming;
  readonly #warn: (message: string) => void;
  /** Images as they come, and as they are called behind the rules. */
  readonly #renamed = new Map<Image, Image>();

  /** Disposes of `inner` when it is disposed of. `warn` is told of rules that come to nothing. */
  constructor(inner: Sink, renaming: Renaming, warn: (message: string) => void = () => {}) {
    this.store = inner.store;
    if (inner.finish) this.finish = () => inner.finish?.() ?? Promise.resolve();
    this.#inner = inner;
    this.#renaming = renaming;
    this.#warn = warn;
  }

  /** An image of whose name a rule makes none is refused. */
  async plan(images: readonly Image[]): Promise<readonly Answer[]> {
    const refused = new Map<Image, Answer>();
    for (const image of images) {
      const reason = this.#rename(image);
      if (reason !== undefined) refused.set(image, { image, action: 'refuse', reason, refs: image.names });
    }
    for (const warning of this.#renaming.warnings()) this.#warn(warning);
    const left = images.filter((image) => !refused.has(image));
    const answers = await this.#inner.plan(left.map((image) => this.#innerOf(image)));
    const told = new Map(left.map((image, at) => [image, { ...(answers[at] as Answer), image }]));
    return images.map((image) => (refused.get(image) ?? told.get(image)) as Answer);
  }

  /** Why it cannot be, where it cannot. */
  #rename(image: Image): string | undefined {
    try {
      const names = unique(
        image.names.flatMap(({ source, target: offered }) =>
          this.#renaming.apply(offered).map((target) => ({ source, target, offered })),
        ),
      );
      if (names.length > NAMES_PER_IMAGE_MAX)
        return `it would have ${names.length} names, more than ${NAMES_PER_IMAGE_MAX}`;
      this.#renamed.set(image, { ...image, names });
      return undefined;
    } catch (error) {
      const { code, message } = toImgmvError(error);
      if (code !== 'usage') throw error;
      return message;
    }
  }

  #innerOf(image: Image): Image {
    return this.#renamed.get(image) ?? image;
  }

  async retry(retry: Retry): Promise<void> {
    await this.#inner.retry?.({ ...retry, images: retry.images.map((image) => this.#innerOf(image)) });
  }

  writer(answer: Answer, signal: AbortSignal): Promise<ImageWriter> {
    return this.#inner.writer({ ...answer, image: this.#innerOf(answer.image) }, signal);
  }

  waits(): Waits {
    return this.#inner.waits();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#inner[Symbol.asyncDispose]());
  }
}
