/** An image as a containerd store holds it, read blob by blob: its graph ahead, its layers as they are wanted. */
import { ImgmvError } from '../../../proto/errors.ts';
import {
  BLOBS_PER_IMAGE_MAX,
  IMAGE_METADATA_MAX_BYTES,
  LAYERS_OFFERED_MAX,
  METADATA_MAX_BYTES,
} from '../../../proto/limits.ts';
import type { Blob, BlobKind, Descriptor, Digest, LayerBlob } from '../../model/image.ts';
import { sameDigests } from '../../oci/image-parts.ts';
import {
  checkTypes,
  childrenOf,
  isImageConfigType,
  isIndexType,
  readConfig,
  readMetadata,
} from '../../oci/metadata.ts';
import { isGzip, isZstd } from '../../streams/magic.ts';
import type { ContentStore } from './content.ts';

export class StoredImage {
  /** The config of the platform that would run here. */
  readonly config: Digest | undefined;
  /** The layers of all present platforms, each once. */
  readonly layers: readonly LayerBlob[];
  readonly #content: ContentStore;
  readonly #metadata: readonly MetadataBlob[];

  private constructor(content: ContentStore, graph: Graph) {
    this.#content = content;
    this.#metadata = [...graph.metadata.values()];
    this.config = graph.config;
    this.layers = [...graph.layers.values()];
  }

  /**
   * Undefined where the image is not whole, is more than can be offered layer by layer, or has a blob that is both
   * a layer and metadata: `docker save` then shows what there is of it. `held`: all blobs of the store. `diffIds` are those of the platform that would
   * run here.
   */
  static async read(
    content: ContentStore,
    held: ReadonlySet<Digest>,
    root: Descriptor,
    diffIds: readonly Digest[],
  ): Promise<StoredImage | undefined> {
    const graph = new Graph(content, held, diffIds);
    const whole = await graph.visit({ ...root, kind: isIndexType(root.mediaType) ? 'index' : 'manifest' });
    const { config, layers, metadata } = graph;
    const apart = [...layers.keys()].every((digest) => !metadata.has(digest));
    return whole && config && apart && layers.size <= LAYERS_OFFERED_MAX
      ? new StoredImage(content, graph)
      : undefined;
  }

  /** The wanted layers, then all metadata, each behind what it points to. */
  async *blobs(wanted: readonly Digest[] | undefined, signal: AbortSignal): AsyncGenerator<Blob> {
    const chosen = wanted && new Set(wanted);
    for (const { digest, size } of this.layers) {
      if (chosen && !chosen.has(digest)) continue;
      const body = this.#content.read(digest, signal);
      try {
        const first = await body.next();
        const head = first.done ? Buffer.alloc(0) : first.value;
        const compressed = isGzip(head) || isZstd(head);
        yield { kind: 'layer', digest, size, compressed, body: joined(head, body) };
      } finally {
        // Whoever does not want the layer may not have begun to read it.
        await body.return(undefined);
      }
    }
    for (const { kind, digest, bytes } of this.#metadata)
      yield { kind, digest, size: bytes.length, body: joined(bytes) };
  }
}

interface MetadataBlob {
  readonly kind: BlobKind;
  readonly digest: Digest;
  readonly bytes: Buffer;
}

/** Walks from the root, depth first; what an index names and the store has not is left out. */
class Graph {
  readonly metadata = new Map<Digest, MetadataBlob>();
  readonly layers = new Map<Digest, LayerBlob>();
  config: Digest | undefined;
  readonly #content: ContentStore;
  readonly #held: ReadonlySet<Digest>;
  readonly #diffIds: readonly Digest[];
  #metadataBytes = 0;

  constructor(content: ContentStore, held: ReadonlySet<Digest>, diffIds: readonly Digest[]) {
    this.#content = content;
    this.#held = held;
    this.#diffIds = diffIds;
  }

  /** Whether the blob and what must come with it are there; of what is not whole nothing is kept. */
  async visit({ digest, kind }: { digest: Digest; kind: BlobKind }): Promise<boolean> {
    if (this.metadata.has(digest)) return true;
    if (!this.#held.has(digest)) return false;
    if (kind === 'index') return this.#visitIndex(digest);
    return this.#visitManifest(digest);
  }

  async #visitIndex(digest: Digest): Promise<boolean> {
    const bytes = await this.#read(digest);
    const metadata = readMetadata(bytes, 'index');
    checkTypes(metadata);
    let present = 0;
    for (const child of childrenOf(metadata)) if (await this.visit(child)) present++;
    this.metadata.set(digest, { kind: 'index', digest, bytes });
    return present > 0;
  }

  async #visitManifest(digest: Digest): Promise<boolean> {
    const bytes = await this.#read(digest);
    const metadata = readMetadata(bytes, 'manifest');
    if (metadata.kind !== 'manifest') return false;
    checkTypes(metadata);
    const { config, layers } = metadata.value;
    if ([config, ...layers].some((blob) => !this.#held.has(blob.digest))) return false;
    const configBytes = await this.#read(config.digest);
    // An attestation's config is no image's, and says nothing about layers.
    const diffIds = isImageConfigType(config.mediaType)
      ? (readConfig(configBytes).rootfs.diff_ids ?? [])
      : [];
    const ours = diffIds.length === layers.length && sameDigests(diffIds, this.#diffIds);
    if (ours) this.config ??= config.digest;
    for (const [at, layer] of layers.entries()) {
      const diffId = ours ? diffIds[at] : undefined;
      const known = this.layers.get(layer.digest);
      this.layers.set(layer.digest, {
        digest: layer.digest,
        size: layer.size,
        ...((known?.diffId ?? diffId) && { diffId: (known?.diffId ?? diffId) as Digest }),
      });
    }
    this.metadata.set(config.digest, { kind: 'config', digest: config.digest, bytes: configBytes });
    this.metadata.set(digest, { kind: 'manifest', digest, bytes });
    return true;
  }

  async #read(digest: Digest): Promise<Buffer> {
    const bytes = await this.#content.readAll(digest, METADATA_MAX_BYTES);
    this.#metadataBytes += bytes.length;
    if (this.#metadataBytes > IMAGE_METADATA_MAX_BYTES || this.metadata.size > BLOBS_PER_IMAGE_MAX)
      throw new ImgmvError('integrity', `an image with more metadata than ${IMAGE_METADATA_MAX_BYTES} bytes`);
    return bytes;
  }
}

async function* joined(head: Buffer, rest?: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head;
  if (rest) yield* rest;
}
