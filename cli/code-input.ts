/** The pairing code on the sending host, from a file or standard input. */

import { readFrom, untilAborted } from '../agent/streams/fifo.ts';
import { fileError } from '../agent/streams/file-error.ts';
import { readAll } from '../agent/streams/read-all.ts';
import { parseCode } from '../proto/code.ts';
import { ImgmvError } from '../proto/errors.ts';
import type { Secret } from '../proto/secret.ts';

const FILE_MAX_BYTES = 4096;

/** `-` is standard input. A typo is told here and costs no try at the other host. Throws the reason of `signal`. */
export async function readCodeFile(file: string, signal: AbortSignal): Promise<Secret> {
  const isStdin = file === '-';
  const chunks = isStdin ? untilAborted(process.stdin, signal) : readFrom(file, signal);
  const what = isStdin ? 'standard input' : file;
  const tooLong = () => new ImgmvError('usage', `${what} holds more than a pairing code`);
  try {
    return parseCode((await readAll(chunks, FILE_MAX_BYTES, tooLong)).toString('utf8'));
  } catch (cause) {
    if (cause instanceof ImgmvError) throw cause;
    throw fileError(`cannot read the code file ${file}`, file, cause);
  }
}
