/** Images of archives as a source: those that were chosen, their blobs out of the contents once more. */
import { ImgmvError } from '../../proto/errors.ts';
import { Stopwatch } from '../../proto/stopwatch.ts';
import { unique } from '../choose/meant.ts';
import type { Meant } from '../model/catalogue.ts';
import type { Blob, Digest, Name } from '../model/image.ts';
import type { Source, SourceImage, Waits, Wanted } from '../model/source.ts';
import { inflated } from '../streams/compression.ts';
import { integrity } from '../streams/errors.ts';
import { once } from '../streams/file-bytes.ts';
import { verify } from '../streams/verify.ts';
import type { Archive } from './archive.ts';
import type { ArchivedImage, StoredLayer } from './archived-image.ts';
import type { Contents, ReadFile } from './contents.ts';

export interface Origin {
  readonly archive: Archive;
  readonly found: ArchivedImage;
}

export class ArchiveSource implements Source {
  readonly #archives: readonly Archive[];
  readonly #origins: ReadonlyMap<Digest, Origin>;
  readonly #images: readonly SourceImage[];
  readonly #reading = new Stopwatch();

  /** Closes `archives` when it is disposed of. The images have been checked. */
  constructor(archives: readonly Archive[], meant: readonly Meant[]) {
    this.#archives = archives;
    const origins = originsOf(archives);
    this.#origins = new Map(meant.map(({ id }) => [id, checkedOrigin(id, origins.get(id))]));
    this.#images = meant.map(({ id, names }) => {
      const origin = this.#origins.get(id) as Origin;
      return {
        image: { ...origin.found.image, names },
        blobs: (wanted, signal) => this.#blobs(origin, wanted, signal),
        prepare: () => {},
        readBy: () => undefined,
      };
    });
  }

  async images(): Promise<readonly SourceImage[]> {
    return this.#images;
  }

  expect(wanted: readonly Wanted[]): void {
    const times = new Map<Contents, Map<string, number>>();
    for (const { from, layers } of wanted) {
      const origin = this.#origins.get(from.image.id) as Origin;
      const { contents } = origin.archive;
      const ofContents = times.get(contents) ?? new Map<string, number>();
      times.set(contents, ofContents);
      for (const { file } of layersOf(origin, layers)) ofContents.set(file, (ofContents.get(file) ?? 0) + 1);
    }
    for (const [contents, ofContents] of times) contents.willRead?.(ofContents);
  }

  async *#blobs(origin: Origin, wanted: Wanted['layers'], signal: AbortSignal): AsyncGenerator<Blob> {
    signal.throwIfAborted();
    const { archive, found } = origin;
    const byFile = new Map(layersOf(origin, wanted).map((layer) => [layer.file, layer]));
    for await (const file of archive.contents.read(new Set(byFile.keys()), signal))
      yield this.#layer(archive, byFile.get(file.name) as StoredLayer, file);
    for (const { kind, digest, bytes } of found.metadata)
      yield { kind, digest, size: bytes.length, body: once(bytes), verified: () => digest };
  }

  #layer({ contents, label }: Archive, layer: StoredLayer, { body }: ReadFile): Blob {
    const { digest, file, inflate, size } = layer;
    const compression = contents.files.get(file)?.compression ?? 'none';
    const bytes = inflate && compression !== 'none' ? inflated(compression, body) : body;
    // Somebody may have written to the file since it was checked.
    const differs = () => integrity(`${label} has changed since it was checked: ${JSON.stringify(file)}`);
    return {
      kind: 'layer',
      digest,
      size,
      compressed: !inflate && compression !== 'none',
      body: verify(this.#reading.over(bytes), layer, differs),
      verified: () => digest,
    };
  }

  waits(): Waits {
    return { save: this.#reading.ms };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const archive of this.#archives) await archive[Symbol.asyncDispose]();
  }
}

function checkedOrigin(id: Digest, origin: Origin | undefined): Origin {
  const found = origin?.archive.checked(origin.found);
  if (!origin || !found) throw new ImgmvError('internal', `image ${id} has not been checked`);
  return { archive: origin.archive, found };
}

function layersOf({ found }: Origin, wanted: Wanted['layers']): readonly StoredLayer[] {
  const some = wanted && new Set(wanted);
  return [...found.layers.values()].filter(({ digest }) => some?.has(digest) !== false);
}

/** By their ids: an image comes from the first archive that has it. */
export function originsOf(archives: readonly Archive[]): ReadonlyMap<Digest, Origin> {
  const origins = new Map<Digest, Origin>();
  for (const archive of archives)
    for (const found of archive.images)
      if (!origins.has(found.image.id)) origins.set(found.image.id, { archive, found });
  return origins;
}

/** Reads and checks the layers of these images, each where it would come from. */
export async function checkImages(
  archives: readonly Archive[],
  ids: readonly Digest[],
  signal: AbortSignal,
): Promise<void> {
  const origins = originsOf(archives);
  const wanted = ids.flatMap((id) => origins.get(id) ?? []);
  for (const archive of archives) {
    const found = wanted.filter((origin) => origin.archive === archive).map((origin) => origin.found);
    if (found.length > 0) await archive.check(found, signal);
  }
}

export function allOf(archives: readonly Archive[]): readonly Meant[] {
  const names = new Map<Digest, readonly Name[]>();
  for (const { image } of archives.flatMap(({ images }) => images))
    names.set(image.id, unique([...(names.get(image.id) ?? []), ...image.names]));
  return [...names].map(([id, all]) => ({ id, names: all }));
}
