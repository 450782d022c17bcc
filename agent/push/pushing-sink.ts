/**
 * A sink that pushes what another one has taken: each name of an image, once the image is there and verified.
 * A push that fails takes nothing back, and is no failure of the image: it is told beside it.
 */
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import type { Emit } from '../events.ts';
import type {
  Answer,
  Committed,
  Image,
  ImageWriter,
  Incomplete,
  Pushed,
  PushProgress,
  Retry,
  SetName,
  Sink,
  Store,
  Waits,
} from '../image.ts';
import { namesRegistry, namesToPush } from './names-to-push.ts';
import type { PushName } from './push.ts';

export class PushingSink implements Sink {
  readonly #inner: Sink;
  readonly #push: PushName;
  readonly #emit: Emit;
  readonly retry?: (retry: Retry) => Promise<void>;
  /**
   * The end of the last push that was asked for. They stand in line: an engine sends several layers of one push at
   * once, which fills the link by itself, and what two images share the second one finds in the registry.
   */
  #line: Promise<unknown> = Promise.resolve();

  /** `inner` must be one whose images are there as soon as they are committed. */
  constructor(inner: Sink & { readonly finish?: never }, push: PushName, emit: Emit) {
    this.#inner = inner;
    this.#push = push;
    this.#emit = emit;
    if (inner.retry) this.retry = (retry) => (inner as Required<Pick<Sink, 'retry'>>).retry(retry);
  }

  get store(): Store | undefined {
    return this.#inner.store;
  }

  plan(images: readonly Image[]): Promise<readonly Answer[]> {
    return this.#inner.plan(images);
  }

  async writer(answer: Answer, signal: AbortSignal): Promise<ImageWriter> {
    const writer = await this.#inner.writer(answer, signal);
    let committed = false;
    let progress: PushProgress | undefined;
    return {
      write: (blob) => writer.write(blob),
      commit: async (): Promise<Committed | Incomplete> => {
        const end = await writer.commit();
        if (!('targetId' in end)) return end;
        committed = true;
        progress = { bytes: 0, bytesTotal: 0 };
        const onProgress = (now: PushProgress) => {
          progress = now;
        };
        const startedAt = performance.now();
        const pushed = await this.#pushAll(answer.image, end, signal, onProgress);
        return { ...end, pushed, pushMs: Math.round(performance.now() - startedAt) };
      },
      loadedBytes: () => writer.loadedBytes(),
      pushing: () => progress,
      keptBytes: () => writer.keptBytes(),
      abort: async (error) => {
        if (!committed) await writer.abort(error);
      },
    };
  }

  async #pushAll(
    image: Image,
    { refs, targetId }: Committed,
    signal: AbortSignal,
    onProgress: (progress: PushProgress) => void,
  ): Promise<readonly Pushed[]> {
    if (refs.length === 0) return [{ target: targetId, error: nameless() }];
    const pushed: Pushed[] = [];
    for (const ref of namesToPush(refs)) {
      const pushing = this.#line.then(() => this.#pushOne(image, ref, signal, onProgress));
      this.#line = pushing;
      pushed.push(await pushing);
    }
    return pushed;
  }

  /** Never throws: a fault of ours, too, must not undo what is loaded. */
  async #pushOne(
    image: Image,
    { source, target }: SetName,
    signal: AbortSignal,
    onProgress: (progress: PushProgress) => void,
  ): Promise<Pushed> {
    try {
      signal.throwIfAborted();
      if (!namesRegistry(target)) throw nowhere(target);
      const onRetry = ({ code, message, hint }: ImgmvError, attempt: number, waitMs: number) =>
        this.#emit({
          event: 'retrying',
          id: image.id,
          refs: [{ source, target }],
          attempt,
          waitSeconds: waitMs / 1000,
          phase: 'push',
          error: { code, message, hint: hint ?? null },
        });
      return { target, ...(await this.#push(target, { signal, onProgress, onRetry })) };
    } catch (error) {
      return { target, error: toImgmvError(signal.aborted ? signal.reason : error) };
    }
  }

  waits(): Waits {
    return this.#inner.waits();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
  }
}

function nowhere(what: string): ImgmvError {
  return new ImgmvError('push-failed', `${what} cannot be pushed: it names no registry`, {
    hint: 'a name such as registry.example/team/web:1.0 does; --retag or --registry give it one',
  });
}

function nameless(): ImgmvError {
  return new ImgmvError('push-failed', 'an image without a name cannot be pushed', {
    hint: 'chosen by its id, it gets one with --as registry.example/team/web:1.0',
  });
}
