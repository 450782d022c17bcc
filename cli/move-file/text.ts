/** The bytes of a move file as text, and no more of them than one has. */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { fileError } from '../../agent/streams/file-error.ts';
import { readAll } from '../../agent/streams/read-all.ts';
import { ImgmvError } from '../../proto/errors.ts';

const MOVE_FILE_MAX_BYTES = 1024 * 1024;

/** `-` is `stdin`. Throws usage for what cannot be read, is too long, or is not UTF-8. */
export async function readText(path: string, stdin: Readable): Promise<string> {
  const what = path === '-' ? 'standard input' : path;
  const tooLong = () =>
    new ImgmvError('usage', `${what} is longer than the 1 MiB that a move file may have`, {
      hint: 'a list of thousands of images goes into a file of its own, named by the key file',
    });
  let bytes: Buffer;
  try {
    bytes = await readAll(path === '-' ? stdin : createReadStream(path), MOVE_FILE_MAX_BYTES, tooLong);
  } catch (cause) {
    if (cause instanceof ImgmvError) throw cause;
    throw fileError(`cannot read the move file ${what}`, path, cause);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ImgmvError('usage', `${what} is no move file: it is not UTF-8`, { cause });
  }
}
