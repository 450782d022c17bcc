/** What one look at this host, or at another one, has found. */
import { type ErrorCode, type ImgmvError, toImgmvError } from '../../proto/errors.ts';
import type { CheckName, EventOf } from '../model/events.ts';

/** `message` says what was found, `hint` what to do where it is not well. */
export type Check = Omit<EventOf<'check'>, 'event' | 'target'>;

export function ok(name: CheckName, message: string): Check {
  return { name, status: 'ok', message, hint: null, code: null };
}

/** Nothing stands in the way, but it may not be what was meant. */
export function warning(name: CheckName, message: string, hint: string | null = null): Check {
  return { name, status: 'warning', message, hint, code: null };
}

/** Some command would end with `code`. */
export function fault(name: CheckName, code: ErrorCode, message: string, hint: string | null = null): Check {
  return { name, status: 'fault', message, hint, code };
}

/** What ended a look is what would end a command. */
export function faultOf(name: CheckName, error: unknown): Check {
  const { about, code, hint, message }: ImgmvError = toImgmvError(error);
  return { ...fault(name, code, message, hint ?? null), about };
}
