/** What became of pushes, on its way between hosts. PROTOCOL.md section 6, `pushed`. */
import { type About, ImgmvError, violation } from '../../proto/errors.ts';
import { MESSAGE_LIST_BYTES, TEXT_MAX_CHARACTERS } from '../../proto/limits.ts';
import type { MessageOf, PushProblem, Result } from '../../proto/messages.ts';
import type { Pushed } from '../model/sink.ts';
import { saidBy } from './failure.ts';
import { targetOf } from './wire-images.ts';

type WirePushed = MessageOf<'pushed'>['pushed'];

/** As JSON has it a character may take six bytes. */
const BYTES_OF_CHARACTER = 6;

/** For the other host: what was pushed by its id here goes under `id`, which is as much of it as the host may know. */
export function pushedToWire(pushed: readonly Pushed[], targetId: string, id: string): WirePushed {
  // All that is told of one image goes into one message: of many names less is said of each.
  const room = Math.floor(MESSAGE_LIST_BYTES / BYTES_OF_CHARACTER / Math.max(1, pushed.length));
  return pushed.map(({ target, digest, warning, error, problem = 'failed' }) => ({
    target: target === targetId ? id : target,
    digest,
    warning: warning?.slice(0, Math.min(room, TEXT_MAX_CHARACTERS)),
    problem: error && problem,
  }));
}

export function pushedFromWire(pushed: WirePushed, host: string): readonly Pushed[] {
  return pushed.map(({ target, digest, warning, problem }) => ({
    target,
    digest,
    warning: saidBy(host, warning),
    problem,
    error: problem && failureThere(target, problem, host),
  }));
}

/** What each problem means, and what it is about if it is this side that can help. */
const PROBLEMS: Readonly<Record<PushProblem, readonly [why: string, about?: About]>> = {
  unreachable: ['its registry cannot be reached from there'],
  denied: ['no permission to push there, or no valid credentials'],
  certificate: ['the certificate of its registry is not trusted there, or the registry does not use TLS'],
  'not-a-registry': ['what answers there is not a registry'],
  'no-registry-named': ['it names no registry', 'no-registry-named'],
  'not-allowed': ['the receiver does not allow that', 'push-patterns'],
  stopped: ['the push was stopped'],
  failed: ['the push failed'],
};

function failureThere(target: string, problem: PushProblem, host: string): ImgmvError {
  const [why, about] = PROBLEMS[problem];
  const hint = about ? undefined : `what the registry said is shown on ${host}`;
  const code = problem === 'stopped' ? 'peer-stopped' : 'push-failed';
  return new ImgmvError(code, `on ${host}: ${target} was not pushed: ${why}`, { host, hint, about });
}

/** Throws unless a push is announced of what is there, and wherever one is `owed`. */
export function checkPushes({ item, status, pushes }: Result, owed: boolean): void {
  const arrived = status === 'loaded' || status === 'present';
  if (pushes && !arrived) throw violation(`image ${item} is ${status}, but is to be pushed`);
  if (owed && arrived && !pushes) throw violation(`no news of the push of image ${item}`);
}

/** Throws unless it tells of what the image is called there, each name once. */
export function checkPushed({ item, pushed }: MessageOf<'pushed'>, { targetId, names: given }: Result): void {
  const names = given.length > 0 ? given.map(targetOf) : [targetId];
  const told = new Set(pushed.map(({ target }) => target));
  if (told.size !== pushed.length || [...told].some((target) => !names.includes(target)))
    throw violation(`a push of image ${item} under a name that it does not have`);
  if (pushed.some(({ digest, problem }) => (digest === undefined) === (problem === undefined)))
    throw violation(`a push of image ${item} that has a digest and a problem, or neither`);
}
