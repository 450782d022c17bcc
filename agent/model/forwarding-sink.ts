/** The base of sinks that stand before another one: all that they do not change goes through. */
import type { Image } from './image.ts';
import { type Planned, type Retry, refused, type Sink, type SinkFacts } from './sink.ts';
import type { Waits } from './source.ts';

export abstract class ForwardingSink implements Sink {
  protected readonly inner: Sink;

  /** Disposes of `inner` when it is disposed of. */
  constructor(inner: Sink) {
    this.inner = inner;
  }

  get facts(): SinkFacts {
    return this.inner.facts;
  }

  plan(images: readonly Image[]): Promise<readonly Planned[]> {
    return this.inner.plan(images);
  }

  retrying(retry: Retry): Promise<void> {
    return this.inner.retrying(retry);
  }

  finish(): Promise<void> {
    return this.inner.finish();
  }

  waits(): Waits {
    return this.inner.waits();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.inner[Symbol.asyncDispose]());
  }
}

/** Refuses the images that have a reason, and asks `plan` about the others only. In the order of `images`. */
export async function planOthers(
  images: readonly Image[],
  reasons: readonly (string | undefined)[],
  plan: (others: readonly Image[]) => Promise<readonly Planned[]>,
): Promise<readonly Planned[]> {
  const others = [...(await plan(images.filter((_, at) => reasons[at] === undefined)))];
  return images.map((image, at) => {
    const reason = reasons[at];
    return reason === undefined
      ? (others.shift() as Planned)
      : refused({ image, action: 'refuse', reason, refs: image.names });
  });
}
