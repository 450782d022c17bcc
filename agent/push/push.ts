/** The push of one name by the engine that has it, with docker's credentials, tried again where that may help. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { RETRIES } from '../../proto/limits.ts';
import type { Environment } from '../docker/docker-config.ts';
import type { Engine } from '../docker/engine.ts';
import type { Digest, Platform } from '../model/image.ts';
import { familiarName, parseTarget, type Reference } from '../model/reference.ts';
import type { PushProgress } from '../model/sink.ts';
import { retryPauseMs } from '../streams/retry-pause.ts';
import { type Credentials, findCredentials } from './credentials.ts';
import { mayPass, notTried, PushError, pushFailed, refusesLogin } from './failure.ts';
import { HELPER_ANSWER_MS, PUSH_SILENCE_MS } from './limits.ts';
import { PushAnswer } from './push-answer.ts';

export interface Push {
  readonly digest: Digest;
  readonly warning?: string | undefined;
}

export interface PushRun {
  readonly signal: AbortSignal;
  /** Asked before each try; throws where nothing may be pushed. The platform out of an index; undefined for all of it. */
  readonly platform: () => Promise<Platform | undefined>;
  readonly onProgress: (progress: PushProgress) => void;
  /** Told before the pause. `attempt` is from 1. */
  readonly onRetry: (error: ImgmvError, attempt: number, waitMs: number) => void;
}

/** Pushes a name that an image has. Throws push-failed, or the reason of the signal. */
export type PushName = (name: string, run: PushRun) => Promise<Push>;

export interface PushLimits {
  readonly silenceMs?: number;
  readonly helperMs?: number;
  /** Told once of each thing that keeps credentials from being found. */
  readonly warn?: (message: string) => void;
}

export function pushBy(
  engine: Engine,
  env: Environment,
  { silenceMs = PUSH_SILENCE_MS, helperMs = HELPER_ANSWER_MS, warn = () => {} }: PushLimits = {},
): PushName {
  /** Registries that did not answer in all tries: what goes there after that has one, until one is there again. */
  const absent = new Set<string>();
  const hung = new Map<string, ImgmvError>();
  /** Registries that did not take the credentials that there are for them. */
  const refusing = new Set<string>();
  const warned = new Set<string>();
  const warnOnce = (message: string) => {
    if (!warned.has(message)) warn(message);
    warned.add(message);
  };
  return async (name, run) => {
    const reference = parseTarget(name, 'the name to push');
    const { domain } = reference;
    const asking = { env, signal: run.signal, helperMs, hung, warn: warnOnce };
    const credentials = await findCredentials(domain, asking).catch(denied);
    if (credentials && refusing.has(domain)) throw notTried(reference, credentials);
    const retries = absent.has(domain) ? 0 : RETRIES;
    for (let tries = 1; ; tries++) {
      const end = await pushOnce(engine, reference, credentials, silenceMs, run);
      if (!('why' in end) || !end.passes) absent.delete(domain);
      if (!('why' in end)) return end;
      if (credentials && refusesLogin(end.why, reference)) refusing.add(domain);
      const failure = pushFailed(reference, end.why, credentials, tries);
      if (end.passes && tries > retries) absent.add(domain);
      if (!end.passes || tries > retries) throw failure;
      const waitMs = retryPauseMs(tries);
      run.onRetry(failure, tries, waitMs);
      await sleep(waitMs, undefined, { signal: run.signal }).catch(() => run.signal.throwIfAborted());
    }
  };
}

/** Where credentials are to be found, and why they were not, is nothing for another host. */
function denied(error: unknown): never {
  if (!(error instanceof ImgmvError) || error.code !== 'push-failed') throw error;
  const { message, hint, cause } = error;
  throw new PushError('denied', message, { cause, hint });
}

interface Refused {
  readonly why: string;
  readonly passes: boolean;
}

async function pushOnce(
  engine: Engine,
  reference: Reference,
  credentials: Credentials | undefined,
  silenceMs: number,
  { signal, platform: choose, onProgress }: PushRun,
): Promise<Push | Refused> {
  const { tag = 'latest' } = reference;
  const platform = await choose();
  const answer = new PushAnswer(tag);
  const silence = new AbortController();
  const silent = setTimeout(() => silence.abort(), silenceMs);
  const either = AbortSignal.any([signal, silence.signal]);
  try {
    const stream = await engine.push(familiarName(reference), tag, {
      auth: credentials?.auth,
      platform,
      signal: either,
    });
    for await (const text of stream.setEncoding('utf8') as AsyncIterable<string>) {
      const before = answer.news;
      answer.read(text);
      if (answer.news !== before) silent.refresh();
      onProgress(answer.progress);
    }
    answer.end();
  } catch (error) {
    signal.throwIfAborted();
    if (silence.signal.aborted)
      return { why: `timed out: nothing new from the engine for ${silenceMs / 1000} s`, passes: true };
    const { code, message } = await engine.lostBy('push', error);
    if (code === 'internal') throw toImgmvError(error);
    return { why: message, passes: code === 'engine-unavailable' || code === 'peer-lost' };
  } finally {
    clearTimeout(silent);
  }
  const { digest, failure, partOfIndex } = answer;
  if (failure !== undefined) return { why: failure, passes: mayPass(failure, reference) };
  if (digest === undefined)
    return { why: 'the engine ended it without saying that it was pushed', passes: false };
  return { digest, warning: partOfIndex || platform ? PART_OF_INDEX : undefined };
}

const PART_OF_INDEX =
  'the engine has only one platform of this image: it pushed that one under its own digest, and not the index of all platforms';
