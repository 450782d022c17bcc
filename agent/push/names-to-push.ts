/** Where what was loaded is pushed to. */
import type { Name } from '../model/image.ts';
import { parseTarget } from '../model/reference.ts';

/**
 * The names that say so: not the old ones that are kept beside new ones, and not those of this host alone, where there
 * are others. In the order of `refs`, and at least one of them.
 */
export function namesToPush<T extends Name>(refs: readonly T[]): readonly T[] {
  const isNewNameOf = ({ source, target, offered }: Name, old: string) =>
    target !== old && (source === old || offered === old);
  const fresh = refs.filter(({ target }) => !refs.some((other) => isNewNameOf(other, target)));
  const candidates = fresh.length > 0 ? fresh : refs;
  const elsewhere = candidates.filter(({ target }) => namesRegistry(target));
  return elsewhere.length > 0 ? elsewhere : candidates;
}

/** `web:1.0` is a name of this host's alone: what docker would push it to is the library of Docker Hub. */
export function namesRegistry(target: string): boolean {
  const { domain, path } = parseTarget(target, 'the name to push');
  return domain !== '' && (domain !== 'docker.io' || !path.startsWith('library/'));
}
