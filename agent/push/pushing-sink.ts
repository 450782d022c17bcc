/**
 * A sink that pushes what another one has taken: each name of an image, once the image is there and verified. A push
 * goes on behind the commit. One that fails takes nothing back, and is no failure of the image: it is told beside it.
 */
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { Turns } from '../../proto/turns.ts';
import { type Emit, tellError } from '../model/events.ts';
import { ForwardingSink } from '../model/forwarding-sink.ts';
import type { Digest, Image, Name } from '../model/image.ts';
import {
  type Answer,
  type Committed,
  type ImageWriter,
  type Planned,
  type Push,
  type Pushed,
  type PushProgress,
  refused,
  type SetName,
  type Sink,
} from '../model/sink.ts';
import { PushError, problemOf } from './failure.ts';
import { namesRegistry, namesToPush } from './names-to-push.ts';
import type { PushPolicy } from './policy.ts';
import type { PushName, PushRun } from './push.ts';

interface PushingOptions {
  readonly push: PushName;
  readonly policy: PushPolicy;
  readonly emit: Emit;
}

const NAMELESS = 'an image without a name cannot be pushed';

export class PushingSink extends ForwardingSink {
  readonly #push: PushName;
  readonly #policy: PushPolicy;
  readonly #emit: Emit;
  /**
   * Pushes stand in line: an engine sends several layers of one push at once, which fills the link by itself, and what
   * two images share the second one finds in the registry.
   */
  readonly #line = new Turns();

  /** `inner` must be one whose images are there as soon as they are committed: not an atomic one. */
  constructor(inner: Sink, { push, policy, emit }: PushingOptions) {
    super(inner);
    if (inner.facts.atomic)
      throw new ImgmvError('internal', 'what is there only at the end cannot be pushed');
    this.#push = push;
    this.#policy = policy;
    this.#emit = emit;
  }

