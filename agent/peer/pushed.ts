/** What became of pushes, on its way between hosts. PROTOCOL.md section 6, `result`. */
import { violation } from '../../proto/errors.ts';
import { MESSAGE_LIST_BYTES, TEXT_MAX_CHARACTERS } from '../../proto/limits.ts';
import type { Result } from '../../proto/messages.ts';
import type { Digest, Pushed } from '../image.ts';
import { fromWire, saidBy, toWire } from './failure.ts';

type WirePushed = NonNullable<Result['pushed']>;

/** A character may take six bytes as JSON has it, and each name comes with three texts at most. */
const BYTES_OF_TEXTS = 6 * 3;

/** All that is told of one image goes into one message: of many names less is said of each. */
export function pushedToWire(pushed: readonly Pushed[]): WirePushed {
  const room = Math.floor(MESSAGE_LIST_BYTES / BYTES_OF_TEXTS / Math.max(1, pushed.length));
  const cut = (text: string) => text.slice(0, Math.min(room, TEXT_MAX_CHARACTERS));
  return pushed.map(({ target, digest, warning, error }) => {
    const failure = error && toWire(error);
    return {
      target,
      ...(digest !== undefined && { digest }),
      ...(warning !== undefined && { warning: cut(warning) }),
      ...(failure && {
        error: {
          code: failure.code,
          message: cut(failure.message),
          ...(failure.hint !== undefined && { hint: cut(failure.hint) }),
        },
      }),
    };
  });
}

export function pushedFromWire(pushed: WirePushed, host: string): readonly Pushed[] {
  return pushed.map(({ target, digest, warning, error }) => ({
    target,
    ...(digest !== undefined && { digest: digest as Digest }),
    ...(warning !== undefined && { warning: saidBy(host, warning) }),
    ...(error && { error: fromWire(error, host) }),
  }));
}

/** Throws unless it tells of what the image is called there, each name once; of one of them at least where `owed`. */
export function checkPushed({ image, status, targetId, refs, pushed }: Result, owed: boolean): void {
  const arrived = status === 'loaded' || status === 'present';
  if (pushed && !arrived) throw violation(`image ${image} is ${status}, and was pushed`);
  if (!arrived || (!pushed && !owed)) return;
  const names = refs.length > 0 ? refs.map(({ target, as = target }) => as) : [targetId];
  const told = new Set(pushed?.map(({ target }) => target));
  if (told.size !== pushed?.length || [...told].some((target) => !names.includes(target)))
    throw violation(`a push of image ${image} under a name that it has not`);
  if (owed && told.size === 0) throw violation(`no word of the push of image ${image}`);
  if (pushed.some(({ digest, error }) => (digest === undefined) === (error === undefined)))
    throw violation(`a push of image ${image} that has a digest and an error, or neither`);
}
