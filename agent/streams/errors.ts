import { type ErrorOptions, ImgmvError } from '../../proto/errors.ts';

/** What was read is damaged, contradicts itself, or is more than it may be. */
export function integrity(message: string, options?: ErrorOptions): ImgmvError {
  return new ImgmvError('integrity', message, options);
}

/** What was asked for cannot be, and only whoever asked can change that. */
export function usage(message: string, options?: ErrorOptions): ImgmvError {
  return new ImgmvError('usage', message, options);
}
