/**
 * Image references, as github.com/distribution/reference has them: `[domain/]path[:tag][@digest]`. Names
 * from the other side pass through here before an engine sees them (a containerd store takes bad ones).
 */
import { REFERENCE_MAX_BYTES } from '../../proto/limits.ts';
import { usage } from '../streams/errors.ts';

const DOMAIN_PART = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const DOMAIN = `(?:${DOMAIN_PART}(?:\\.${DOMAIN_PART})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const PATH_PART = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const REFERENCE = new RegExp(
  `^(?:(${DOMAIN})/)?(${PATH_PART}(?:/${PATH_PART})*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`,
);
/** Of the path; Docker before 25 has it of host and path together. */
const PATH_MAX_CHARACTERS = 255;

export interface Reference {
  /**
   * Registry host, `docker.io` where none was named. Empty where what stands before the first slash has a dot and can
   * be no host, as in `my.team_x/web`: docker takes that for a path, and for a name of no registry.
   */
  readonly domain: string;
  /** Repository, `library/` in front where docker.io has it so. */
  readonly path: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

/** Undefined where the text is no reference, or is too long. `name` alone gets no tag here: see `withDefaultTag`. */
export function parseReference(text: string): Reference | undefined {
  const reference = readReference(text);
  return reference && fits(reference) ? reference : undefined;
}

/** Whether it is a reference that only its length keeps from being moved: docker from 25 on has such. */
export function isTooLong(text: string): boolean {
  const reference = readReference(text);
  return reference !== undefined && !fits(reference);
}

/** Longer ones do not fit what hosts say to each other. */
function fits({ domain, path, tag }: Reference): boolean {
  const shown = `${domain === 'docker.io' ? '' : domain}/${path}:${tag ?? ''}`;
  return path.length <= PATH_MAX_CHARACTERS && shown.length <= REFERENCE_MAX_BYTES;
}

function readReference(text: string): Reference | undefined {
  // What stands before the first slash is a host only if it looks like one, or nobody could name `team/web`.
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const named = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  const match = REFERENCE.exec(named ? text : `docker.io/${text}`);
  const [, domain = '', path, tag, digest] = match ?? [];
  if (path === undefined) return undefined;
  if (!named && /^[0-9a-f]{64}$/.test(text)) return undefined;
  const official = (domain === 'docker.io' || domain === 'index.docker.io') && !path.includes('/');
  return {
    domain: domain === 'index.docker.io' ? 'docker.io' : domain,
    path: official ? `library/${path}` : path,
    tag,
    digest,
  };
}

/** As `docker run` has it: `name` is `name:latest`; with a digest no tag is assumed. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined
    ? { ...reference, tag: 'latest' }
    : reference;
}

/** Name and tag to give to an image, `what` names the option in the error. Throws usage. */
export function parseTarget(text: string, what: string): Reference {
  const reference = parseReference(text);
  if (!reference || reference.digest !== undefined)
    throw usage(`${what} ${JSON.stringify(text)} is not NAME or NAME:TAG`, {
      hint: 'for example registry.example/team/web:1.0',
    });
  return withDefaultTag(reference);
}

/** `docker.io/library/web:1.0`: what a containerd store wants. */
export function canonical(reference: Reference): string {
  return `${canonicalName(reference)}${suffix(reference)}`;
}

function canonicalName({ domain, path }: Pick<Reference, 'domain' | 'path'>): string {
  return domain === '' ? path : `${domain}/${path}`;
}

/** `web:1.0`: what docker shows. */
export function familiar(reference: Reference): string {
  return `${familiarName(reference)}${suffix(reference)}`;
}

/** `web`: the repository as docker shows it; whole where that would be read as another one. */
export function familiarName({ domain, path }: Reference): string {
  const whole = canonicalName({ domain, path });
  if (domain !== 'docker.io') return whole;
  const name = path.replace(/^library\/(?=[^/]+$)/, '');
  const read = parseReference(name);
  return read && canonical(read) === whole ? name : whole;
}

function suffix({ tag, digest }: Reference): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}
