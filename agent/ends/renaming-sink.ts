/** A sink behind rules of its own for names: what images are to be called is changed on the way in. */
import { toImgmvError } from '../../proto/errors.ts';
import { NAMES_PER_IMAGE_MAX } from '../../proto/limits.ts';
import { unique } from '../choose/meant.ts';
import type { Renaming } from '../choose/rename.ts';
import type { Answer, Image, ImageWriter, Retry, Sink } from '../model/image.ts';
import { ForwardingSink, planOthers } from './forwarding-sink.ts';

export class RenamingSink extends ForwardingSink {
  readonly #renaming: Renaming;
  readonly #warn: (message: string) => void;
  /** Images as they come, and as they are called behind the rules. */
  readonly #renamed = new Map<Image, Image>();

  /** `warn` is told of rules that come to nothing. */
  constructor(inner: Sink, renaming: Renaming, warn: (message: string) => void = () => {}) {
    super(inner);
    this.#renaming = renaming;
    this.#warn = warn;
  }

  /** An image of whose name a rule makes none is refused. */
  override plan(images: readonly Image[]): Promise<readonly Answer[]> {
    return planOthers(
      images,
      (image) => this.#rename(image),
      async (others) => {
        for (const warning of this.#renaming.warnings()) this.#warn(warning);
        const answers = await super.plan(others.map((image) => this.#innerOf(image)));
        return others.map((image, at) => ({ ...(answers[at] as Answer), image }));
      },
    );
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

  override retry(retry: Retry): Promise<void> {
    return super.retry({ ...retry, images: retry.images.map((image) => this.#innerOf(image)) });
  }

  override writer(answer: Answer, signal: AbortSignal): Promise<ImageWriter> {
    return super.writer({ ...answer, image: this.#innerOf(answer.image) }, signal);
  }
}
