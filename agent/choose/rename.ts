/** What images are to be called: rules that turn a name into another one, on either side of a move. */
import type { ImgmvError } from '../../proto/errors.ts';
import { canonical, familiar, familiarName, parseReference } from '../model/reference.ts';
import { usage } from '../streams/errors.ts';
import { PATTERN_MAX_CHARACTERS } from './limits.ts';
import { NameGlob, split } from './name-glob.ts';

/** `OLD=NEW`: what OLD matches is called NEW. */
export interface RetagRule {
  readonly text: string;
  /** The new name; undefined where the rule is not about this one. */
  apply(name: string): string | undefined;
  /** The registry of all names that it makes; undefined where that depends on the old name. */
  readonly registry: string | undefined;
}

export interface RenameOptions {
  /** The first that is about a name gives the new one. */
  readonly retag: readonly RetagRule[];
  /** For names that no rule is about: this registry, the project, and the last two parts of the path. */
  readonly registry?: string | undefined;
  readonly project?: string | undefined;
  /** The old names besides. */
  readonly keepNames: boolean;
}

const PATH_PARTS_KEPT = 2;

/**
 * `old.reg/*=new.reg/project/*`: each `*` of NEW is what the `*` at the same place in OLD stood for, slashes
 * included. Without a tag OLD is about all tags, and NEW keeps the one there was. Throws usage.
 */
export function parseRetag(text: string): RetagRule {
  if (text.length > PATTERN_MAX_CHARACTERS)
    throw unfit(`${text.slice(0, 100)}…`, `it is longer than ${PATTERN_MAX_CHARACTERS} characters`);
  const at = text.indexOf('=');
  const [old, fresh] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)];
  if (at < 0 || old === '' || fresh === '') throw unfit(text, 'it is not OLD=NEW');
  const holes = stars(old);
  if (stars(fresh) > holes) throw unfit(text, `NEW has more * than OLD`);
  // What stands for a * is known only later; what is written has to be right now, or it would be about nothing.
  for (const name of [old, fresh]) {
    const sample = parseReference(name.replaceAll('*', 'x'));
    if (!sample || sample.digest !== undefined)
      throw unfit(text, `${JSON.stringify(name)} is not NAME or NAME:TAG`);
  }
  const plain = holes === 0 ? parseReference(old) : undefined;
  const glob = new NameGlob(split(plain ? canonical(plain) : old));
  return {
    text,
    registry: registryOf(fresh),
    apply(name) {
      const found = glob.match(name);
      if (!found) return undefined;
      const holes = [...found];
      const filled = fresh.replaceAll('*', () => holes.shift() ?? '');
      const { tag } = split(name);
      return split(fresh).tag !== undefined || tag === undefined ? filled : `${filled}:${tag}`;
    },
  };
}

/** What stands for a `*` may have slashes, and so begin with a registry. */
function registryOf(fresh: string): string | undefined {
  const first = fresh.split('/')[0] ?? '';
  return first.includes('*') ? undefined : parseReference(fresh.replaceAll('*', 'x'))?.domain || undefined;
}

function stars(text: string): number {
  return text.split('*').length - 1;
}

function unfit(text: string, why: string): ImgmvError {
  return usage(`--retag ${JSON.stringify(text)}: ${why}`, {
    hint: 'for example --retag web=team/web, --retag web:1.0=web:2.0 or --retag "old.reg/*=new.reg/project/*"',
  });
}

/** A name that a rule has made of another one. */
export interface MadeName {
  readonly name: string;
  /** Of the rule, which spells it out; undefined where it comes from the other name. */
  readonly registry: string | undefined;
}

/** Familiar name with a tag to familiar names with a tag. */
export class Renaming {
  readonly #options: RenameOptions;
  readonly #used = new Set<RetagRule>();

  /** Throws usage for a registry or a project that no name can have. */
  constructor(options: RenameOptions) {
    const { registry, project } = options;
    if (project !== undefined && registry === undefined)
      throw usage('--project needs --registry', {
        hint: 'for example --registry registry.example:5000 --project team',
      });
    if (registry !== undefined) checkRegistry(registry, project);
    this.#options = options;
  }

  /** Whether names may come out as others than they went in. */
  get active(): boolean {
    return this.#options.retag.length > 0 || this.#options.registry !== undefined;
  }

  /** What may not be what was meant: rules that no name was called by so far. */
  warnings(): readonly string[] {
    return this.#options.retag
      .filter((rule) => !this.#used.has(rule))
      .map(({ text }) => `--retag ${text} renames nothing`);
  }

  get registries(): readonly string[] {
    const { registry, retag } = this.#options;
    const all = [...retag.map((rule) => rule.registry), registry && domainOf(registry)];
    return all.filter((one) => one !== undefined);
  }

  /** What an image that is called `name` is to be called. Throws usage where a rule makes no name of it. */
  apply(name: string): readonly string[] {
    const { keepNames } = this.#options;
    const fresh = this.made(name)?.name;
    if (fresh === undefined) return [name];
    return keepNames ? [...new Set([fresh, name])] : [fresh];
  }

  /** What the rules make of a name; undefined where none is about it. Throws as `apply`. */
  made(name: string): MadeName | undefined {
    for (const rule of this.#options.retag) {
      const fresh = rule.apply(name);
      if (fresh === undefined) continue;
      this.#used.add(rule);
      return { name: checked(fresh, name, `--retag ${JSON.stringify(rule.text)}`), registry: rule.registry };
    }
    const { registry, project } = this.#options;
    if (registry === undefined) return undefined;
    const { repository, tag = 'latest' } = split(name);
    const parts = pathOf(repository).split('/').slice(-PATH_PARTS_KEPT);
    const place = [registry, ...(project === undefined ? [] : [project]), ...parts].join('/');
    return { name: checked(`${place}:${tag}`, name, '--registry'), registry: domainOf(registry) };
  }
}

function domainOf(registry: string): string | undefined {
  return parseReference(`${registry}/x/x`)?.domain;
}

/** Without the registry, and without `library`, which docker does not show. */
function pathOf(repository: string): string {
  const { domain, path } = parseReference(repository) ?? { domain: '', path: repository };
  return domain === 'docker.io' ? path.replace(/^library\//, '') : path;
}

function checked(fresh: string, name: string, rule: string): string {
  const parsed = parseReference(fresh);
  if (parsed?.tag !== undefined && parsed.digest === undefined && familiarName(parsed) !== 'sha256')
    return familiar(parsed);
  throw usage(`${rule} turns ${name} into ${JSON.stringify(fresh)}, which is not a valid name`);
}

function checkRegistry(registry: string, project: string | undefined): void {
  // Two parts: what docker.io has with one only, it has under library/.
  const parsed = parseReference(`${registry}/x/x`);
  if (parsed?.path !== 'x/x')
    throw usage(`--registry ${JSON.stringify(registry)} is not HOST or HOST:PORT`, {
      hint: 'for example registry.example:5000; --project gives the path behind the host',
    });
  if (project !== undefined && parseReference(`${registry}/${project}/x`)?.path !== `${project}/x`)
    throw usage(`--project ${JSON.stringify(project)} cannot be a part of an image name`, {
      hint: 'it has lower-case letters and digits, single . _ - between them, and / between parts',
    });
}
