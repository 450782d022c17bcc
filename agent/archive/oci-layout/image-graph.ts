/** One image of an OCI layout from its root down: what of it is there, and agrees with itself. */

import { counted } from '../../../proto/counted.ts';
import type { ImgmvError } from '../../../proto/errors.ts';
import { LAYERS_OFFERED_MAX } from '../../../proto/limits.ts';
import { type Digest, HOST_PLATFORM, type Image } from '../../model/image.ts';
import {
  type Answered,
  type Asked,
  type Graph,
  graphOf,
  type MetadataBlob,
  type WholeManifest,
} from '../../oci/graph.ts';
import {
  type Child,
  type Config,
  digestOf,
  isImageConfigType,
  manifestFor,
  readConfig,
} from '../../oci/metadata.ts';
import { integrity } from '../../streams/errors.ts';
import {
  type ArchivedImage,
  classicImage,
  type LayerClaim,
  type MetadataReading,
  platformOf,
  type StoredLayer,
} from '../archived-image.ts';
import type { Contents } from '../contents.ts';

/** A manifest of an image, not of an attestation. */
interface Candidate {
  readonly manifest: WholeManifest;
  readonly configBytes: Buffer;
  readonly config: Config;
}

export class ImageGraph {
  readonly #files: Contents['files'];
  readonly #nameOf: (digest: Digest) => string;
  readonly #reading: MetadataReading;
  readonly #layers = new Map<Digest, StoredLayer>();
  readonly #claims: LayerClaim[] = [];
  readonly #candidates: Candidate[] = [];

  /** `nameOf`: the file that holds a blob. `reading`: one for all images of an archive. */
  constructor(files: Contents['files'], nameOf: (digest: Digest) => string, reading: MetadataReading) {
    this.#files = files;
    this.#nameOf = nameOf;
    this.#reading = reading;
  }

  /**
   * Throws integrity where the image is not whole; of an index one platform has to be. `fromClassic`: its manifest
   * is said to have been made for an image of a classic store, which it then is again.
   */
  image(root: Child, fromClassic: boolean): ArchivedImage {
    const graph = graphOf(root, (asked) => this.#answer(asked));
    if (graph.lacks && root.kind === 'manifest') throw lacking(graph.lacks);
    for (const manifest of graph.manifests) this.#add(manifest, graph);
    const runsHere = ({ config }: Candidate) =>
      config.os === HOST_PLATFORM.os && config.architecture === HOST_PLATFORM.architecture;
    const chosen = this.#candidates.find(runsHere) ?? this.#candidates[0];
    if (!chosen) throw none(root, graph);
    const metadata = [...graph.metadata.values()];
    return (fromClassic ? this.#ofClassic(root, chosen) : undefined) ?? this.#asItIs(root, chosen, metadata);
  }

  #asItIs(
    { mediaType, digest, size }: Child,
    { config, manifest }: Candidate,
    metadata: readonly MetadataBlob[],
  ): ArchivedImage {
    const layers = [...this.#layers.values()];
    if (layers.length > LAYERS_OFFERED_MAX)
      throw integrity(
        `the image ${digest} has ${counted(layers.length, 'layer')}, more than ${LAYERS_OFFERED_MAX}`,
      );
    const image: Image = {
      id: digest,
      root: { mediaType, digest, size },
      store: 'containerd',
      platform: platformOf(config),
      names: [],
      diffIds: config.rootfs.diff_ids,
      config: manifest.config.digest,
      layers: layers.map((layer) => ({ digest: layer.digest, size: layer.size, diffId: layer.diffId })),
      bytes: layers.reduce((sum, layer) => sum + layer.size, 0),
    };
    return { image, labels: [], metadata, layers: this.#layers, claims: this.#claims };
  }

  /** Undefined where the manifest is another one than imgmv makes. */
  #ofClassic({ kind, digest }: Child, chosen: Candidate): ArchivedImage | undefined {
    const { configBytes, config, manifest } = chosen;
    if (kind !== 'manifest' || digestOf(manifestFor(configBytes, manifest.layers)) !== digest)
      return undefined;
    const diffIds = config.rootfs.diff_ids;
    if (manifest.layers.some((layer, at) => layer.digest !== diffIds[at])) return undefined;
    const id = manifest.config.digest;
    return classicImage({ id, bytes: configBytes, config }, this.#layers, this.#claims);
  }

  /** Of a layer the walk needs no bytes: what it is shows when it is read. */
  #answer(asked: Asked): Answered {
    const { digest, from, kind, size } = asked;
    const name = this.#nameOf(digest);
    const file = this.#files.get(name);
    if (!file && from === undefined) throw lacking(asked);
    if (!file) return undefined;
    const known = file.digest ?? digest;
    if (file.size !== size || known !== digest)
      throw integrity(
        `the blob ${JSON.stringify(name)} is ${known} of ${counted(file.size, 'byte')}, want ${digest} of ${size}`,
      );
    return kind === 'layer' ? [] : this.#reading.of(file, name);
  }

  #add(manifest: WholeManifest, { metadata }: Graph): void {
    const { config, layers } = manifest;
    if (isImageConfigType(config.mediaType)) {
      const { bytes } = metadata.get(config.digest) as MetadataBlob;
      const read = readConfig(bytes);
      this.#claimLayers(manifest, read.rootfs.diff_ids);
      this.#candidates.push({ manifest, configBytes: bytes, config: read });
      return;
    }
    for (const { digest, size } of layers) {
      this.#layers.set(digest, this.#layers.get(digest) ?? this.#stored(digest, size));
      this.#claims.push({ file: this.#nameOf(digest), stored: digest });
    }
  }

  #claimLayers({ config, layers }: WholeManifest, diffIds: readonly Digest[]): void {
    if (diffIds.length !== layers.length)
      throw integrity(
        `the config ${config.digest} names ${counted(diffIds.length, 'layer')}, but its manifest ${layers.length}`,
      );
    for (const [at, { digest, mediaType, size }] of layers.entries()) {
      const diffId = diffIds[at] as Digest;
      // How a layer is compressed its bytes say: media types are wrong often. What is in one that is encrypted only
      // those can tell who have the key.
      const isReadable = !mediaType.endsWith('+encrypted');
      const claimed = isReadable ? { digest: diffId, at } : undefined;
      this.#claims.push({ file: this.#nameOf(digest), stored: digest, diffId: claimed });
      this.#layers.set(digest, { ...this.#stored(digest, size), diffId });
    }
  }

  #stored(digest: Digest, size: number): StoredLayer {
    return { digest, size, file: this.#nameOf(digest), inflate: false };
  }
}

function lacking({ digest }: Child): ImgmvError {
  return integrity(`the image lacks the blob ${digest}`);
}

function none({ digest }: Child, { manifests }: Graph): ImgmvError {
  // Its config is no image's.
  const type = manifests[0]?.config.mediaType;
  if (type === undefined) return integrity(`no manifest of the image ${digest} is complete`);
  return integrity(
    `${digest} is not an image but a chart, a signature or another artifact: its config is of the type ${JSON.stringify(type.slice(0, 100))}`,
  );
}
