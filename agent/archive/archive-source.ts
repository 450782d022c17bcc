/** Images of archives as a source: those that were chosen, their blobs out of the contents once more. */
import { createHash } from 'node:crypto';
import { ImgmvError } from '../../proto/errors.ts';
import { Stopwatch } from '../../proto/stopwatch.ts';
import { type Meant, unique } from '../choose/meant.ts';
import type { Answer, Blob, Digest, Image, Name, Source, Waits } from '../image.ts';
import type { ArchivedImage, StoredLayer } from './archived-image.ts';
import { inflated } from './compression.ts';
import type { Contents, ReadFile } from './contents.ts';
import { once } from './file-bytes.ts';

/** An archive that has been read and checked. */
export interface Archive extends AsyncDisposable {
  /** As it was given, for errors. */
  readonly label: string;
  readonly contents: Contents;
  readonly images: readonly ArchivedImage[];
}

/** Where an image is. */
interface Origin {
  readonly archive: Archive;
  readonly found: ArchivedImage;
}

export class ArchiveSource implements Source {
  readonly #archives: readonly Archive[];
  readonly #origins: ReadonlyMap<Image, Origin>;
  readonly #reading = new Stopwatch();

  /** Closes `archives` when it is disposed of. `meant` are all of their images, as they are called there, if left out. */
  constructor(archives: readonly Archive[], meant: readonly Meant[] = allOf(archives)) {
    this.#archives = archives;
    const origins = new Map<Digest, Origin>();
    for (const archive of archives)
      for (const found of archive.images)
        if (!origins.has(found.image.id)) origins.set(found.image.id, { archive, found });
    this.#origins = new Map(
      meant.map(({ id, names }) => {
        const origin = origins.get(id);
        if (!origin) throw new ImgmvError('internal', `image ${id} is in none of these archives`);
        return [{ ...origin.found.image, names }, origin];
      }),
    );
  }

  async images(): Promise<readonly Image[]> {
    return [...this.#origins.keys()];
  }

  async planned(answers: readonly Answer[]): Promise<readonly Answer[]> {
    return answers;
  }

  async *blobs(
    image: Image,
    wanted: readonly Digest[] | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Blob> {
    signal.throwIfAborted();
    const origin = this.#origins.get(image);
    if (!origin) throw new ImgmvError('internal', `image ${image.id} is not of this source`);
    const { archive, found } = origin;
    const some = wanted && new Set(wanted);
    const layers = [...found.layers.values()].filter(({ digest }) => some?.has(digest) !== false);
    const byFile = new Map(layers.map((layer) => [layer.file, layer]));
    for await (const file of archive.contents.read(new Set(byFile.keys()), signal))
      yield this.#layer(archive, byFile.get(file.name) as StoredLayer, file);
    for (const { kind, digest, bytes } of found.metadata)
      yield { kind, digest, size: bytes.length, body: once(bytes), verified: () => digest };
  }

  #layer({ contents, label }: Archive, layer: StoredLayer, { body }: ReadFile): Blob {
    const { digest, file, inflate, size } = layer;
    const compression = contents.files.get(file)?.compression ?? 'none';
    const bytes = inflate && compression !== 'none' ? inflated(compression, body) : body;
    return {
      kind: 'layer',
      digest,
      size,
      compressed: !inflate && compression !== 'none',
      body: unchanged(this.#reading.over(bytes), layer, label),
      verified: () => digest,
    };
  }

  async settled(): Promise<void> {}

  waits(): Waits {
    return { save: this.#reading.ms };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const archive of this.#archives) await archive[Symbol.asyncDispose]();
  }
}

function allOf(archives: readonly Archive[]): readonly Meant[] {
  const names = new Map<Digest, readonly Name[]>();
  for (const { image } of archives.flatMap(({ images }) => images))
    names.set(image.id, unique([...(names.get(image.id) ?? []), ...image.names]));
  return [...names].map(([id, all]) => ({ id, names: all }));
}

/** Somebody may have written to the file since it was checked. */
async function* unchanged(
  body: AsyncIterable<Buffer>,
  { digest, file, size }: StoredLayer,
  label: string,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    bytes += chunk.length;
    if (bytes > size) break;
    yield chunk;
  }
  if (bytes !== size || `sha256:${hash.digest('hex')}` !== digest)
    throw new ImgmvError('integrity', `${label} has changed since it was checked: ${JSON.stringify(file)}`);
}
