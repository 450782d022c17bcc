/** What is wrong with a move file: a line for each problem, as compilers write them, in one error. */
import { ImgmvError } from '../../proto/errors.ts';

const PROBLEMS_MAX = 20;
const SHOWN_MAX_CHARACTERS = 60;
/** What others say may repeat all that they were given. */
const CLAUSE_MAX_CHARACTERS = 300;

/** Both from 1, as editors count; a column is one of UTF-16 code units. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface Problem extends Place {
  /** Lower case: what is there and what was expected. One line. */
  readonly text: string;
}

export const BEGINNING: Place = { line: 1, column: 1 };

export function problemAt({ line, column }: Place, text: string): Problem {
  return { line, column, text };
}

/** `name` is the file as it was given. The message has a line per problem, in the order of the file. */
export function problemsError(name: string, problems: readonly Problem[]): ImgmvError {
  return new ImgmvError('usage', problemLines(name, problems).join('\n'), {
    hint: '`imgmv help move` shows every key, and how an editor checks them',
  });
}

/** A line for each problem, in the order of the file; of very many only the first. */
export function problemLines(name: string, problems: readonly Problem[]): readonly string[] {
  const sorted = problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const lines = sorted
    .slice(0, PROBLEMS_MAX)
    .map(({ line, column, text }) => `${name}:${line}:${column}: ${text}`);
  const more = problems.length - lines.length;
  return [...lines, ...(more > 0 ? [`${name}: and ${more} more`] : [])];
}

/** Text of the file in quotes, on one line and not too long for it. */
export function shown(text: string): string {
  return JSON.stringify(
    text.length > SHOWN_MAX_CHARACTERS ? `${text.slice(0, SHOWN_MAX_CHARACTERS)}…` : text,
  );
}

/** A sentence of somebody else's as the end of one of ours. */
export function asClause(sentence: string): string {
  const whole = sentence.replaceAll(/\s+/g, ' ').trim().replace(/\.$/, '');
  const line = whole.length > CLAUSE_MAX_CHARACTERS ? `${whole.slice(0, CLAUSE_MAX_CHARACTERS)}…` : whole;
  // A word in capitals is a placeholder or an abbreviation.
  return /^[A-Z][^A-Z]/.test(line) ? line.charAt(0).toLowerCase() + line.slice(1) : line;
}
