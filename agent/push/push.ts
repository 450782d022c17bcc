/** The push of one name by the engine that has it, with docker's credentials, tried again where that may help. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { RETRIES } from '../../proto/limits.ts';
import type { Environment } from '../engine/docker-config.ts';
import type { Engine } from '../engine/engine.ts';
import type { Digest, PushProgress } from '../image.ts';
import { familiarName, parseTarget, type Reference } from '../reference.ts';
import { retryPauseMs } from '../retry-pause.ts';
import { type Credentials, findCredentials } from './credentials.ts';
import { mayPass, pushFailed } from './failure.ts';
import { PushAnswer } from './push-answer.ts';

export interface Push {
  readonly digest: Digest;
  readonly warning?: string;
}

export interface PushRun {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PushProgress) => void;
  /** Told before the pause. `attempt` is from 1. */
  readonly onRetry: (error: ImgmvError, attempt: number, waitMs: number) => void;
}

/** Pushes a name that an image has. Throws push-failed, or the reason of the signal. */
export type PushName = (name: string, run: PushRun) => Promise<Push>;

/** Pushes by `engine`, with the credentials of whoever runs this. */
export function pushBy(engine: Engine, env: Environment): PushName {
  /** Registries that did not answer in all tries: what goes there after that has one, until one is there again. */
  const absent = new Set<string>();
  return async (name, run) => {
    const reference = parseTarget(name, 'the name to push');
    const { domain } = reference;
    const credentials = await findCredentials(domain, { env, signal: run.signal });
    const retries = absent.has(domain) ? 0 : RETRIES;
    for (let tries = 1; ; tries++) {
      const end = await pushOnce(engine, reference, credentials, run);
      if (!('why' in end) || !end.passes) absent.delete(domain);
      if (!('why' in end)) return end;
      const failure = pushFailed(reference, end.why, credentials, tries);
      if (end.passes && tries > retries) absent.add(domain);
      if (!end.passes || tries > retries) throw failure;
      const waitMs = retryPauseMs(tries);
      run.onRetry(failure, tries, waitMs);
      await sleep(waitMs, undefined, { signal: run.signal }).catch(() => run.signal.throwIfAborted());
    }
  };
}

interface Refused {
  /** As the engine said it. */
  readonly why: string;
  readonly passes: boolean;
}

async function pushOnce(
  engine: Engine,
  reference: Reference,
  credentials: Credentials | undefined,
  { signal, onProgress }: PushRun,
): Promise<Push | Refused> {
  const { tag = 'latest' } = reference;
  const answer = new PushAnswer(tag);
  try {
    const stream = await engine.push(familiarName(reference), tag, credentials?.auth, signal);
    for await (const text of stream.setEncoding('utf8') as AsyncIterable<string>) {
      answer.read(text);
      onProgress(answer.progress);
    }
    answer.end();
  } catch (error) {
    signal.throwIfAborted();
    const { code, message } = error instanceof ImgmvError ? error : engine.lost('push', error);
    if (code === 'internal') throw toImgmvError(error);
    return { why: message, passes: code === 'engine-unavailable' };
  }
  const { digest, failure, partOfIndex } = answer;
  if (failure !== undefined) return { why: failure, passes: mayPass(failure, reference) };
  if (digest === undefined)
    return { why: 'the engine ended it and did not say that it was pushed', passes: false };
  return { digest, ...(partOfIndex && { warning: PART_OF_INDEX }) };
}

const PART_OF_INDEX =
  'the engine has one platform of this image and pushed that one, under a digest of its own and not the index of all';
