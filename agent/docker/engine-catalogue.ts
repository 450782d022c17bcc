/** An engine as a place to choose images from. */

import { ImgmvError } from '../../proto/errors.ts';
import { REFERENCE_MAX_BYTES, TEXT_MAX_CHARACTERS } from '../../proto/limits.ts';
import type { Catalogue, Chosen, Listed } from '../model/catalogue.ts';
import type { Digest } from '../model/image.ts';
import { familiar, isTooLong, parseReference, withDefaultTag } from '../model/reference.ts';
import { usage } from '../streams/errors.ts';
import type { Engine } from './engine.ts';
import { isPrivateName } from './helpers.ts';

export class EngineCatalogue implements Catalogue {
  readonly place = 'on this host';
  readonly #engine: Engine;
  #listed: Promise<readonly Listed[]> | undefined;
  /** With those on which others were built, and which have no name any more. */
  #known: Promise<readonly Listed[]> | undefined;

  readonly #warn: (message: string) => void;

  /** Calls `warn` for each name that is too long to be moved. */
  constructor(engine: Engine, warn: (message: string) => void) {
    this.#engine = engine;
    this.#warn = warn;
  }

  /** Asked once. Newest first, as docker has it; of one age, which an engine gives in any order, by name. */
  list(): Promise<readonly Listed[]> {
    this.#listed ??= this.#list(false);
    return this.#listed;
  }

  async facts(ids: readonly Digest[]): Promise<ReadonlyMap<Digest, Listed>> {
    const listed = new Map((await this.list()).map((image) => [image.id, image]));
    if (ids.every((id) => listed.has(id))) return listed;
    this.#known ??= this.#list(true);
    return new Map((await this.#known).map((image) => [image.id, image]));
  }

  async #list(all: boolean): Promise<readonly Listed[]> {
    const images = new Map<Digest, Listed>();
    for (const { Id, RepoTags, RepoDigests, Labels, Created, Size } of await this.#engine.list({ all })) {
      const tags = (RepoTags ?? []).filter((tag) => tag !== '<none>:<none>');
      const names = tags.filter((tag) => isTagName(tag) && !isPrivateName(tag));
      if (!all) for (const tag of tags) if (isTooLong(tag)) this.#warn(tooLong(tag));
      // What an interrupted run has kept is nobody's image.
      if (!all && tags.length > 0 && tags.every(isPrivateName)) continue;
      const digests = (RepoDigests ?? []).filter((digest) => !digest.startsWith('<none>@'));
      const known = images.get(Id);
      images.set(Id, {
        id: Id,
        names: [...(known?.names ?? []), ...names],
        dangling: known?.dangling !== false && tags.length + digests.length === 0,
        labels: Labels ?? {},
        created: new Date(Created * 1000),
        bytes: Size,
      });
    }
    return [...images.values()].sort(newestFirst);
  }

  async find(reference: string): Promise<readonly Chosen[]> {
    const parsed = parseReference(reference);
    if (isPrivateName(reference)) return [];
    if (isTooLong(reference)) throw usage(tooLong(reference), { about: 'long-name' });
    // What is neither a name nor an id, such as ../x, is nothing to make a request of.
    if (!parsed && !/^(sha256:)?[0-9a-f]{1,64}$/.test(reference)) return [];
    const found = await this.#engine.inspect(reference);
    if (found === undefined) return [];
    const name = parsed && familiar(withDefaultTag(parsed));
    // An image that was chosen by id or digest has no name of its own on the way.
    const byName = name !== undefined && isTagName(name) && (found.RepoTags ?? []).includes(name);
    return [{ id: found.Id, names: byName ? [name] : [] }];
  }

  /** Where the name that a container was started with is another image's now, the image has the names that it has. */
  async running(): Promise<readonly Chosen[]> {
    const containers = await this.#engine.containers();
    const byId = new Map((await this.list()).map((image) => [image.id, image]));
    const chosen: Chosen[] = [];
    for (const { Image, ImageID, Names } of containers) {
      const id = byId.has(ImageID as Digest)
        ? (ImageID as Digest)
        : (await this.#engine.inspect(ImageID))?.Id;
      if (id === undefined)
        throw new ImgmvError(
          'image-not-found',
          `the container ${Names[0]?.replace(/^\//, '') ?? ''} runs ${Image}, whose image no longer exists`,
          { hint: 'name the images to move, or stop that container' },
        );
      const names = byId.get(id)?.names ?? [];
      const parsed = parseReference(Image);
      const started = parsed && familiar(withDefaultTag(parsed));
      chosen.push({ id, names: started !== undefined && names.includes(started) ? [started] : names });
    }
    return chosen;
  }
}

/** A containerd store counts `web@sha256:…`, which an image has that was pulled by its digest, to the tags. */
function isTagName(name: string): boolean {
  const parsed = parseReference(name);
  return parsed?.tag !== undefined && parsed.digest === undefined;
}

function tooLong(name: string): string {
  const begin = JSON.stringify(name.slice(0, TEXT_MAX_CHARACTERS / 8));
  return `the name that begins ${begin} has ${name.length} characters, and is not moved: imgmv takes up to ${REFERENCE_MAX_BYTES}, 255 of them behind the registry and before the tag`;
}

function newestFirst(one: Listed, other: Listed): number {
  return (
    other.created.getTime() - one.created.getTime() ||
    Number(one.names.length === 0) - Number(other.names.length === 0) ||
    compared(one.names[0] ?? one.id, other.names[0] ?? other.id)
  );
}

/** By code units: the same on every host, whatever its language. */
function compared(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
