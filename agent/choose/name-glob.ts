/** Globs on names of images: of a repository, and of a tag or of all tags. */
import { canonical, familiar, parseReference } from '../model/reference.ts';
import { Glob } from './glob.ts';

export interface NameParts {
  readonly repository: string;
  readonly tag?: string;
}

/** A colon behind the last slash begins the tag; one before it a port. */
export function split(name: string): NameParts {
  const colon = name.indexOf(':', name.lastIndexOf('/') + 1);
  if (colon < 0) return { repository: name };
  return { repository: name.slice(0, colon), tag: name.slice(colon + 1) };
}

/** Names as docker shows them, unless the glob itself spells out where docker has its own from. */
export class RepositoryGlob {
  readonly #glob: Glob;
  readonly #ofHub: boolean;

  /** Throws RangeError for `[c-a]`. */
  constructor(text: string) {
    const whole = text.replace(/^index\.docker\.io\//, 'docker.io/').replace(/^library\//, 'docker.io/$&');
    this.#ofHub = whole.startsWith('docker.io/');
    this.#glob = new Glob(whole);
  }

  /** What each `*` stands for; undefined for a name that does not fit. */
  match(name: string): readonly string[] | undefined {
    for (const { repository } of this.#spellings(name).map(split)) {
      const holes = this.#glob.match(repository);
      if (holes) return holes;
    }
    return undefined;
  }

  #spellings(name: string): readonly string[] {
    const parsed = parseReference(name);
    if (!parsed) return [name];
    if (!this.#ofHub) return [familiar(parsed)];
    if (parsed.domain !== 'docker.io') return [];
    const whole = canonical(parsed);
    return [whole, whole.replace(/^docker\.io\/library\//, 'docker.io/')];
  }
}

export class NameGlob {
  readonly #repository: RepositoryGlob;
  readonly #tag: Glob | undefined;

  /** Throws RangeError for `[c-a]`. */
  constructor({ repository, tag }: NameParts) {
    this.#repository = new RepositoryGlob(repository);
    this.#tag = tag === undefined ? undefined : new Glob(tag);
  }

  /** What each `*` of the repository and of the tag stands for; undefined for a name that does not fit. */
  match(name: string): readonly string[] | undefined {
    const tag = this.#tag ? this.#tag.match(split(name).tag ?? '') : [];
    const repository = tag && this.#repository.match(name);
    return repository && [...repository, ...tag];
  }
}
