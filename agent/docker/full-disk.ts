/** What an engine says of a disk that is full: the words of ENOSPC and EDQUOT. */
import type { ErrorOptions } from '../../proto/errors.ts';

const FULL = /no space left on device|disk quota exceeded/;

/** For the error of an engine that said so; `room` is how much of it the work takes. */
export function fullDisk(said: string, room: string): Pick<ErrorOptions, 'noRoom' | 'hint'> {
  if (!FULL.test(said)) return {};
  return { noRoom: true, hint: `free some room on the disk of docker’s data root: ${room}` };
}
