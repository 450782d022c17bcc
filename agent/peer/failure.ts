/** Errors on their way between hosts. */
import { ImgmvError } from '../../proto/errors.ts';
import { TEXT_MAX_CHARACTERS } from '../../proto/limits.ts';
import type { WireFailure } from '../../proto/messages.ts';

export function toWire(error: ImgmvError): WireFailure {
  const cut = (text: string) => text.slice(0, TEXT_MAX_CHARACTERS);
  return {
    code: error.code,
    message: cut(error.message),
    ...(error.hint !== undefined && { hint: cut(error.hint) }),
  };
}

/** `host` is where it happened, and stands in front of the message. A stop there is no stop here. */
export function fromWire({ code, message, hint }: WireFailure, host: string): ImgmvError {
  const stopped = code === 'sigint' || code === 'sigterm' || code === 'sighup';
  return new ImgmvError(stopped ? 'peer-stopped' : code, `on ${host}: ${message}`, {
    host,
    ...(hint !== undefined && { hint }),
  });
}
