/** Podman's Docker-compatible API shows names in full, and takes a short one for whichever of `localhost/` and `docker.io/` it has. */
import { canonical, familiar, parseReference, withDefaultTag } from '../../model/reference.ts';

/** The name that means the same to podman as `name` to docker. An id, or a prefix of one, stays as it is. */
export function fullName(name: string): string {
  if (/^(sha256:)?[0-9a-f]+$/.test(name)) return name;
  const reference = parseReference(name);
  return reference ? canonical(withDefaultTag(reference)) : name;
}

/** What podman shows of an image, with the names as docker shows them: `web:1.0`, not `docker.io/library/web:1.0`. */
export function asDockerShows<T extends { readonly RepoTags: readonly string[] | null }>(image: T): T {
  return { ...image, RepoTags: image.RepoTags?.map(shortName) ?? null };
}

function shortName(name: string): string {
  const reference = parseReference(name);
  return reference ? familiar(reference) : name;
}
