/** An image as a containerd store holds it, read blob by blob: its graph ahead, its layers as they are wanted. */
import { LAYERS_OFFERED_MAX, METADATA_MAX_BYTES } from '../../../proto/limits.ts';
import type { Blob, Descriptor, Digest, LayerBlob } from '../../model/image.ts';
import { fetchGraph, type Graph, type MetadataBlob } from '../../oci/graph.ts';
import { sameDigests } from '../../oci/image-parts.ts';
import { isImageConfigType, isIndexType, readConfig } from '../../oci/metadata.ts';
import { once } from '../../streams/file-bytes.ts';
import { isGzip, isZstd, MAGIC_BYTES } from '../../streams/magic.ts';
import { peek } from '../../streams/peek.ts';
import type { Readable } from '../image-store.ts';
import type { ContentStore } from './content.ts';

export class StoredImage implements Readable {
  readonly readBy = { way: 'store' } as const;
  /** The config of the platform that would run here. */
  readonly config: Digest;
  /** The layers of all present platforms, each once. */
  readonly layers: readonly LayerBlob[];
  readonly #content: ContentStore;
  readonly #metadata: readonly MetadataBlob[];

  private constructor(
    content: ContentStore,
    { config, layers, metadata }: Pick<StoredImage, 'config' | 'layers'> & Pick<Graph, 'metadata'>,
  ) {
    this.#content = content;
    this.#metadata = [...metadata.values()];
    this.config = config;
    this.layers = layers;
  }

  /**
   * Undefined where the image is not whole, is more than can be offered layer by layer, or has a blob that is both
   * a layer and metadata: `docker save` then shows what there is of it. `held`: all blobs of the store. `diffIds` are
   * those of the platform that would run here.
   */
  static async read(
    content: ContentStore,
    held: ReadonlySet<Digest>,
    root: Descriptor,
    diffIds: readonly Digest[],
  ): Promise<StoredImage | undefined> {
    const kind = isIndexType(root.mediaType) ? 'index' : 'manifest';
    const { whole, metadata, manifests } = await fetchGraph(
      { ...root, kind },
      async ({ digest, kind: asked }) => {
        if (!held.has(digest)) return undefined;
        return asked === 'layer' ? [] : content.readAll(digest, METADATA_MAX_BYTES);
      },
    );
    let runs: Digest | undefined;
    const layers = new Map<Digest, LayerBlob>();
    for (const manifest of manifests) {
      // An attestation's config is no image's, and says nothing about layers.
      const isImage = isImageConfigType(manifest.config.mediaType);
      const bytes = metadata.get(manifest.config.digest)?.bytes as Buffer;
      const named = isImage ? (readConfig(bytes).rootfs.diff_ids ?? []) : [];
      const ours = named.length === manifest.layers.length && sameDigests(named, diffIds);
      if (ours) runs ??= manifest.config.digest;
      for (const [at, { digest, size }] of manifest.layers.entries()) {
        const diffId = layers.get(digest)?.diffId ?? (ours ? named[at] : undefined);
        layers.set(digest, { digest, size, ...(diffId && { diffId }) });
      }
    }
    const apart = [...layers.keys()].every((digest) => !metadata.has(digest));
    if (!whole || !runs || !apart || layers.size > LAYERS_OFFERED_MAX) return undefined;
    return new StoredImage(content, { config: runs, layers: [...layers.values()], metadata });
  }

  /** The wanted layers, then all metadata, each behind what it points to. */
  async *blobs(wanted: readonly Digest[] | undefined, signal: AbortSignal): AsyncGenerator<Blob> {
    const chosen = wanted && new Set(wanted);
    for (const { digest, size } of this.layers) {
      if (chosen && !chosen.has(digest)) continue;
      const body = this.#content.read(digest, signal);
      try {
        const { head, whole } = await peek(body, MAGIC_BYTES);
        yield { kind: 'layer', digest, size, compressed: isGzip(head) || isZstd(head), body: whole };
      } finally {
        // Whoever does not want the layer may not have begun to read it.
        await body.return(undefined);
      }
    }
    for (const { kind, digest, bytes } of this.#metadata)
      yield { kind, digest, size: bytes.length, body: once(bytes) };
  }
}
