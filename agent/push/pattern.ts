/**
 * Patterns that say where images may be pushed to: `registry.example/team/*`. The registry is spelled out and never a
 * pattern, since a push uses this host's credentials and goes where this host can reach.
 */
import { ImgmvError } from '../../proto/errors.ts';
import { Glob, isGlob } from '../choose/glob.ts';
import { PATTERN_MAX_CHARACTERS } from '../choose/limits.ts';
import { split } from '../choose/name-glob.ts';
import { parseReference, type Reference } from '../reference.ts';

const DOCKER_HUB = 'docker.io';

export class PushPattern {
  readonly text: string;
  readonly #domain: string;
  readonly #path: Glob;
  /** Undefined: any tag. */
  readonly #tag: Glob | undefined;

  /** `option` is named in the error. Throws usage. */
  constructor(text: string, option: string) {
    const unfit = (why: string, cause?: unknown) =>
      new ImgmvError('usage', `${option} ${JSON.stringify(text.slice(0, 100))}: ${why}`, {
        cause,
        hint: `for example ${option} 'registry.example/team/*', or ${option} 'registry.example:5000/*:1.*'`,
      });
    if (text === '' || text.length > PATTERN_MAX_CHARACTERS)
      throw unfit(text === '' ? 'it is empty' : `it is longer than ${PATTERN_MAX_CHARACTERS} characters`);
    const { domain, path, tag } = partsOf(text);
    if (isGlob(domain)) throw unfit('the registry has to be spelled out, without * ? or [ ]');
    // What no image can be called would allow nothing, and is a typo.
    const sample = `${domain}/${path.replace(/\[[^\]]*\]|[*?]/g, 'x')}`;
    if (parseReference(sample)?.domain !== domain) throw unfit('no image can be called so');
    this.text = text;
    this.#domain = domain;
    try {
      this.#path = new Glob(path);
      this.#tag = tag === undefined ? undefined : new Glob(tag);
    } catch (cause) {
      throw unfit((cause as Error).message, cause);
    }
  }

  matches({ domain, path, tag = 'latest' }: Reference): boolean {
    if (domain !== this.#domain) return false;
    // Docker shows `library/web` of its Hub as `web`.
    const spellings = domain === DOCKER_HUB ? [path, path.replace(/^library\//, '')] : [path];
    const named = spellings.some((one) => this.#path.match(one) !== undefined);
    return named && (this.#tag === undefined || this.#tag.match(tag) !== undefined);
  }
}

/** As docker tells a registry from the first part of a path: it has a dot, a colon or a capital, or is `localhost`. */
function partsOf(text: string): { readonly domain: string; readonly path: string; readonly tag?: string } {
  const { repository, tag } = split(text);
  const slash = repository.indexOf('/');
  const first = slash < 0 ? '' : repository.slice(0, slash);
  const named = /[.:[A-Z]/.test(first) || first === 'localhost';
  const domain = !named || first === 'index.docker.io' ? DOCKER_HUB : first;
  const path = named ? repository.slice(slash + 1) : repository;
  return { domain, path, ...(tag !== undefined && { tag }) };
}
