/** Errors on their way between hosts. */
import { codeToldByPeer, exitStatusOf, ImgmvError } from '../../proto/errors.ts';
import { TEXT_MAX_CHARACTERS } from '../../proto/limits.ts';
import type { WireFailure } from '../../proto/messages.ts';

export function toWire(error: ImgmvError): WireFailure {
  const { code, message, hint, noRoom } = error;
  return {
    code,
    message: message.slice(0, TEXT_MAX_CHARACTERS),
    hint: hint?.slice(0, TEXT_MAX_CHARACTERS),
    ...(noRoom && { noRoom }),
  };
}

/** Exit statuses of what ends a session before there is one: nothing that happens to an image has them. */
const BEFORE_SESSION = [exitStatusOf('wrong-code'), exitStatusOf('version-mismatch')];

/** `host` is where it happened. It stands in front of the message and of the hint, which are its words and not ours. */
export function fromWire({ code: told, message, hint, noRoom }: WireFailure, host: string): ImgmvError {
  const code = BEFORE_SESSION.includes(exitStatusOf(told)) ? 'peer-failed' : codeToldByPeer(told);
  const theirs = hint === undefined ? undefined : `hint from ${host}: ${hint}`;
  return new ImgmvError(code, saidBy(host, message), { host, about: 'on-peer', hint: theirs, noRoom });
}

/** Text that the other host sent, as we show it. */
export function saidBy<T extends string | undefined>(host: string, text: T): string | (T & undefined) {
  return text === undefined ? (text as T & undefined) : `on ${host}: ${text}`;
}
