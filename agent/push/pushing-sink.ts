/**
 * A sink that pushes what another one has taken: each name of an image, once the image is there and verified.
 * A push that fails takes nothing back, and is no failure of the image: it is told beside it.
 */
import { type ImgmvError, toImgmvError } from '../../proto/errors.ts';
import type { Emit } from '../model/events.ts';
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
} from '../model/image.ts';
import { PushError, problemOf } from './failure.ts';
import { namesRegistry, namesToPush } from './names-to-push.ts';
import type { PushPolicy } from './policy.ts';
import type { PushName } from './push.ts';

export interface PushingOptions {
  readonly push: PushName;
  readonly policy: PushPolicy;
  readonly emit: Emit;
}

export class PushingSink implements Sink {
  readonly #inner: Sink;
  readonly #push: PushName;
  readonly #policy: PushPolicy;
  readonly #emit: Emit;
  readonly retry?: (retry: Retry) => Promise<void>;
  /**
   * The end of the last push that was asked for. They stand in line: an engine sends several layers of one push at
   * once, which fills the link by itself, and what two images share the second one finds in the registry.
   */
  #line: Promise<unknown> = Promise.resolve();

  /** `inner` must be one whose images are there as soon as they are committed. */
  constructor(inner: Sink & { readonly finish?: never }, { push, policy, emit }: PushingOptions) {
    this.#inner = inner;
    this.#push = push;
    this.#policy = policy;
    this.#emit = emit;
    if (inner.retry) this.retry = (retry) => (inner as Required<Pick<Sink, 'retry'>>).retry(retry);
  }

  get store(): Store | undefined {
    return this.#inner.store;
  }

  async plan(images: readonly Image[]): Promise<readonly Answer[]> {
    return (await this.#inner.plan(images)).map((answer) => this.#planPush(answer));
  }

  /** Says which names will be pushed. Where pushing was asked for, an image of which no name may be is refused. */
  #planPush(answer: Answer): Answer {
    if (answer.action === 'refuse') return answer;
    const { missing: _, ...whole } = answer;
    const { refs } = answer;
    const meant = namesToPush(refs);
    const allowed = new Set(meant.filter((name) => this.#policy.allows(name)));
    const left = meant.filter((name) => !allowed.has(name)).map(({ target }) => target);
    if (this.#policy.asked && left.length > 0 && allowed.size === 0)
      return { ...whole, action: 'refuse', reason: `the receiver does not push to ${left.join(', ')}` };
    const notes = left.length > 0 ? [`the receiver does not push to ${left.join(', ')}`] : [];
    if (refs.length === 0) notes.push('an image without a name cannot be pushed');
    const warning = [...(answer.warning === undefined ? [] : [answer.warning]), ...notes].join('; ');
    return {
      ...answer,
      ...(warning !== '' && { warning }),
      refs: refs.map((ref) => (allowed.has(ref) && namesRegistry(ref.target) ? { ...ref, push: true } : ref)),
    };
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
        if (pushed.length === 0) return end;
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

  /** Of each name that is pushed, and where pushing was asked for, of those that may not be, too. */
  async #pushAll(
    image: Image,
    { refs, targetId, unsent }: Committed,
    signal: AbortSignal,
    onProgress: (progress: PushProgress) => void,
  ): Promise<readonly Pushed[]> {
    const { asked } = this.#policy;
    if (refs.length === 0) return asked ? [failed(targetId, nameless())] : [];
    const meant = namesToPush(refs).filter((ref) => asked || this.#policy.allows(ref));
    const foreign = meant.length > 0 && (await unsent?.().catch(toImgmvError));
    const pushed: Pushed[] = [];
    for (const ref of meant) {
      if (foreign instanceof Error) pushed.push(failed(ref.target, foreign));
      else if (foreign && foreign.length > 0) pushed.push(failed(ref.target, holdsMore(ref.target, foreign)));
      else pushed.push(await this.#inLine(() => this.#pushOne(image, ref, signal, onProgress)));
    }
    return pushed;
  }

  #inLine<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#line.then(work);
    this.#line = done;
    return done;
  }

  /** Never throws: a fault of ours, too, must not undo what is loaded. */
  async #pushOne(
    image: Image,
    name: SetName,
    signal: AbortSignal,
    onProgress: (progress: PushProgress) => void,
  ): Promise<Pushed> {
    const { source, target } = name;
    try {
      signal.throwIfAborted();
      if (!this.#policy.allows(name)) throw notAllowed(target);
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
      return failed(target, toImgmvError(signal.aborted ? signal.reason : error));
    }
  }

  waits(): Waits {
    return this.#inner.waits();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
  }
}

function failed(target: string, error: ImgmvError): Pushed {
  return { target, error, problem: problemOf(error) };
}

function nowhere(what: string): ImgmvError {
  return new PushError('no-registry-named', `${what} cannot be pushed: it names no registry`, {
    hint: 'a name such as registry.example/team/web:1.0 does; --retag or --registry give it one',
  });
}

function nameless(): ImgmvError {
  return new PushError('no-registry-named', 'an image without a name cannot be pushed', {
    hint: 'chosen by its id, it gets one with --as registry.example/team/web:1.0',
  });
}

function notAllowed(what: string): ImgmvError {
  return new PushError('not-allowed', `${what} was not pushed: no pattern of --allow-push allows it`);
}

function holdsMore(what: string, manifests: readonly string[]): ImgmvError {
  return new PushError(
    'not-allowed',
    `${what} was not pushed: its index names what is on this host and did not come with it, such as ${manifests[0]}`,
    { hint: 'if all of it may go there, `docker push` pushes it' },
  );
}
