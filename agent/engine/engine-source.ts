/** An engine as a source: images chosen by name or id, their blobs out of `docker save`. */
import type { IncomingMessage } from 'node:http';
import { distance } from 'fastest-levenshtein';
import { ImgmvError } from '../../proto/errors.ts';
import { Stopwatch } from '../../proto/stopwatch.ts';
import type { Answer, Blob, Digest, Image, LayerBlob, Name, Source, Waits } from '../image.ts';
import { familiar, parseReference, withDefaultTag } from '../reference.ts';
import type { Engine, InspectedImage } from './engine.ts';
import { isPrivateName } from './helpers.ts';
import { noRoom, roomOf } from './room.ts';
import { blobsOfSave } from './save.ts';
import { StoredImage } from './stored-image.ts';

/** One image that the user asked for. */
export interface Choice {
  /** What docker takes: name, name:tag, name@digest, id or prefix. */
  readonly reference: string;
  /** Name to give it at the target, familiar and with a tag; its own where absent. */
  readonly as?: string;
}

export interface EngineSourceOptions {
  readonly choices: readonly Choice[];
  /** Save images for which there seems to be no room. */
  readonly ignoreSpace: boolean;
}

const CLOSE_NAMES_MAX = 3;

export class EngineSource implements Source {
  readonly #engine: Engine;
  readonly #choices: readonly Choice[];
  readonly #ignoreSpace: boolean;
  /** All blobs of a containerd store, as of the first look. */
  #held: Promise<ReadonlySet<Digest>> | undefined;
  /** Those images whose blobs can be read one by one. */
  readonly #stored = new Map<Digest, StoredImage>();
  /** Saves that were begun ahead. */
  readonly #prepared = new Map<Digest, Promise<IncomingMessage | undefined>>();
  readonly #saving = new Stopwatch();
  #images: Promise<readonly Image[]> | undefined;

  constructor(engine: Engine, { choices, ignoreSpace }: EngineSourceOptions) {
    this.#engine = engine;
    this.#choices = choices;
    this.#ignoreSpace = ignoreSpace;
  }

  /** Looked up once. Throws image-not-found, naming all that are missing and what comes close. */
  images(): Promise<readonly Image[]> {
    this.#images ??= this.#lookUp();
    return this.#images;
  }

  async #lookUp(): Promise<readonly Image[]> {
    const images = new Map<string, Image>();
    const missing: string[] = [];
    for (const choice of this.#choices) {
      const inspected = await this.#engine.inspect(choice.reference);
      if (inspected === undefined) {
        missing.push(choice.reference);
        continue;
      }
      const image = images.get(inspected.Id) ?? (await this.#describe(inspected));
      const name = nameOf(choice, inspected);
      const known = name === undefined || image.names.some(({ target }) => target === name.target);
      images.set(inspected.Id, known ? image : { ...image, names: [...image.names, name] });
    }
    if (missing.length > 0) throw await this.#notFound(missing);
    return [...images.values()];
  }

  /** Withdraws what there is no room for while it is saved, where that can be known. */
  async planned(answers: readonly Answer[]): Promise<readonly Answer[]> {
    this.#giveUpPrepared();
    const room = this.#ignoreSpace ? undefined : await roomOf(this.#engine);
    return answers.map((answer) => {
      const needed = this.#spoolBytes(answer.image);
      if (!room || answer.action !== 'send' || needed <= room.freeBytes) return answer;
      return { ...answer, action: 'refuse', withdrawn: true, reason: noRoom('saved', needed, room) };
    });
  }

