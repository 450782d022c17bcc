/** One image of an OCI layout from its root down: what of it is there, and agrees with itself. */
import { ImgmvError } from '../../../proto/errors.ts';
import { BLOBS_PER_IMAGE_MAX, IMAGE_METADATA_MAX_BYTES, LAYERS_OFFERED_MAX } from '../../../proto/limits.ts';
import type { BlobKind, Digest, Image } from '../../model/image.ts';
import {
  type Child,
  CONFIG_TYPE,
  type Config,
  checkConfig,
  checkTypes,
  childrenOf,
  digestOf,
  isImageConfigType,
  type Manifest,
  manifestFor,
  readConfig,
  readMetadata,
} from '../../oci/metadata.ts';
import {
  type ArchivedImage,
  type LayerClaim,
  type MetadataBlob,
  type MetadataReading,
  platformOf,
  type StoredLayer,
} from '../archived-image.ts';
import { knownDigest, type StoredFile } from '../contents.ts';
import { INDEX_DEPTH_MAX } from '../limits.ts';

/** A manifest of an image, not of an attestation. */
interface Candidate {
  readonly manifest: Manifest;
  readonly configBytes: Buffer;
  readonly config: Config;
}

/** As Go names what this host is. */
const HERE = {
  os: 'linux',
  architecture: { x64: 'amd64', ia32: '386' }[process.arch as string] ?? process.arch,
};

export class ImageGraph {
  readonly #files: ReadonlyMap<string, StoredFile>;
  readonly #nameOf: (digest: Digest) => string;
  readonly #reading: MetadataReading;
  readonly #metadata = new Map<Digest, MetadataBlob>();
  readonly #layers = new Map<Digest, StoredLayer>();
  readonly #claims: LayerClaim[] = [];
  readonly #candidates: Candidate[] = [];
  #metadataBytes = 0;
  /** The type of a config that is no image's. */
  #artifact: string | undefined;

  /** `nameOf`: the file that holds a blob. `reading`: one for all images of an archive. */
  constructor(
    files: ReadonlyMap<string, StoredFile>,
    nameOf: (digest: Digest) => string,
    reading: MetadataReading,
  ) {
    this.#files = files;
    this.#nameOf = nameOf;
    this.#reading = reading;
  }

  /**
   * Throws integrity where the image is not whole; of an index one platform has to be. `fromClassic`: its manifest
   * is said to have been made for an image of a classic store, which it then is again.
   */
  image(root: Child, fromClassic: boolean): ArchivedImage {
    this.#visit(root, 0, true);
    const chosen =
      this.#candidates.find(
        ({ config: { os, architecture } }) => os === HERE.os && architecture === HERE.architecture,
      ) ?? this.#candidates[0];
    if (!chosen) throw this.#none(root);
    return (fromClassic ? this.#ofClassic(root, chosen) : undefined) ?? this.#asItIs(root, chosen);
  }

