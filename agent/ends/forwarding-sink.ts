/** The base of sinks that stand before another one: all that they do not change goes through. */
import type { Answer, Image, ImageWriter, Retry, Sink, Store, Waits } from '../model/image.ts';

export abstract class ForwardingSink implements Sink {
  readonly store: Store | undefined;
  readonly finish?: () => Promise<void>;
  protected readonly inner: Sink;

  /** Disposes of `inner` when it is disposed of. */
  constructor(inner: Sink) {
    this.store = inner.store;
    if (inner.finish) this.finish = () => inner.finish?.() ?? Promise.resolve();
    this.inner = inner;
  }

  plan(images: readonly Image[]): Promise<readonly Answer[]> {
    return this.inner.plan(images);
  }

  async retry(retry: Retry): Promise<void> {
    await this.inner.retry?.(retry);
  }

  writer(answer: Answer, signal: AbortSignal): Promise<ImageWriter> {
    return this.inner.writer(answer, signal);
  }

  waits(): Waits {
    return this.inner.waits();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.inner[Symbol.asyncDispose]());
  }
}

/** Refuses the images that `refusal` has a reason for, and asks `plan` about the others only. In the order of `images`. */
export async function planOthers(
  images: readonly Image[],
  refusal: (image: Image) => string | undefined,
  plan: (others: readonly Image[]) => Promise<readonly Answer[]>,
): Promise<readonly Answer[]> {
  const refused = new Map<Image, Answer>();
  for (const image of images) {
    const reason = refusal(image);
    if (reason !== undefined) refused.set(image, { image, action: 'refuse', reason, refs: image.names });
  }
  const others = images.filter((image) => !refused.has(image));
  const answers = await plan(others);
  const planned = new Map(others.map((image, at) => [image, answers[at]]));
  return images.map((image) => (refused.get(image) ?? planned.get(image)) as Answer);
}
