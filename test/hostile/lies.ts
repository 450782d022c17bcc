/** What a sender that lies makes of honest images, and what it sends in their place. */

import type { BlobKind, Digest } from '../../agent/model/image.ts';
import { digestOf } from '../../agent/oci/metadata.ts';
import type { MemoryBlob, MemoryImage } from '../memory.ts';

export const GIB = 2 ** 30;

/** What a liar offers, and what comes then in its place. */
export interface Lie {
  readonly image: MemoryImage;
  /** Instead of fields of the offer. */
  readonly change?: object;
}

export function blobOf(kind: BlobKind, bytes: Buffer): MemoryBlob {
  return { kind, digest: digestOf(bytes), bytes };
}

export function jsonBlob(kind: BlobKind, value: unknown): MemoryBlob {
  return blobOf(kind, Buffer.from(JSON.stringify(value)));
}

export function layersOf({ blobs }: MemoryImage): readonly MemoryBlob[] {
  return blobs.filter(({ kind }) => kind === 'layer');
}

/** The config, and the manifest where there is one. */
export function metadataOf({ blobs }: MemoryImage): readonly MemoryBlob[] {
  return blobs.filter(({ kind }) => kind !== 'layer');
}

/** The image with these blobs in place of its own; its offer stays as it is. */
export function sending({ image }: MemoryImage, ...blobs: readonly (MemoryBlob | undefined)[]): Lie {
  return { image: { image, blobs: blobs.filter((blob) => blob !== undefined) } };
}

export interface Remade {
  /** Fields of the config instead of the image's own. */
  readonly config?: object;
  /** In place of the config's bytes. */
  readonly configBytes?: Buffer;
  /** Fields of the manifest instead of the image's own; containerd alone. */
  readonly manifest?: object;
  /** In place of its layers. */
  readonly layers?: readonly MemoryBlob[];
  /** Blobs on top of the manifest, made of it: the last one is the root. */
  readonly above?: (manifest: MemoryBlob) => readonly MemoryBlob[];
}

/** An image whose digests are all true, and that says other things than the honest one it is made of. */
export function remade(honest: MemoryImage, change: Remade): MemoryImage {
  const layers = change.layers ?? layersOf(honest);
  const diffIds = layers.map(({ digest }) => digest);
  const rootfs = { type: 'layers', diff_ids: diffIds };
  const configOf = honest.blobs.find(({ kind }) => kind === 'config') as MemoryBlob;
  const config = blobOf(
    'config',
    change.configBytes ??
      Buffer.from(JSON.stringify({ ...JSON.parse(configOf.bytes.toString()), rootfs, ...change.config })),
  );
  const manifestOf = honest.blobs.find(({ kind }) => kind === 'manifest');
  const manifest =
    manifestOf &&
    jsonBlob('manifest', {
      ...JSON.parse(manifestOf.bytes.toString()),
      config: descriptor('application/vnd.oci.image.config.v1+json', config),
      layers: layers.map((layer) => descriptor('application/vnd.oci.image.layer.v1.tar', layer)),
      ...change.manifest,
    });
  const above = manifest ? (change.above?.(manifest) ?? []) : [];
  const root = above.at(-1) ?? manifest ?? config;
  return {
    image: {
      ...honest.image,
      id: root.digest,
      root: { ...honest.image.root, digest: root.digest, size: root.bytes.length },
      diffIds,
      config: config.digest,
      layers: layers.map(({ digest, bytes }) => ({
        digest,
        size: bytes.length,
        ...(manifest && { diffId: digest }),
      })),
    },
    blobs: [...layers, config, ...(manifest ? [manifest] : []), ...above],
  };
}

export function descriptor(mediaType: string, { digest, bytes }: MemoryBlob) {
  return { mediaType, digest, size: bytes.length } as {
    mediaType: string;
    digest: Digest;
    size: number;
    annotations?: object;
  };
}

/** 33 kB of zstd that become a GiB of zeros, in run-length blocks: RFC 8878 section 3.1.1.2. */
export function bomb(): Buffer {
  const frame = Buffer.alloc(6 + 8192 * 4);
  frame.set([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38]);
  for (let block = 0; block < 8192; block++)
    frame.writeUIntLE((0x20000 << 3) | 2 | (block === 8191 ? 1 : 0), 6 + block * 4, 3);
  return frame;
}
