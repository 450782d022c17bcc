/** A source and a sink that hold their images in memory, and small valid images to put in them. */
import { createHash } from 'node:crypto';
import type { Blob, BlobKind, Digest, Image, Name, Store } from '../agent/model/image.ts';
import {
  ALL_PUSHABLE,
  type Answer,
  type Committed,
  type ImageWriter,
  type Planned,
  type PlannedName,
  refused,
  type SetName,
  type Sink,
  type SinkFacts,
} from '../agent/model/sink.ts';
import type { Source, SourceImage, Waits, Wanted } from '../agent/model/source.ts';
import { digestOf, manifestFor } from '../agent/oci/metadata.ts';
import { ImgmvError } from '../proto/errors.ts';
import { CREATED, type LayerSpec, layerTar } from './rig/layers.ts';

export interface MemoryBlob {
  readonly kind: BlobKind;
  readonly digest: Digest;
  readonly bytes: Buffer;
}

/** An image with all its blobs: layers bottom first, then the config, then (containerd) the manifest. */
export interface MemoryImage {
  readonly image: Image;
  readonly blobs: readonly MemoryBlob[];
}

export interface TestImageOptions {
  /** `web:1.0` when left out; its name at both ends. */
  readonly name?: string;
  /** In place of `name`; an empty list is an image that was chosen by id. */
  readonly names?: readonly Name[];
  /** From the bottom up; two small ones when left out, made of the name so that two images differ. */
  readonly layers?: readonly LayerSpec[];
  /** Classic when left out. */
  readonly store?: Store;
  /** As the config has it; a dated step for each layer when left out. */
  readonly history?: readonly object[];
}

/** Deterministic: the same options give the same bytes. */
export async function testImage(options: TestImageOptions = {}): Promise<MemoryImage> {
  const { name = 'web:1.0', store = 'classic' } = options;
  const specs = options.layers ?? [{ 'etc/base': 'base\n' }, { 'srv/name': `${name}\n` }];
  const layers = await Promise.all(specs.map(async (spec) => blobOf('layer', await layerTar(spec))));
  const diffIds = layers.map(({ digest }) => digest);
  const config = blobOf(
    'config',
    Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        created: CREATED.toISOString(),
        config: { Labels: { name } },
        rootfs: { type: 'layers', diff_ids: diffIds },
        history:
          options.history ?? diffIds.map(() => ({ created: CREATED.toISOString(), created_by: 'test' })),
      }),
    ),
  );
  const sizes = layers.map(({ digest, bytes }) => ({ digest, size: bytes.length }));
  const manifest = store === 'classic' ? undefined : blobOf('manifest', manifestFor(config.bytes, sizes));
  const root = manifest ?? config;
  const seen = new Set<Digest>();
  const offered = sizes.filter(({ digest }) => !seen.has(digest) && seen.add(digest));
  const mediaType = manifest
    ? 'application/vnd.oci.image.manifest.v1+json'
    : 'application/vnd.docker.container.image.v1+json';
  return {
    blobs: [...layers, config, ...(manifest ? [manifest] : [])],
    image: {
      id: root.digest,
      root: { mediaType, digest: root.digest, size: root.bytes.length },
      store,
      platform: { os: 'linux', architecture: 'amd64' },
      names: options.names ?? [{ source: name, target: name }],
      diffIds,
      config: config.digest,
      layers: offered.map((layer) => ({ ...layer, ...(manifest && { diffId: layer.digest }) })),
      bytes: layers.reduce((sum, { bytes }) => sum + bytes.length, 0),
    },
  };
}

function blobOf(kind: BlobKind, bytes: Buffer): MemoryBlob {
  return { kind, digest: digestOf(bytes), bytes };
}

export interface MemorySourceOptions {
  /** 64 KiB when left out. */
  readonly chunkBytes?: number;
  /** Whether blobs say their digest before their bytes, as docker 20.10 does not; true when left out. */
  readonly namesDigests?: boolean;
}

export class MemorySource implements Source {
  /** What was told, for tests to look at. */
  readonly expected: Wanted[] = [];
  readonly #images: readonly SourceImage[];
  readonly #options: MemorySourceOptions;

