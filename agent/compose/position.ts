import type { ImgmvError } from '../../proto/errors.ts';
import { usage } from '../streams/errors.ts';

/** Where something stands in a file that a person wrote. */
export interface Position {
  /** As it is shown to people. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/** The error of a reader who can only mend the file. */
export function usageAt(at: Position, message: string, hint?: string): ImgmvError {
  return usage(`${at.file}:${at.line}: ${message}`, { hint });
}
