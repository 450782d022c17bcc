/** An engine as a source: images that were chosen there, their blobs out of `docker save`. */

import type { IncomingMessage } from 'node:http';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { Stopwatch } from '../../proto/stopwatch.ts';
import type { Chosen, Meant } from '../model/catalogue.ts';
import type { Blob, Digest, Image } from '../model/image.ts';
import type { Source, SourceImage, Waits } from '../model/source.ts';
import { ARCHITECTURE_UNSAID, OS_UNSAID } from '../oci/metadata.ts';
import { atOnce, LOOKUPS_AT_ONCE } from '../streams/at-once.ts';
import { integrity } from '../streams/errors.ts';
import { blobsOfSave } from './classic/save.ts';
import type { Engine, InspectedImage } from './engine.ts';
import type { ImageStore, Readable, Save } from './image-store.ts';
import { noRoom, type Room, roomOf } from './room.ts';
import { imageStoreOf } from './stores.ts';

export interface EngineSourceOptions {
  /** Each id once. */
  readonly meant: readonly Meant[];
  /** Save images for which there seems to be no room. */
  readonly ignoreSpace: boolean;
  /** Reads layers from the engine's store if it can; otherwise, or without this, by `docker save`. */
  readonly direct: boolean;
  /** Told which image is left out, and why. */
  readonly leftOut: (message: string) => void;
}

export class EngineSource implements Source {
  readonly #engine: Engine;
  readonly #meant: readonly Meant[];
  readonly #ignoreSpace: boolean;
  readonly #direct: boolean;
  readonly #leftOut: (message: string) => void;
  readonly #store: ImageStore;
  readonly #readable = new Map<Digest, Readable>();
  readonly #prepared = new Map<Digest, Promise<IncomingMessage | undefined>>();
  readonly #saving = new Stopwatch();
  #images: Promise<readonly SourceImage[]> | undefined;

  constructor(engine: Engine, { meant, ignoreSpace, direct, leftOut }: EngineSourceOptions) {
    this.#engine = engine;
    this.#store = imageStoreOf(engine);
    this.#meant = meant;
    this.#ignoreSpace = ignoreSpace;
    this.#direct = direct;
    this.#leftOut = leftOut;
  }

  /**
   * Looked up once. What has gone since it was chosen, or what the engine cannot describe, is left out; where that is
   * all, throws why: image-not-found, engine-refused or integrity.
   */
  images(): Promise<readonly SourceImage[]> {
    this.#images ??= this.#lookUpAll();
    return this.#images;
  }

  async #lookUpAll(): Promise<readonly SourceImage[]> {
    const found = await atOnce(LOOKUPS_AT_ONCE, this.#meant, (meant) =>
      this.#lookUp(meant).catch((error: unknown) => ofOneImage(error)),
    );
    const images = found.flatMap((one) => (one instanceof ImgmvError ? [] : one));
    const [first] = found;
    if (images.length === 0 && first instanceof ImgmvError) throw first;
    for (const [at, one] of found.entries())
      if (one instanceof ImgmvError) this.#leftOut(leftOutOf(nameOf(this.#meant[at]), one));
    const room = this.#ignoreSpace ? undefined : await roomOf(this.#engine);
    return images.map((image) => this.#given(image, room));
  }

  #given(image: Image, room: Room | undefined): SourceImage {
    const readable = this.#readable.get(image.id);
    const withheld = readable ? undefined : whyWithheld(image, this.#store, room);
    return {
      image: withheld === undefined ? image : { ...image, withheld },
      blobs: (wanted, signal) => this.#blobs(image, wanted, signal),
      prepare: (_wanted, signal) => this.#prepare(image, signal),
      readBy: () => readable?.readBy ?? image.readBy,
    };
  }

