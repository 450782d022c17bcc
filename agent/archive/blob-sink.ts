/** Files as a sink: takes images as they are, each layer once, and keeps their ids whatever store they come from. */
import { Stopwatch } from '../../proto/stopwatch.ts';
import { bytesToCome, type Digest, type Image, type Name } from '../model/image.ts';
import { NameClaims } from '../model/name-claims.ts';
import { shownName } from '../model/plan.ts';
import {
  ALL_PUSHABLE,
  type Answer,
  KEEPS_NOTHING,
  type Planned,
  type PlannedName,
  presentWriter,
  refused,
  type SetName,
  type Sink,
  type SinkFacts,
} from '../model/sink.ts';
import type { Waits } from '../model/source.ts';
import type { BlobStore } from './blob-store.ts';
import { BlobWriter } from './blob-writer.ts';

export interface BlobSinkOptions {
  /** Refuse what would take a name from another image. */
  readonly noReplace: boolean;
  /** Take images for which there seems to be no room. */
  readonly ignoreSpace: boolean;
}

export class BlobSink implements Sink {
  readonly facts: SinkFacts;
  readonly #store: BlobStore;
  readonly #options: BlobSinkOptions;
  readonly #claims = new NameClaims();
  readonly #writing = new Stopwatch();
  #images = 0;

  /** Closes `store` when it is disposed of. */
  constructor(store: BlobStore, options: BlobSinkOptions) {
    this.facts = { store: undefined, atomic: store.atomic };
    this.#store = store;
    this.#options = options;
  }

  async plan(images: readonly Image[]): Promise<readonly Planned[]> {
    await this.#store.check(images.flatMap((image) => this.#leansOn(image)));
    const room = this.#options.ignoreSpace ? undefined : await this.#store.room();
    let freeBytes = room?.freeBytes ?? Number.POSITIVE_INFINITY;
    const clashing = this.#claims.clashes(images);
    const coming = new Set<Digest>();
    let others = 0;
    return images.map((image, at): Planned => {
      const refs = image.names.map((name) => ({ ...name, replaces: this.#holder(name, image) }));
      const reason = clashing[at] ?? this.#replacing(refs) ?? this.#store.refusal(image, others);
      if (reason !== undefined) return refused({ image, action: 'refuse', reason, refs });
      const present = this.#there(image) !== undefined;
      const missing = image.layers
        ?.map(({ digest }) => digest)
        .filter((digest) => this.#store.sizeOf(digest) === undefined && !coming.has(digest));
      const bytes = present ? 0 : bytesToCome(image, missing);
      if (bytes > freeBytes)
        return refused({ image, action: 'refuse', reason: noRoom(bytes, room?.path ?? '', freeBytes), refs });
      freeBytes -= bytes;
      others++;
      if (present) return this.#present({ image, action: 'present', refs });
      for (const digest of missing ?? []) coming.add(digest);
      return this.#sent({ image, action: 'send', refs, missing });
    });
  }

  /** Why no name may be taken from another image. */
  #replacing(refs: readonly PlannedName[]): string | undefined {
    const taken = this.#options.noReplace && refs.find(({ replaces }) => replaces !== undefined);
    return taken ? `${taken.target} is ${taken.replaces} here, and --no-replace was given` : undefined;
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

  #present(answer: Answer): Planned {
    const { image } = answer;
    const commit = async () => {
      const refs = this.#refsOf(image);
      await this.#store.name(this.#there(image) ?? image, image.names);
      return { targetId: image.id, refs, pushable: ALL_PUSHABLE, push: undefined };
    };
    return { answer, open: async () => presentWriter(commit) };
  }

  #sent(answer: Answer): Planned {
    const { image } = answer;
    return {
      answer,
      open: async (signal) => {
        const writer = new BlobWriter(this.#store, answer, this.#writing, signal);
        const commit = async () => {
          const refs = this.#refsOf(image);
          const end = await writer.commit();
          if ('missing' in end) return end;
          this.#images++;
          return { ...end, refs, pushable: ALL_PUSHABLE, push: undefined };
        };
        return { ...KEEPS_NOTHING, write: (blob) => writer.write(blob), commit };
      },
    };
  }

  #refsOf(image: Image): readonly SetName[] {
    return image.names.map((name) => ({ ...name, replaced: this.#holder(name, image) }));
  }

  async retrying(): Promise<void> {}

  /** Of nothing there is no file. */
  async finish(): Promise<void> {
    if (this.#images > 0) await this.#store.finish();
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
  return `it needs ${megabytes(needed)} under ${path}, and ${megabytes(freeBytes)} are free; --ignore-space tries anyway`;
}