  /** A classic engine writes all of an image to disk before it gives the first byte of it. */
  #spoolBytes(image: Image): number {
    return image.store === 'classic' ? image.bytes : 0;
  }

  async *blobs(
    image: Image,
    wanted: readonly Digest[] | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Blob> {
    signal.throwIfAborted();
    const stored = this.#stored.get(image.id);
    const named = <T>(parts: AsyncIterable<T>) => this.#withLossNamed(`save ${image.id}`, parts, signal);
    if (stored) {
      for await (const blob of named(stored.blobs(wanted, signal)))
        yield { ...blob, body: this.#saving.over(named(blob.body)) };
      return;
    }
    const prepared = this.#prepared.get(image.id);
    this.#prepared.delete(image.id);
    const stream = await this.#saving.during(
      (async () => (await prepared) ?? (await this.#engine.save(image.id, signal)))(),
    );
    const blobs = blobsOfSave(stream, image, this.#saving, wanted && new Set(wanted));
    for await (const blob of named(blobs)) yield { ...blob, body: named(blob.body) };
  }

  /** What the engine tells of an image: as much of its layers as can be known without saving it. */
  async #describe(inspected: InspectedImage): Promise<Image> {
    const image = describe(inspected, this.#engine);
    if (image.store === 'classic') {
      const layers = layersOfHistory(image.diffIds, image.bytes, await this.#engine.history(image.id));
      return { ...image, config: image.id, layers };
    }
    const content = await this.#engine.content();
    if (!content) return image;
    this.#held ??= content.list().then((blobs) => new Set(blobs.map(({ digest }) => digest)));
    const stored = await StoredImage.read(content, await this.#held, image.root, image.diffIds);
    if (!stored) return image;
    this.#stored.set(image.id, stored);
    const { config, layers } = stored;
    return { ...image, layers, ...(config && { config }) };
  }

  /** An engine that goes away breaks the stream of blobs, or the body of the one that is being read. */
  async *#withLossNamed<T>(what: string, parts: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
    try {
      yield* parts;
    } catch (error) {
      signal.throwIfAborted();
      throw this.#engine.lost(what, error);
    }
  }

  prepare(image: Image, _wanted: readonly Digest[] | undefined, signal: AbortSignal): void {
    if (this.#stored.has(image.id) || this.#prepared.has(image.id)) return;
    const saving = this.#saveAhead(image, signal);
    // Whoever asks for the blobs gets to know.
    saving.catch(() => {});
    this.#prepared.set(image.id, saving);
  }

  /** Undefined where there is no room for it beside the image at hand. */
  async #saveAhead(image: Image, signal: AbortSignal): Promise<IncomingMessage | undefined> {
    const room = await roomOf(this.#engine);
    if (room && room.freeBytes < this.#spoolBytes(image)) return undefined;
    return this.#engine.save(image.id, signal);
  }

  async settled(): Promise<void> {}

  waits(): Waits {
    return { save: this.#saving.ms };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#giveUpPrepared();
  }

  /** What was begun and not asked for. */
  #giveUpPrepared(): void {
    for (const saving of this.#prepared.values())
      saving.then(
        (stream) => stream?.destroy(),
        () => {},
      );
    this.#prepared.clear();
  }

  async #notFound(missing: readonly string[]): Promise<ImgmvError> {
    const tags = (await this.#engine.list())
      .flatMap(({ RepoTags }) => RepoTags ?? [])
      .filter((tag) => tag !== '<none>:<none>' && !isPrivateName(tag));
    const hints = missing.map((name) => closeTo(name, tags)).filter((close) => close.length > 0);
    const what = missing.map((name) => JSON.stringify(name)).join(', ');
    return new ImgmvError('image-not-found', `no such image on this host: ${what}`, {
      hint:
        hints.length > 0
          ? `did you mean ${[...new Set(hints.flat())].join(', ')}?`
          : '`docker images` lists what is there',
    });
  }
}

function closeTo(name: string, tags: readonly string[]): readonly string[] {
  const parsed = parseReference(name);
  const want = parsed ? familiar(withDefaultTag(parsed)) : name;
  return tags
    .map((tag) => ({ tag, far: distance(want, tag), sameName: tag.split(':')[0] === want.split(':')[0] }))
    .filter(({ tag, far, sameName }) => sameName || far <= Math.max(2, Math.floor(tag.length / 4)))
    .sort((a, b) => a.far - b.far)
    .slice(0, CLOSE_NAMES_MAX)
    .map(({ tag }) => tag);
}

/** sha256 of a tar of nothing: a step that changed no file may have it for a layer. */
const EMPTY_LAYER = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';

/**
 * A classic engine does not say how large a layer is, but what each step of the history added. Where steps and
 * layers do not match one to one, each layer counts for its share of the image.
 */
export function layersOfHistory(
  diffIds: readonly Digest[],
  imageBytes: number,
  steps: readonly number[],
): readonly LayerBlob[] {
  const sizes = steps.filter((bytes) => bytes > 0);
  const filled = diffIds.filter((diffId) => diffId !== EMPTY_LAYER);
  const share = Math.round(imageBytes / Math.max(1, filled.length));
  const layers = new Map<Digest, LayerBlob>();
  for (const [at, digest] of filled.entries())
    layers.set(digest, { digest, size: sizes.length === filled.length ? (sizes[at] as number) : share });
  if (filled.length < diffIds.length) layers.set(EMPTY_LAYER, { digest: EMPTY_LAYER, size: 1_024 });
  return [...layers.values()];
}

function describe(inspected: InspectedImage, engine: Engine): Image {
  const { Id, RootFS, Os, Architecture, Variant, Size, Descriptor } = inspected;
  const store = engine.info.store;
  return {
    id: Id,
    // 26 with a containerd store gives no descriptor; the sink finds out what the root is from its bytes.
    root: Descriptor ?? { mediaType: store === 'classic' ? CONFIG_TYPE : INDEX_TYPE, digest: Id, size: 0 },
    store,
    platform: { os: Os, architecture: Architecture, ...(Variant && { variant: Variant }) },
    names: [],
    diffIds: RootFS.Layers ?? [],
    bytes: Size,
  };
}

const CONFIG_TYPE = 'application/vnd.docker.container.image.v1+json';
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';

/** An image that was chosen by id or digest has no name of its own on the way. */
function nameOf({ reference, as }: Choice, inspected: InspectedImage): Name | undefined {
  const parsed = parseReference(reference);
  const source = parsed && familiar(withDefaultTag(parsed));
  const byName = source !== undefined && (inspected.RepoTags ?? []).includes(source);
  if (as !== undefined) return { source: byName ? source : inspected.Id, target: as };
  return byName ? { source, target: source } : undefined;
}