  override async plan(images: readonly Image[]): Promise<readonly Planned[]> {
    return (await super.plan(images)).map((planned) => {
      if (planned.answer.action === 'refuse') return planned;
      const { left, allowed } = this.#meant(planned.answer);
      if (this.#policy.asked && left.length > 0 && allowed.size === 0) {
        const { image, refs } = planned.answer;
        const reason = `the receiver does not push to ${left.join(', ')}`;
        return refused({ image, action: 'refuse', refs, reason });
      }
      const answer = withPushes(planned.answer, left, allowed);
      return { answer, open: (signal) => this.#open(planned, signal) };
    });
  }

  /** Targets that nobody may push, and the names that will be. */
  #meant({ refs }: Answer): { readonly left: readonly string[]; readonly allowed: ReadonlySet<Name> } {
    const meant = namesToPush(refs);
    const allowed = new Set<Name>(meant.filter((name) => this.#policy.allows(name)));
    return { left: meant.filter((name) => !allowed.has(name)).map(({ target }) => target), allowed };
  }

  async #open(planned: Planned, signal: AbortSignal): Promise<ImageWriter> {
    const writer = await planned.open(signal);
    const commit = async () => {
      const end = await writer.commit();
      return 'missing' in end ? end : { ...end, push: this.#begin(planned.answer.image, end, signal) };
    };
    return { ...writer, commit };
  }

  /** Undefined where there is nothing to be pushed, and nothing to be said about that. */
  #begin(image: Image, end: Committed, signal: AbortSignal): Push | undefined {
    const { asked } = this.#policy;
    if (!asked && namesToPush(end.refs).every((ref) => !this.#policy.allows(ref))) return undefined;
    let progress: PushProgress = { bytes: 0, bytesTotal: 0 };
    const onProgress = (now: PushProgress) => {
      progress = now;
    };
    return { done: this.#pushAll(image, end, signal, onProgress), progress: () => progress };
  }

  /** Of each name that is pushed, and where pushing was asked for, of those that may not be, too. */
  async #pushAll(
    image: Image,
    { refs, targetId, pushable }: Committed,
    signal: AbortSignal,
    onProgress: (progress: PushProgress) => void,
  ): Promise<readonly Pushed[]> {
    const { asked } = this.#policy;
    if (refs.length === 0)
      return asked
        ? [failed(targetId, new PushError('no-registry-named', NAMELESS, { about: 'no-name' }))]
        : [];
    const meant = namesToPush(refs).filter((ref) => asked || this.#policy.allows(ref));
    const pushed: Pushed[] = [];
    for (const ref of meant) {
      const platform = async () => {
        const { foreign, name, platform, unseen, withheld } = await pushable(ref.target);
        if (unseen && !this.#policy.trusts) throw isUnseen(ref.target);
        if (withheld !== undefined) throw isWithheld(ref.target, withheld);
        if (name === 'moved') throw isMoved(ref.target);
        if (name === 'slow') throw isSlow(ref.target);
        if (foreign[0] !== undefined) throw holdsMore(ref.target, foreign[0]);
        return platform;
      };
      const run = { signal, onProgress, platform };
      pushed.push(await this.#line.take(() => this.#pushOne(image, ref, run)));
    }
    return pushed;
  }

  /** Never throws: a fault of ours, too, must not undo what is loaded. */
  async #pushOne(image: Image, name: SetName, run: Omit<PushRun, 'onRetry'>): Promise<Pushed> {
    const { source, target } = name;
    const { signal } = run;
    try {
      signal.throwIfAborted();
      if (!this.#policy.allows(name))
        throw new PushError('not-allowed', `${target} was not pushed: no pattern of --allow-push allows it`);
      const about = 'no-registry-named';
      if (!namesRegistry(target))
        throw new PushError(about, `${target} cannot be pushed: it names no registry`, { about });
      const onRetry = (error: ImgmvError, attempt: number, waitMs: number) =>
        this.#emit({
          event: 'retrying',
          id: image.id,
          refs: [{ source, target }],
          attempt,
          waitSeconds: waitMs / 1000,
          phase: 'push',
          error: tellError(error),
        });
      return { target, ...(await this.#push(target, { ...run, onRetry })) };
    } catch (error) {
      return failed(target, toImgmvError(signal.aborted ? signal.reason : error));
    }
  }
}

function withPushes(answer: Answer, left: readonly string[], allowed: ReadonlySet<Name>): Answer {
  const { refs, warning } = answer;
  const notes = [
    warning,
    left.length > 0 ? `the receiver does not push to ${left.join(', ')}` : undefined,
    refs.length === 0 ? NAMELESS : undefined,
  ].filter((note) => note !== undefined);
  return {
    ...answer,
    warning: notes.length > 0 ? notes.join('; ') : undefined,
    refs: refs.map((ref) => (allowed.has(ref) && namesRegistry(ref.target) ? { ...ref, push: true } : ref)),
  };
}

function failed(target: string, error: ImgmvError): Pushed {
  return { target, error, problem: problemOf(error) };
}

function isWithheld(what: string, why: string): ImgmvError {
  return new PushError(
    'not-allowed',
    `${what} was not pushed: the engine would push a file of its host for one of the image: ${why}`,
    { hint: 'the image is loaded; find out who made it, and do not push or save it' },
  );
}

function isUnseen(what: string): ImgmvError {
  return new PushError(
    'not-allowed',
    `${what} was not pushed: an image can be made so that this engine pushes files of its host with it, and imgmv cannot look at the engine's data from here`,
    {
      hint: 'run imgmv as root on the host of the engine; if you trust where the image comes from, `docker push` pushes it',
    },
  );
}

function isMoved(what: string): ImgmvError {
  return new PushError('not-allowed', `${what} was not pushed: another image has this name by now`);
}

function isSlow(what: string): ImgmvError {
  return new PushError(
    'failed',
    `${what} was not pushed: the engine takes so long to say which image has the name that it may be another one by then`,
    {
      hint: 'is the engine busy, or does the image’s index name hundreds of manifests? `docker push` pushes it',
    },
  );
}

function holdsMore(what: string, example: Digest): ImgmvError {
  return new PushError(
    'not-allowed',
    `${what} was not pushed: its index names parts that did not come with it, such as ${example}`,
    { hint: 'if all of it may be pushed there, use `docker push`' },
  );
}