  #none({ digest }: Child): ImgmvError {
    const type = this.#artifact;
    if (type === undefined) return new ImgmvError('integrity', `the image ${digest} holds no whole manifest`);
    return new ImgmvError(
      'integrity',
      `${digest} is no image, but a chart, a signature or another artifact: its config is of the type ${JSON.stringify(type.slice(0, 100))}`,
    );
  }

  #asItIs({ mediaType, digest, size }: Child, { config, manifest }: Candidate): ArchivedImage {
    const layers = [...this.#layers.values()];
    if (layers.length > LAYERS_OFFERED_MAX)
      throw new ImgmvError('integrity', `the image ${digest} has ${layers.length} layers`);
    const image: Image = {
      id: digest,
      root: { mediaType, digest, size },
      store: 'containerd',
      platform: platformOf(config),
      names: [],
      diffIds: config.rootfs.diff_ids ?? [],
      config: manifest.config.digest,
      layers: layers.map(({ digest: layer, size: bytes, diffId }) => ({
        digest: layer,
        size: bytes,
        ...(diffId && { diffId }),
      })),
      bytes: layers.reduce((sum, { size: bytes }) => sum + bytes, 0),
    };
    return {
      image,
      labels: [],
      metadata: [...this.#metadata.values()],
      layers: this.#layers,
      claims: this.#claims,
    };
  }

  /** Undefined where the manifest is another one than imgmv makes. */
  #ofClassic({ kind, digest }: Child, chosen: Candidate): ArchivedImage | undefined {
    const { configBytes, config, manifest } = chosen;
    if (kind !== 'manifest' || digestOf(manifestFor(configBytes, manifest.layers)) !== digest)
      return undefined;
    const diffIds = config.rootfs.diff_ids ?? [];
    if (manifest.layers.some((layer, at) => layer.digest !== diffIds[at])) return undefined;
    const { digest: id } = manifest.config;
    const layers = [...this.#layers.values()];
    return {
      image: {
        id,
        root: { mediaType: CONFIG_TYPE, digest: id, size: configBytes.length },
        store: 'classic',
        platform: platformOf(config),
        names: [],
        diffIds,
        config: id,
        layers: layers.map(({ digest: layer, size }) => ({ digest: layer, size })),
        bytes: layers.reduce((sum, { size }) => sum + size, 0),
      },
      labels: [],
      metadata: [{ kind: 'config', digest: id, bytes: configBytes }],
      layers: this.#layers,
      claims: this.#claims,
    };
  }

  /** Whether the blob and all that must come with it are there; of what is not whole nothing is kept. */
  #visit(child: Child, depth: number, required: boolean): boolean {
    if (this.#metadata.has(child.digest)) return true;
    if (depth > INDEX_DEPTH_MAX)
      throw new ImgmvError('integrity', `indexes inside indexes, more than ${INDEX_DEPTH_MAX} deep`);
    const file = this.#find(child, required);
    if (!file) return false;
    const bytes = this.#reading.of(file, this.#nameOf(child.digest));
    return child.kind === 'index'
      ? this.#visitIndex(child, bytes, depth)
      : this.#visitManifest(child, bytes, required);
  }

  #visitIndex({ digest }: Child, bytes: Buffer, depth: number): boolean {
    const metadata = readMetadata(bytes, 'index');
    checkTypes(metadata);
    let present = 0;
    // It may name platforms that its owner does not have.
    for (const child of childrenOf(metadata)) if (this.#visit(child, depth + 1, false)) present++;
    this.#keep('index', digest, bytes);
    return present > 0;
  }

  #visitManifest({ digest }: Child, bytes: Buffer, required: boolean): boolean {
    const metadata = readMetadata(bytes, 'manifest');
    if (metadata.kind !== 'manifest') return false;
    checkTypes(metadata);
    const { config, layers } = metadata.value;
    for (const blob of childrenOf(metadata)) if (!this.#find(blob, required)) return false;
    const configBytes = this.#reading.of(this.#find(config, true) as StoredFile, this.#nameOf(config.digest));
    if (isImageConfigType(config.mediaType)) {
      const read = readConfig(configBytes);
      this.#checkLayers(metadata.value, read.rootfs.diff_ids ?? []);
      this.#candidates.push({ manifest: metadata.value, configBytes, config: read });
    } else {
      checkConfig(configBytes);
      this.#artifact ??= config.mediaType;
      for (const { digest: layer, size } of layers) {
        this.#layers.set(layer, this.#layers.get(layer) ?? this.#stored(layer, size));
        this.#claims.push({ file: this.#nameOf(layer), stored: layer });
      }
    }
    this.#keep('config', config.digest, configBytes);
    this.#keep('manifest', digest, bytes);
    return true;
  }

  #checkLayers({ config, layers }: Manifest, diffIds: readonly Digest[]): void {
    if (diffIds.length !== layers.length)
      throw new ImgmvError(
        'integrity',
        `the config ${config.digest} names ${diffIds.length} layers, and its manifest ${layers.length}`,
      );
    for (const [at, { digest, mediaType }] of layers.entries()) {
      const file = this.#nameOf(digest);
      const { size } = this.#files.get(file) as StoredFile;
      const diffId = diffIds[at] as Digest;
      // How a layer is compressed its bytes say: media types are wrong often. What is in one that is encrypted only
      // those can tell who have the key.
      const isReadable = !mediaType.endsWith('+encrypted');
      this.#claims.push({ file, stored: digest, ...(isReadable && { diffId: { digest: diffId, at } }) });
      this.#layers.set(digest, { ...this.#stored(digest, size), diffId });
    }
  }

  #stored(digest: Digest, size: number): StoredLayer {
    return { digest, size, file: this.#nameOf(digest), inflate: false };
  }

  /** Undefined where it is not there and need not be. What a layer is shows when it is read. */
  #find({ digest, size }: { digest: Digest; size: number }, required: boolean): StoredFile | undefined {
    const name = this.#nameOf(digest);
    const file = this.#files.get(name);
    if (!file && required) throw new ImgmvError('integrity', `the image lacks the blob ${digest}`);
    if (!file) return undefined;
    const known = knownDigest(file) ?? digest;
    if (file.size !== size || known !== digest)
      throw new ImgmvError(
        'integrity',
        `the blob ${JSON.stringify(name)} is ${known} of ${file.size} bytes, want ${digest} of ${size}`,
      );
    return file;
  }

  #keep(kind: BlobKind, digest: Digest, bytes: Buffer): void {
    if (this.#metadata.has(digest)) return;
    this.#metadataBytes += bytes.length;
    if (this.#metadataBytes > IMAGE_METADATA_MAX_BYTES || this.#metadata.size >= BLOBS_PER_IMAGE_MAX)
      throw new ImgmvError('integrity', `an image with more metadata than ${IMAGE_METADATA_MAX_BYTES} bytes`);
    this.#metadata.set(digest, { kind, digest, bytes });
  }
}
