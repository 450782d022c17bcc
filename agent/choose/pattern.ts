/**
 * What people write to say which images they mean: a reference as docker takes it, `team/*`, tags by a regular
 * expression as image-syncer has them (`web:/^v1\./`), or several tags (`web:1.0,1.1`).
 */
import { ImgmvError } from '../../proto/errors.ts';
import { canonical, parseReference } from '../reference.ts';
import { PATTERN_MAX_CHARACTERS } from './limits.ts';

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

const REGEX_TAG = /^(.*):\/(.*)\/$/s;

/** `repo:a,b` is two patterns. Throws usage for what can mean no image. */
export function parsePatterns(text: string): readonly Pattern[] {
  if (text === '' || text.length > PATTERN_MAX_CHARACTERS)
    throw unfit(text, text === '' ? 'it is empty' : `it is longer than ${PATTERN_MAX_CHARACTERS} characters`);
  const regex = REGEX_TAG.exec(text);
  if (regex) return [regexPattern(text, regex[1] ?? '', regex[2] ?? '')];
  const { repository, tag } = split(text);
  if (!tag?.includes(',')) return [plainPattern(text)];
  const tags = tag.split(',');
  if (tags.includes('')) throw unfit(text, 'a tag between two commas is empty');
  return tags.map((one) => plainPattern(`${repository}:${one}`));
}

/** What has no `*`, `?` or `[…]` is left to whoever looks for it; the registry `[::1]:5000` is no range. */
function plainPattern(text: string): Pattern {
  if (!/[*?]|\[[^\]]+\]/.test(text) || parseReference(text)) return { kind: 'exact', text };
  const { repository, tag } = split(text);
  const expression = new RegExp(
    `^${globOf(repository, text)}:${tag === undefined ? '.*' : globOf(tag, text)}$`,
    's',
  );
  return { kind: 'names', text, matches: (name) => spellings(name).some((one) => expression.test(one)) };
}

function regexPattern(text: string, repository: string, source: string): NamePattern {
  const whole = new RegExp(`^${globOf(repository, text)}$`, 's');
  let tags: RegExp;
  try {
    tags = new RegExp(source);
  } catch (cause) {
    throw unfit(text, `${(cause as Error).message.replace(/^Invalid regular expression: /, '')}`, cause);
  }
  return {
    kind: 'names',
    text,
    matches: (name) =>
      spellings(name).some((one) => {
        const parts = split(one);
        return whole.test(parts.repository) && parts.tag !== undefined && tags.test(parts.tag);
      }),
  };
}

/** As docker shows it, and with its registry spelled out: either may be meant. */
export function spellings(name: string): readonly string[] {
  const parsed = parseReference(name);
  const whole = parsed && canonical(parsed);
  return whole === undefined || whole === name ? [name] : [name, whole];
}

/** A colon behind the last slash begins the tag; one before it a port. */
export function split(name: string): { readonly repository: string; readonly tag?: string } {
  const colon = name.indexOf(':', name.lastIndexOf('/') + 1);
  if (colon < 0) return { repository: name };
  return { repository: name.slice(0, colon), tag: name.slice(colon + 1) };
}

/** The source of an expression: `*` stands for any characters, slashes too, `?` for one, `[a-c]` and `[!a-c]` for one of them. */
function globOf(glob: string, text: string): string {
  let source = '';
  for (let at = 0; at < glob.length; at++) {
    const character = glob[at] as string;
    if (character === '*') source += '.*';
    else if (character === '?') source += '.';
    else if (character === '[') {
      const end = glob.indexOf(']', at + 2);
      // One that is not closed is itself, as shells have it.
      source += end < 0 ? '\\[' : classOf(glob.slice(at + 1, end), text);
      if (end >= 0) at = end;
    } else source += escapeRegex(character);
  }
  return source;
}

function classOf(inside: string, text: string): string {
  const not = /^[!^]/.test(inside);
  const set = `[${not ? '^' : ''}${(not ? inside.slice(1) : inside).replaceAll(/[\\[\]^]/g, '\\$&')}]`;
  try {
    new RegExp(set, 's');
  } catch (cause) {
    throw unfit(text, `[${inside}] is no range`, cause);
  }
  return set;
}

export function escapeRegex(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

function unfit(text: string, why: string, cause?: unknown): ImgmvError {
  const shown = text.length > 100 ? `${text.slice(0, 100)}…` : text;
  return new ImgmvError('usage', `${JSON.stringify(shown)} names no image: ${why}`, {
    cause,
    hint: 'expected name, name:tag, an id, team/*, *:1.*, name:1.0,1.1 or name:/REGEX/',
  });
}
