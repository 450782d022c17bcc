/** A list of images as text: one a line, as they are written on the command line; `#` begins a comment. */
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { usage } from '../streams/errors.ts';
import { readAll } from '../streams/read-all.ts';
import { LIST_MAX_BYTES } from './limits.ts';
import { type Pattern, parsePatterns } from './pattern.ts';

/** All of it, up to the bound. `what` it is, for errors. Throws usage. */
export async function readList(input: AsyncIterable<Buffer>, what: string): Promise<readonly Pattern[]> {
  const tooLong = `${what} is longer than a list of images may be: ${LIST_MAX_BYTES} bytes`;
  const bytes = await readAll(input, LIST_MAX_BYTES, () => usage(tooLong));
  return parseList(bytes.toString('utf8'), what);
}

/** Throws usage with the number of the line, and for a list that names nothing. */
export function parseList(text: string, what: string): readonly Pattern[] {
  const patterns = text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .flatMap((line, at) => {
      const written = line.replace(/(^|\s)#.*$/, '').trim();
      return written === '' ? [] : patternsAt(written, `${what}, line ${at + 1}`);
    });
  if (patterns.length > 0) return patterns;
  throw new ImgmvError('image-not-found', `${what} names no image`, {
    hint: 'one per line: name:tag, team/* or anything else that IMAGE can be',
  });
}

function patternsAt(written: string, where: string): readonly Pattern[] {
  try {
    return parsePatterns(written);
  } catch (error) {
    const { code, message, hint } = toImgmvError(error);
    throw new ImgmvError(code, `${where}: ${message}`, { cause: error, hint });
  }
}
