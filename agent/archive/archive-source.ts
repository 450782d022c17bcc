/** Images of archives as a source: those that were chosen, their blobs out of the contents once more. */
import { createHash } from 'node:crypto';
import { ImgmvError } from '../../proto/errors.ts';
import { Stopwatch } from '../../proto/stopwatch.ts';
import type { Answer, Blob, Digest, Image, Source, Waits } from '../image.ts';
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

/** One image of an archive, with the names that it is to have. */
export interface ChosenImage {
  readonly archive: Archive;
  readonly found: ArchivedImage;
  readonly image: Image;
}

export class ArchiveSource implements Source {
  readonly #archives: readonly Archive[];
  readonly #chosen: ReadonlyMap<Image, ChosenImage>;
  readonly #reading = new Stopwatch();

  /** Closes `archives` when it is disposed of. */
  constructor(archives: readonly Archive[], chosen: readonly ChosenImage[]) {
    this.#archives = archives;
    this.#chosen = new Map(chosen.map((one) => [one.image, one]));
  }

  async images(): Promise<readonly Image[]> {
    return [...this.#chosen.keys()];
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
    const chosen = this.#chosen.get(image);
    if (!chosen) throw new ImgmvError('internal', `image ${image.id} is not of this source`);
    const { archive, found } = chosen;
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
