/**
 * Patterns for the names that a session may set, and for those that may be pushed. A pattern is `[REGISTRY/]PATH[:TAG]`. The registry is the one that is
 * written, or docker.io, and nothing in a pattern stands for another one. In PATH and TAG `*`, `?` and `[a-c]` mean what
 * they mean in all our globs; without a TAG every tag is accepted.
 */
import { parseReference, type Reference } from '../model/reference.ts';
import { usage } from '../streams/errors.ts';
import { Glob, isGlob } from './glob.ts';
import { PATTERN_MAX_CHARACTERS } from './limits.ts';
import { split } from './name-glob.ts';

const HUB = 'docker.io';
const OFFICIAL = 'library/';
/** `[::1]` is an address, and `[a-c]` a set of characters. */
const ADDRESS = /^\[[0-9a-fA-F]*:[0-9a-fA-F:]*\]/;

export interface TargetPattern {
  /** Empty: of names of no registry. */
  readonly domain: string;
  /** Of the path behind the registry. */
  readonly path: Glob;
  /** Whether it begins with `library/`, which docker does not show. */
  readonly spelled: boolean;
  /** One of them has to match; undefined: every tag does. */
  readonly tags: readonly Glob[] | undefined;
}

/** `option` is named in the error. Throws usage for what no name can match. */
export function parseTargetPattern(text: string, option: string): TargetPattern {
  const unfit = (why: string, cause?: unknown) => {
    const shown = text.length > 100 ? `${text.slice(0, 100)}…` : text;
    return usage(`${option} ${JSON.stringify(shown)}: ${why}`, {
      cause,
      hint: `for example ${option} 'team/*', 'registry.example/team/*', 'web:1.*' or db:15,16`,
    });
  };
  if (text === '') throw unfit('it is empty');
  if (text.length > PATTERN_MAX_CHARACTERS)
    throw unfit(`it is longer than ${PATTERN_MAX_CHARACTERS} characters`);
  if (/:\/.*\/$/s.test(text)) throw unfit('it does not take a regular expression for the tag');
  const { domain, rest } = splitRegistry(text);
  if (isGlob(domain)) throw unfit(`${domain} is a registry, which has to be written out`);
  const { repository, tag } = split(rest);
  const tags = tag?.split(',');
  for (const one of tags ?? [undefined])
    if (!fitsSomeName(domain, repository, one)) throw unfit('no NAME or NAME:TAG matches it');
  try {
    return {
      domain,
      path: new Glob(repository),
      spelled: domain === HUB && repository.startsWith(OFFICIAL),
      tags: tags?.map((one) => new Glob(one)),
    };
  } catch (cause) {
    throw unfit((cause as Error).message, cause);
  }
}

/** As docker does it: what stands before the first slash is a registry only if it looks like one. */
function splitRegistry(text: string): { readonly domain: string; readonly rest: string } {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const bare = first.replace(ADDRESS, '');
  const named = bare !== first || /[.:]/.test(bare) || bare === 'localhost' || bare !== bare.toLowerCase();
  if (!named) return { domain: HUB, rest: text };
  // What can be no host is a part of the path, and the name is of no registry: see Reference.
  if (!isGlob(bare) && parseReference(`${first}/x`)?.domain === '') return { domain: '', rest: text };
  return { domain: first === `index.${HUB}` ? HUB : first, rest: text.slice(slash + 1) };
}

/** What a wildcard stands for is not known yet: the rest of the pattern has to be right. */
function fitsSomeName(domain: string, repository: string, tag: string | undefined): boolean {
  const sample = (glob: string) => glob.replaceAll(/\[[^\]]+\]|[*?]/g, 'x');
  const name = `${domain === '' ? '' : `${domain}/`}${sample(repository)}${tag === undefined ? '' : `:${sample(tag)}`}`;
  const parsed = parseReference(name);
  return parsed !== undefined && parsed.domain === domain && parsed.digest === undefined;
}

/** Whether the pattern is about `name`, which has a tag. How the name is spelled makes no difference. */
export function matchesTarget({ domain, path, spelled, tags }: TargetPattern, name: string): boolean {
  const reference = parseReference(name);
  if (reference?.tag === undefined || reference.digest !== undefined) return false;
  const { tag } = reference;
  return (
    reference.domain === domain &&
    path.match(spelled ? reference.path : shownPath(reference)) !== undefined &&
    (tags === undefined || tags.some((one) => one.match(tag) !== undefined))
  );
}

/** As docker shows it: no wildcard stands for `library/`, so `l*` is not about all official images. */
function shownPath({ domain, path }: Reference): string {
  return domain === HUB ? path.replace(/^library\/(?=[^/]+$)/, '') : path;
}
