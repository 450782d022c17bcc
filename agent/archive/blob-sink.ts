/** Files as a sink: takes images as they are, each layer once, and keeps their ids whatever store they come from. */
import { ImgmvError } from '../../proto/errors.ts';
import { Stopwatch } from '../../proto/stopwatch.ts';
import {
  type Answer,
  bytesToCome,
  type Digest,
  type Image,
  type ImageWriter,
  type Name,
  type PlannedName,
  type SetName,
  type Sink,
  type Waits,
} from '../model/image.ts';
import { clashes, shownName } from '../model/plan.ts';
import type { BlobStore } from './blob-store.ts';
import { BlobWriter } from './blob-writer.ts';

export interface BlobSinkOptions {
  /** Refuse what would take a name from another image. */
  readonly noReplace: boolean;
  /** Take images for which there seems to be no room. */
  readonly ignoreSpace: boolean;
}

export class BlobSink implements Sink {
  readonly store = undefined;
  readonly #store: BlobStore;
  readonly #options: BlobSinkOptions;
  readonly #writing = new Stopwatch();
  /** Where images are there only at the end, and all at once. */
  readonly finish?: () => Promise<void>;
  #images = 0;

  /** Closes `store` when it is disposed of. */
  constructor(store: BlobStore, options: BlobSinkOptions) {
    this.#store = store;
    this.#options = options;
    if (!store.finish) return;
    this.finish = async () => {
      // Of nothing there is no file.
      if (this.#images > 0) await store.finish?.();
    };
  }

  async plan(images: readonly Image[]): Promise<readonly Answer[]> {
    await this.#store.check(images.flatMap((image) => this.#leansOn(image)));
    const room = this.#options.ignoreSpace ? undefined : await this.#store.room();
    let freeBytes = room?.freeBytes ?? Number.POSITIVE_INFINITY;
    const clashing = clashes(images);
    const coming = new Set<Digest>();
    let others = 0;
    return images.map((image): Answer => {
      const refs = image.names.map((name): PlannedName => {
        const holder = this.#holder(name, image);
        return { ...name, ...(holder && { replaces: holder }) };
      });
      const clash = clashing.get(image);
      const replaced = this.#options.noReplace && refs.find(({ replaces }) => replaces !== undefined);
      const refused =
        clash ??
        (replaced
          ? `${replaced.target} is ${replaced.replaces} here, and --no-replace was given`
          : this.#store.refusal(image, others));
      if (refused !== undefined) return { image, action: 'refuse', reason: refused, refs };
      const present = this.#there(image) !== undefined;
      const missing = image.layers
        ?.map(({ digest }) => digest)
        .filter((digest) => this.#store.sizeOf(digest) === undefined && !coming.has(digest));
      const bytes = present ? 0 : bytesToCome(image, missing);
      if (bytes > freeBytes)
        return { image, action: 'refuse', reason: noRoom(bytes, room?.path ?? '', freeBytes), refs };
      freeBytes -= bytes;
      others++;
      if (present) return { image, action: 'present', refs };
      for (const digest of missing ?? []) coming.add(digest);
      return { image, action: 'send', refs, ...(missing && { missing }) };
    });
  }

  /** All layers of an image that is there, and those which another one names. */
  #leansOn(image: Image): readonly Digest[] {
    return [image, this.#there(image)].flatMap((one) => one?.layers?.map(({ digest }) => digest) ?? []);
  }

  #there({ id }: Image): Image | undefined {
    return this.#store.there.find((one) => one.id === id);
  }

  /** The other image that has this name now. */
  #holder(name: Name, { id }: Image): Digest | undefined {
    const shown = shownName(name);
    const holder = this.#store.there.find(({ names }) => names.some((one) => shownName(one) === shown))?.id;
    return holder === id ? undefined : holder;
  }

  async writer(answer: Answer, signal: AbortSignal): Promise<ImageWriter> {
    const { image, action } = answer;
    const refs = (): SetName[] =>
      image.names.map((name) => {
        const holder = this.#holder(name, image);
        return { ...name, ...(holder && { replaced: holder }) };
      });
    if (action === 'present')
      return {
        write: () => Promise.reject(new ImgmvError('internal', 'a blob of an image that is present')),
        commit: async () => {
          const set = refs();
          await this.#store.name(this.#there(image) ?? image, image.names);
          return { targetId: image.id, refs: set };
        },
        loadedBytes: () => 0,
        keptBytes: () => 0,
        abort: async () => {},
      };
    const writer = new BlobWriter(this.#store, answer, this.#writing, signal);
    return {
      write: (blob) => writer.write(blob),
      commit: async () => {
        const gone = writer.gone();
        if (gone) return gone;
        const set = refs();
        const targetId = await writer.commit();
        this.#images++;
        return { targetId, refs: set };
      },
      loadedBytes: () => 0,
      keptBytes: () => 0,
      abort: async () => {},
    };
  }

  waits(): Waits {
    return { load: this.#writing.ms };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}

/** Why an image is refused that would not fit; sizes in bytes. */
export function noRoom(needed: number, path: string, freeBytes: number): string {
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
  return `it needs ${megabytes(needed)} under ${path}, and ${megabytes(freeBytes)} are free; --ignore-space tries all the same`;
}
