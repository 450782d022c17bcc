/** An image of an archive, as its documents describe it: config, diffIDs and layers agree. archive.ts checks the bytes. */

import { counted } from '../../proto/counted.ts';
import { NAMES_PER_IMAGE_MAX, REFERENCE_MAX_BYTES } from '../../proto/limits.ts';
import type { Digest, Image, LayerBlob, Platform } from '../model/image.ts';
import { familiar, parseReference, withDefaultTag } from '../model/reference.ts';
import type { MetadataBlob } from '../oci/graph.ts';
import { CONFIG_TYPE, type Config } from '../oci/metadata.ts';
import { integrity } from '../streams/errors.ts';
import type { Contents, StoredFile } from './contents.ts';
import { METADATA_READ_MAX_BYTES } from './limits.ts';

export interface ArchivedImage {
  /** Its names are all that the archive gives to it. */
  readonly image: Image;
  /** What it is called besides by those who do not give full names: `1.0`. */
  readonly labels: readonly string[];
  /** Each behind what it points to. */
  readonly metadata: readonly MetadataBlob[];
  readonly layers: ReadonlyMap<Digest, StoredLayer>;
  readonly claims: readonly LayerClaim[];
}

export interface StoredLayer extends LayerBlob {
  readonly file: string;
  /** The file is compressed, and the layer is what is in it: its size is known when it has been read. */
  readonly inflate: boolean;
}

export interface LayerClaim {
  readonly file: string;
  /** Of the file as it is, where the archive says it. */
  readonly stored?: Digest;
  /** Of what is in it, where the config names it: of the layer at this place, from 0. */
  readonly diffId?: { readonly digest: Digest; readonly at: number } | undefined;
}

/** The bytes of a file that has to be metadata. Throws integrity where it is none, or is too large to be any. */
export function metadataBytes({ bytes, size }: StoredFile, name: string): Buffer {
  if (bytes !== undefined) return bytes;
  throw integrity(
    `${JSON.stringify(name)} should be metadata, but is ${counted(size, 'byte')} of something else`,
  );
}

/** The bytes of a document. Throws integrity where there is none, and `without` says what the archive is then. */
export function documentIn({ files }: Contents, name: string, without = ''): Buffer {
  const file = files.get(name);
  if (!file) throw integrity(`it holds no ${name}${without}`);
  return metadataBytes(file, name);
}

/** What the images of one archive read: few bytes may be named so often that reading them would take hours. */
export class MetadataReading {
  #bytes = 0;

  /** Throws integrity once there is too much of it. The whole archive is refused then. */
  requireWithin(): void {
    if (this.#bytes > METADATA_READ_MAX_BYTES)
      throw integrity(
        `its images have more than ${METADATA_READ_MAX_BYTES} bytes of metadata, counting what they share for each of them`,
      );
  }

  /** The bytes of metadata that are to be read now. Throws integrity where it becomes too much, or is none. */
  of(file: StoredFile, name: string): Buffer {
    const bytes = metadataBytes(file, name);
    this.#bytes += bytes.length;
    this.requireWithin();
    return bytes;
  }
}

export function platformOf({ os, architecture, variant }: Config): Platform {
  return { os, architecture, variant: variant || undefined };
}

/** Layers of a classic store, and what they come to. */
export function sizesOf(layers: ReadonlyMap<Digest, StoredLayer>): Pick<Image, 'layers' | 'bytes'> {
  const all = [...layers.values()].map(({ digest, size }) => ({ digest, size }));
  return { layers: all, bytes: all.reduce((sum, { size }) => sum + size, 0) };
}

/** The image of a classic store whose config this is; without a name. */
export function classicImage(
  { id, bytes, config }: { readonly id: Digest; readonly bytes: Buffer; readonly config: Config },
  layers: ReadonlyMap<Digest, StoredLayer>,
  claims: readonly LayerClaim[],
): ArchivedImage {
  return {
    image: {
      id,
      root: { mediaType: CONFIG_TYPE, digest: id, size: bytes.length },
      store: 'classic',
      platform: platformOf(config),
      names: [],
      diffIds: config.rootfs.diff_ids,
      config: id,
      ...sizesOf(layers),
    },
    labels: [],
    metadata: [{ kind: 'config', digest: id, bytes }],
    layers,
    claims,
  };
}

/**
 * As docker shows it; `warnings` get the name of a digest, as `ctr images export` writes it, which no engine lets
 * anybody set. Throws integrity for what no engine should see.
 */
export function archivedName(text: string, warnings: string[]): readonly string[] {
  const parsed = parseReference(text);
  if (!parsed || parsed.path === 'library/sha256' || text.length > REFERENCE_MAX_BYTES)
    throw integrity(
      `an image has the name ${JSON.stringify(text.slice(0, REFERENCE_MAX_BYTES))}, which is not valid`,
    );
  if (parsed.digest === undefined) return [familiar(withDefaultTag(parsed))];
  warnings.push(
    `${JSON.stringify(text)} is a name with a digest, which no engine can set: the image arrives without it`,
  );
  return [];
}

export function named(image: Image, names: Iterable<string>): Image {
  const all = [...new Set(names)];
  if (all.length > NAMES_PER_IMAGE_MAX)
    throw integrity(`an image has ${counted(all.length, 'name')}, more than ${NAMES_PER_IMAGE_MAX}`);
  return { ...image, names: all.map((name) => ({ source: name, target: name })) };
}
