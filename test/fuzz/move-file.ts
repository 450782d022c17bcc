/** Move files: any text is one, or a usage error with a line for each problem. */
import { isAbsolute } from 'node:path';
import fc from 'fast-check';
import { type MoveFile, parseMoveFile } from '../../cli/move-file.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { BAD, GOOD } from '../cli/move-corpus.ts';
import { decodedLater, holds, holdsPlain } from './refusal.ts';
import { target } from './target.ts';
import { textLike } from './text.ts';

const example = fc.constantFrom(...[...GOOD, ...BAD].map(({ yaml }) => yaml));
const origin = { name: 'move.yaml', directory: '/moves', fromStdin: false };
/** A line for each of twenty problems, and one for the rest. */
const LINES_MAX = 21;

const files = target<string>({
  name: 'options/move-file',
  share: 5,
  input: textLike(
    fc.oneof(
      example,
      fc.array(example, { minLength: 2, maxLength: 4 }).map((some) => some.join('\n')),
    ),
  ),
  check: async (text) => {
    const move = await decodedLater(['usage'], () => parseMoveFile(text, origin).catch(judged));
    if (!move) return;
    const { since, retag, except, ...plain } = move;
    holdsPlain(plain);
    holds(since === undefined || !Number.isNaN(since.getTime()), 'a time is one');
    for (const path of pathsOf(move)) holds(path === '-' || isAbsolute(path), 'a path is absolute');
    for (const [key, value] of Object.entries<unknown>(move))
      holds(value !== undefined && value !== null && value !== false, `${key} is there`);
    const rules = (retag ?? []).map(({ text: rule }) => rule);
    for (const one of [...(move.images ?? []), ...(move.label ?? []).map(({ key }) => key), ...rules])
      holds(one !== '' && !/\p{Cc}/u.test(one), 'text is text');
    holds(move.to === undefined || /^wss?:\/\//.test(move.to), 'a host is a URL');
    holds(
      rules.every((rule) => rule.split('=').length === 2),
      'a rule has two sides',
    );
  },
});

/** Passes an error on whose every line says where it is. */
function judged(error: unknown): never {
  if (error instanceof ImgmvError && error.code === 'usage') {
    const lines = error.message.split('\n');
    holds(lines.length <= LINES_MAX, 'problems are bounded');
    for (const line of lines)
      holds(
        /^move\.yaml:([1-9][0-9]*:[1-9][0-9]*: \S| and [0-9]+ more$)/.test(line),
        `a line has its place: ${line}`,
      );
    holds(
      lines.every((line) => line.length < 1_000),
      'a line is short',
    );
  }
  throw error;
}

function pathsOf({ file, report, codeFile, compose = [], from = [] }: MoveFile): readonly string[] {
  const places = from.flatMap((one) => (one.kind === 'docker-daemon' ? [] : [one.path]));
  return [file, report, codeFile, ...compose, ...places].filter((path) => path !== undefined);
}

export const moveFileTargets = [files];
