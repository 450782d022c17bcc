/** Archives as a place to choose images from. */
import * as v from 'valibot';
import type { Catalogue, Chosen, Listed } from '../model/catalogue.ts';
import type { Digest } from '../model/image.ts';
import { CONFIG_KEYS } from '../oci/image-keys.ts';
import { parseJson, unlessOdd } from '../oci/strict-json.ts';
import { integrity, usage } from '../streams/errors.ts';
import type { Archive } from './archive.ts';
import type { ArchivedImage } from './archived-image.ts';
import { callings, familiarly, type SetAside } from './described.ts';

const IDS_SHOWN_MAX = 10;
const PLACES_SHOWN_MAX = 3;

/** What a config says of its image beside what it is made of (OCI image spec, config.md); docker takes any. */
const told = v.object({
  created: unlessOdd(v.pipe(v.string(), v.isoTimestamp())),
  config: unlessOdd(v.object({ Labels: unlessOdd(v.record(v.string(), v.string())) })),
});

export class ArchiveCatalogue implements Catalogue {
  readonly place: string;
  readonly hint: string;
  readonly #images: readonly ArchivedImage[];
  readonly #setAside: readonly SetAside[];

  constructor(archives: readonly Archive[]) {
    this.#images = archives.flatMap(({ images }) => images);
    this.#setAside = archives.flatMap(({ setAside }) => setAside);
    const labels = archives.map(({ label }) => label);
    const more = labels.length - PLACES_SHOWN_MAX;
    this.place = `in ${labels.slice(0, PLACES_SHOWN_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
    const there = this.#images.flatMap(({ image }) =>
      image.names.length > 0 ? namesOf(image) : [image.id.slice(7, 19)],
    );
    this.hint = `there are ${there.slice(0, IDS_SHOWN_MAX).join(', ') || 'none'}${there.length > IDS_SHOWN_MAX ? ', …' : ''}`;
  }

  async list(): Promise<readonly Listed[]> {
    const listed = new Map<Digest, Listed>();
    for (const found of this.#images) {
      const { id, bytes } = found.image;
      const names = [...new Set([...(listed.get(id)?.names ?? []), ...namesOf(found.image)])];
      listed.set(id, { id, names, dangling: names.length === 0, bytes, ...toldBy(found) });
    }
    return [...listed.values()];
  }

  async facts(): Promise<ReadonlyMap<Digest, Listed>> {
    return new Map((await this.list()).map((image) => [image.id, image]));
  }

  /**
   * A name before what an archive calls an image besides, and both before the beginning of an id. Throws usage for the
   * beginning of several, integrity for what the archive calls so and was set aside.
   */
  async find(reference: string): Promise<readonly Chosen[]> {
    const name = familiarly(reference);
    const byName = this.#images.filter(({ image }) => image.names.some(({ target }) => target === name));
    if (byName.length > 0) return byName.map(({ image }) => ({ id: image.id, names: [name] }));
    const byLabel = this.#images.filter(({ labels }) => labels.includes(reference));
    if (byLabel.length > 0) return byLabel.map(({ image }) => ({ id: image.id, names: namesOf(image) }));
    const byId = this.#byId(reference);
    const aside = this.#setAside.find((one) => callings(one).includes(name));
    if (byId.length === 0 && aside)
      throw integrity(`${reference} ${this.place} is not an image to move: ${aside.why.message}`, {
        cause: aside.why,
      });
    return byId;
  }

  #byId(reference: string): readonly Chosen[] {
    const hex = reference.replace(/^sha256:/, '');
    if (!/^[0-9a-f]{4,64}$/.test(hex)) return [];
    const begins = (id: Digest | undefined) => id?.startsWith(`sha256:${hex}`) === true;
    const byId = this.#images.filter(({ image }) => begins(image.id));
    const found = byId.length > 0 ? byId : this.#images.filter(({ image }) => begins(image.config));
    const ids = [...new Set(found.map(({ image }) => image.id))];
    if (ids.length > 1)
      throw usage(`${reference} is the beginning of ${ids.length} ids`, {
        hint: `more digits tell them apart: ${ids.slice(0, IDS_SHOWN_MAX).join(', ')}`,
      });
    return ids.map((id) => ({ id, names: [] }));
  }
}

function namesOf({ names }: ArchivedImage['image']): readonly string[] {
  return names.map(({ target }) => target);
}

/** An image that does not say when it was made is taken for as old as can be. */
function toldBy({ image, metadata }: ArchivedImage): Pick<Listed, 'created' | 'labels'> {
  const bytes = metadata.find(({ kind, digest }) => kind === 'config' && digest === image.config)?.bytes;
  const { created, config } = bytes ? parseJson(told, bytes, 'a config', CONFIG_KEYS) : {};
  return { created: new Date(created ?? 0), labels: config?.Labels ?? {} };
}