  constructor(images: readonly MemoryImage[], options: MemorySourceOptions = {}) {
    this.#options = options;
    this.#images = images.map((one) => ({
      image: one.image,
      blobs: (wanted, signal) => this.blobs(one, wanted, signal),
      prepare: (wanted, signal) => this.prepare(one.image, wanted, signal),
      readBy: () => undefined,
    }));
  }

  async images(): Promise<readonly SourceImage[]> {
    return this.#images;
  }

  expect(wanted: readonly Wanted[]): void {
    this.expected.push(...wanted);
  }

  /** What an image of this source does; for tests to do something else. */
  async *blobs(
    { blobs }: MemoryImage,
    wanted: readonly Digest[] | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Blob> {
    const { chunkBytes = 64 * 1024, namesDigests = true } = this.#options;
    signal.throwIfAborted();
    for (const { kind, digest, bytes } of blobs) {
      signal.throwIfAborted();
      if (kind === 'layer' && wanted && !wanted.includes(digest)) continue;
      const body = chunksOf(bytes, chunkBytes);
      yield { kind, size: bytes.length, ...(namesDigests && { digest }), body };
    }
  }

  prepare(_image: Image, _wanted: readonly Digest[] | undefined, _signal: AbortSignal): void {}

  waits(): Waits {
    return {};
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

async function* chunksOf(bytes: Buffer, chunkBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

export interface MemorySinkOptions {
  /** Classic when left out; images are taken as they are in any case. */
  readonly store?: Store;
  /** Why an image is refused; none is when left out. */
  readonly refusal?: (image: Image) => string | undefined;
  /** Waited for before each chunk of a body: a slow or failing store. */
  readonly beforeChunk?: () => Promise<void>;
  /** Images are there only when it has finished; it is given what would be done then. */
  readonly finish?: () => Promise<void>;
}

/** Takes an image only when it is whole: exactly the root and what it names, byte for byte. */
export class MemorySink implements Sink {
  readonly facts: SinkFacts;
  /** Images that were committed, by id. */
  readonly images = new Map<Digest, MemoryImage>();
  /** Which image has which name. */
  readonly names = new Map<string, Digest>();
  /** Bytes of bodies that were taken, of committed images or not. */
  bytesTaken = 0;
  readonly #options: MemorySinkOptions;

  constructor(options: MemorySinkOptions = {}) {
    this.facts = { store: options.store ?? 'classic', atomic: options.finish !== undefined };
    this.#options = options;
  }

  async plan(images: readonly Image[]): Promise<readonly Planned[]> {
    const coming = new Set(this.#held.keys());
    return images.map((image) => {
      const reason = this.#options.refusal?.(image);
      const action = this.images.has(image.id) ? 'present' : 'send';
      const refs = image.names.map((name): PlannedName => {
        const replaces = this.#heldByAnother(name.target, image.id);
        return { ...name, ...(replaces && { replaces }) };
      });
      const missing = image.layers?.map(({ digest }) => digest).filter((digest) => !coming.has(digest));
      if (action === 'send' && reason === undefined) for (const digest of missing ?? []) coming.add(digest);
      const lacking = action === 'send' && missing ? { missing } : {};
      if (reason !== undefined) return refused({ image, action: 'refuse', refs, reason });
      const answer: Answer = { image, action, refs, ...lacking };
      return { answer, open: (signal) => this.writer(answer, signal) };
    });
  }

  /** The layers of all images that were committed. */
  get #held(): ReadonlyMap<Digest, MemoryBlob> {
    const all = [...this.images.values()].flatMap(({ blobs }) => blobs);
    return new Map(all.map((blob) => [blob.digest, blob]));
  }

  /** What `open` of a plan does; for tests to do something else. */
  async writer({ image, action, missing }: Answer, signal: AbortSignal): Promise<ImageWriter> {
    const blobs: MemoryBlob[] = [];
    let wanted = missing;
    return {
      write: async (blob) => {
        signal.throwIfAborted();
        if (action !== 'send') throw new ImgmvError('internal', `a blob of an image to ${action}`);
        const taken = await this.#take(blob);
        const twice = blobs.findIndex(({ digest }) => digest === taken.digest);
        if (twice >= 0 && taken.kind === 'layer')
          throw new ImgmvError('integrity', `blob ${taken.digest} came twice`);
        if (twice >= 0) blobs.splice(twice, 1);
        blobs.push(taken);
      },
      commit: async () => {
        if (action === 'send') {
          const held = this.#held;
          const left = (image.layers ?? []).filter(
            ({ digest }) =>
              wanted && !wanted.includes(digest) && !blobs.some((blob) => blob.digest === digest),
          );
          const gone = left.map(({ digest }) => digest).filter((digest) => !held.has(digest));
          if (gone.length > 0) {
            wanted = gone;
            return { missing: gone };
          }
          for (const { digest } of left) blobs.push(held.get(digest) as MemoryBlob);
          requireWhole(image, blobs);
          this.images.set(image.id, { image, blobs });
        }
        return this.#name(image);
      },
      loadedBytes: () => 0,
      keptBytes: () => 0,
      abort: async () => {
        blobs.length = 0;
      },
    };
  }

  async #take(blob: Blob): Promise<MemoryBlob> {
    const parts: Buffer[] = [];
    const hash = createHash('sha256');
    for await (const chunk of blob.body) {
      await this.#options.beforeChunk?.();
      this.bytesTaken += chunk.length;
      hash.update(chunk);
      parts.push(Buffer.from(chunk));
    }
    const digest: Digest = `sha256:${hash.digest('hex')}`;
    const bytes = Buffer.concat(parts);
    if ((blob.digest !== undefined && blob.digest !== digest) || bytes.length !== blob.size)
      throw new ImgmvError('integrity', `a ${blob.kind} is not what was announced`);
    return { kind: blob.kind, digest, bytes };
  }

  #name(image: Image): Committed {
    const refs = image.names.map((name): SetName => {
      const replaced = this.#heldByAnother(name.target, image.id);
      this.names.set(name.target, image.id);
      return { ...name, ...(replaced && { replaced }) };
    });
    return { targetId: image.id, refs, pushable: ALL_PUSHABLE, push: undefined };
  }

  #heldByAnother(name: string, id: Digest): Digest | undefined {
    const holder = this.names.get(name);
    return holder === id ? undefined : holder;
  }

  async retrying(): Promise<void> {}

  async finish(): Promise<void> {
    await this.#options.finish?.();
  }

  waits(): Waits {
    return {};
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function requireWhole({ root, store, diffIds }: Image, blobs: readonly MemoryBlob[]): void {
  const digests = (kind: BlobKind) => blobs.filter((blob) => blob.kind === kind).map(({ digest }) => digest);
  const rootKind = store === 'classic' ? 'config' : 'manifest';
  const whole =
    digests(rootKind).includes(root.digest) &&
    digests('config').length === 1 &&
    digests('manifest').length === (store === 'classic' ? 0 : 1) &&
    JSON.stringify(digests('layer').sort()) === JSON.stringify([...new Set(diffIds)].sort());
  if (!whole) throw new ImgmvError('integrity', 'the blobs that came are not the image');
}
