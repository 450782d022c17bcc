/**
 * What people write to say which images they mean: a reference as docker takes it, `team/*`, tags by a regular
 * expression as image-syncer has them (`web:/^v1\./`), or several tags (`web:1.0,1.1`).
 */
import type { ImgmvError } from '../../proto/errors.ts';
import { usage } from '../streams/errors.ts';
import { isGlob } from './glob.ts';
import { PATTERN_MAX_CHARACTERS } from './limits.ts';
import { NameGlob, RepositoryGlob, split } from './name-glob.ts';

/** One image, found as docker finds it: by name, name@digest, id or the beginning of one. */
export interface ExactPattern {
  readonly kind: 'exact';
  readonly text: string;
  /** Where it stands, and what to do where there is no such image; for those that nobody typed. */
  readonly origin?: { readonly where: string; readonly hint?: string };
}

/** All names that look like it; `matches` is asked for familiar names with a tag. */
export interface NamePattern {
  readonly kind: 'names';
  readonly text: string;
  matches(name: string): boolean;
}

export type Pattern = ExactPattern | NamePattern;

const REGEX_TAG = /^(.*?):\/(.*)\/$/s;

/** `repo:a,b` is two patterns. Throws usage for what can mean no image. */
export function parsePatterns(text: string): readonly Pattern[] {
  if (text === '' || text.length > PATTERN_MAX_CHARACTERS)
    throw unfit(text, text === '' ? 'it is empty' : `it is longer than ${PATTERN_MAX_CHARACTERS} characters`);
  const regex = REGEX_TAG.exec(text);
  if (regex) return [regexPattern(text, regex[1] ?? '', regex[2] ?? '')];
  if (/,\s/.test(text))
    throw unfit(
      text,
      'it has a space behind a comma; several images are several arguments, or a list: ["team/*", "db:16"]',
    );
  const { repository, tag } = split(text);
  if (!tag?.includes(',')) return [plainPattern(text)];
  const tags = tag.split(',');
  if (tags.includes('')) throw unfit(text, 'a tag between two commas is empty');
  return tags.map((one) => plainPattern(`${repository}:${one}`));
}

/** What is no glob is left to whoever looks for it. */
function plainPattern(text: string): Pattern {
  if (!isGlob(text)) return { kind: 'exact', text };
  const glob = compiled(text, () => new NameGlob(split(text)));
  return { kind: 'names', text, matches: (name) => glob.match(name) !== undefined };
}

function regexPattern(text: string, repository: string, source: string): NamePattern {
  const glob = compiled(text, () => new RepositoryGlob(repository));
  const tags = compiled(text, () => new RegExp(source));
  return {
    kind: 'names',
    text,
    matches: (name) => {
      const { tag } = split(name);
      return tag !== undefined && glob.match(name) !== undefined && tags.test(tag);
    },
  };
}

/** What comes of a glob or a regular expression. Throws usage where it is none. */
function compiled<T>(text: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw unfit(text, (cause as Error).message.replace(/^Invalid regular expression: /, ''), cause);
  }
}

function unfit(text: string, why: string, cause?: unknown): ImgmvError {
  const shown = text.length > 100 ? `${text.slice(0, 100)}…` : text;
  return usage(`${JSON.stringify(shown)} names no image: ${why}`, {
    cause,
    hint: 'expected name, name:tag, an id, team/*, *:1.*, name:1.0,1.1 or name:/REGEX/',
  });
}