  async #lookUp({ id, names }: Meant): Promise<Image> {
    const image = await this.describe(id);
    if (image === undefined)
      throw new ImgmvError('image-not-found', `the image ${id} is no longer on this host`);
    return { ...image, names };
  }

  /** A save that was begun ahead in an earlier round, and was not asked for, is none that will be. */
  expect(): void {
    this.#giveUpPrepared();
  }

  async *#blobs(
    image: Image,
    wanted: readonly Digest[] | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Blob> {
    signal.throwIfAborted();
    const readable = this.#readable.get(image.id);
    if (!readable) return yield* this.#saved(image, wanted, signal, this.#saving);
    const named = <T>(parts: AsyncIterable<T>) => this.#withLossNamed(`read ${image.id}`, parts, signal);
    const save: Save = (layers, until) => this.#saved(image, layers, until, new Stopwatch());
    for await (const blob of named(readable.blobs(wanted, signal, save)))
      yield { ...blob, body: this.#saving.over(named(blob.body)) };
  }

  async *#saved(
    image: Image,
    wanted: readonly Digest[] | undefined,
    signal: AbortSignal,
    waited: Stopwatch,
  ): AsyncGenerator<Blob> {
    const named = <T>(parts: AsyncIterable<T>) => this.#withLossNamed(`save ${image.id}`, parts, signal);
    const prepared = this.#prepared.get(image.id);
    this.#prepared.delete(image.id);
    const stream = await waited.during((async () => (await prepared) ?? (await this.#save(image, signal)))());
    const blobs = blobsOfSave(stream, image, waited, wanted && new Set(wanted));
    for await (const blob of named(blobs)) yield { ...blob, body: named(blob.body) };
  }

  /** Throws image-not-found if the image has been removed meanwhile: 20.10 answers that with status 500. */
  async #save({ id }: Image, signal: AbortSignal): Promise<IncomingMessage> {
    try {
      return await this.#engine.save(id, signal);
    } catch (error) {
      if (toImgmvError(error).code !== 'engine-refused' || (await this.#engine.inspect(id))) throw error;
      throw new ImgmvError('image-not-found', `the image ${id} has been removed on this host meanwhile`, {
        cause: error,
      });
    }
  }

  /** As `describe`; undefined, too, for what the engine cannot describe, which is left out under its name. */
  async describeOrLeaveOut({ id, names }: Chosen): Promise<Image | undefined> {
    const found = await this.describe(id).catch((error: unknown) => ofOneImage(error));
    if (!(found instanceof ImgmvError)) return found;
    this.#leftOut(leftOutOf(names[0] ?? id, found));
    return undefined;
  }

  /**
   * What the engine tells of an image, without its names: as much of its layers as can be known without saving it.
   * Undefined where there is none of this id. Throws engine-refused, also for an image that is incomplete, and integrity
   * for what is no image.
   */
  async describe(id: Digest): Promise<Image | undefined> {
    const inspected = await this.#engine.inspect(id);
    if (inspected?.Id !== id) return undefined;
    requireImage(inspected);
    const { image, readable } = await this.#store.look(
      describe(inspected, this.#engine, this.#store),
      this.#direct,
    );
    if (readable) this.#readable.set(image.id, readable);
    return image;
  }

  /** An engine that goes away breaks the stream of blobs, or the body of the one that is being read. */
  async *#withLossNamed<T>(what: string, parts: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
    try {
      yield* parts;
    } catch (error) {
      signal.throwIfAborted();
      throw await this.#engine.lostBy(what, error);
    }
  }

  #prepare(image: Image, signal: AbortSignal): void {
    if (this.#readable.has(image.id) || this.#prepared.has(image.id)) return;
    const saving = this.#saveAhead(image, signal);
    // Whoever asks for the blobs gets to know.
    saving.catch(() => {});
    this.#prepared.set(image.id, saving);
  }

  /** Undefined where there is no room for it beside the image at hand. */
  async #saveAhead(image: Image, signal: AbortSignal): Promise<IncomingMessage | undefined> {
    const room = await roomOf(this.#engine);
    if (room && room.freeBytes < this.#store.spoolBytes(image)) return undefined;
    return this.#save(image, signal);
  }

  waits(): Waits {
    return { save: this.#saving.ms };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#giveUpPrepared();
    await this.#store[Symbol.asyncDispose]();
  }

  #giveUpPrepared(): void {
    for (const prepared of this.#prepared.values())
      prepared.then(
        (stream) => stream?.destroy(),
        () => {},
      );
    this.#prepared.clear();
  }
}

/** What the engine cannot save, or has no room for, where that can be known. */
function whyWithheld(image: Image, store: ImageStore, room: Room | undefined): string | undefined {
  const why = store.whyUnsavable(image);
  if (why !== undefined) return why;
  const needed = store.spoolBytes(image);
  return room && needed > room.freeBytes ? noRoom('saved', needed, room) : undefined;
}

/** The error, if it is about this one image. Rethrows any other: those end the run. */
function ofOneImage(error: unknown): ImgmvError {
  const failure = toImgmvError(error);
  if (!['image-not-found', 'engine-refused', 'integrity'].includes(failure.code)) throw failure;
  return failure;
}

function nameOf(meant: Meant | undefined): string {
  return meant?.names[0]?.source ?? meant?.id ?? '';
}

function leftOutOf(name: string, { message }: ImgmvError): string {
  return `${name} is left out: ${message}`;
}

/**
 * A containerd store also lists artifacts, and images that lack some of their blobs. It gives neither of them a platform.
 * Throws integrity for an artifact, engine-refused for an incomplete image.
 */
function requireImage({ Id, Os, Architecture, RootFS, Manifests = [] }: InspectedImage): void {
  if (Os || Architecture || RootFS?.Layers?.length) return;
  const images = Manifests.filter(({ Kind }) => Kind === 'image');
  if (images.some(({ Available }) => Available)) return;
  if (images.length > 0)
    throw new ImgmvError('engine-refused', `${Id} is incomplete: the engine lacks a part of the image`, {
      hint: 'pull or build it again on the source',
    });
  throw integrity(`${Id} is an artifact, such as a Helm chart, and not an image that can run`);
}

function describe(inspected: InspectedImage, engine: Engine, { rootType }: ImageStore): Image {
  const { Id, RootFS, Os, Architecture, Variant, Size, Descriptor } = inspected;
  return {
    id: Id,
    // 26 with a containerd store gives no descriptor; the sink finds out what the root is from its bytes.
    root: Descriptor ?? { mediaType: rootType, digest: Id, size: 0 },
    store: engine.info.store,
    platform: {
      os: Os || OS_UNSAID,
      architecture: Architecture || ARCHITECTURE_UNSAID,
      ...(Variant && { variant: Variant }),
    },
    names: [],
    diffIds: RootFS?.Layers ?? [],
    bytes: Size,
  };
}
