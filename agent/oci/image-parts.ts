/**
 * What has come of one image: its metadata byte for byte, and where its layers are. Checks that they hang
 * together before an engine is told what they mean. Knows no engine.
 */

import { counted } from '../../proto/counted.ts';
import { ImgmvError } from '../../proto/errors.ts';
import {
  BLOBS_PER_IMAGE_MAX,
  IMAGE_BYTES_ALLOWANCE,
  IMAGE_BYTES_FACTOR_MAX,
  IMAGE_METADATA_MAX_BYTES,
} from '../../proto/limits.ts';
import { type Blob, type BlobKind, type Digest, diffIdOf, type Image } from '../model/image.ts';
import { integrity } from '../streams/errors.ts';
import { readAll } from '../streams/read-all.ts';
import { type Answered, type Asked, type Graph, graphOf } from './graph.ts';
import {
  type Child,
  childrenOf,
  digestOf,
  isImageConfigType,
  manifestFor,
  readConfig,
  readMetadata,
  rootKind,
} from './metadata.ts';

interface Layer {
  /** Where it is in the tar. */
  readonly path: string;
  readonly size: number;
  /** Of what is in the blob, where that was looked at; the digest of the blob elsewhere. */
  readonly diffId?: Digest;
}

/** A blob that a containerd store holds for a layer of an image out of a classic store. */
export interface HeldLayer {
  readonly digest: Digest;
  readonly size: number;
  /** Absent: as it is, not compressed. */
  readonly mediaType?: string;
}

/** A layer with the place where its bytes are, if they came. */
export interface PlacedLayer {
  /** Of the blob that came; the diffID of a layer that the engine has. */
  readonly digest: Digest;
  readonly diffId: Digest;
  readonly size: number;
  /** Where it is in the tar; undefined for what the engine has. */
  readonly path: string | undefined;
}

export interface Root {
  readonly digest: Digest;
  readonly kind: BlobKind;
  readonly bytes: Buffer;
}

export interface SentDocuments {
  /** That came whole. */
  readonly manifests: ReadonlySet<Digest>;
  /** All that indexes that came name. */
  readonly named: readonly Child[];
  /** What of that did not come. */
  readonly absent: readonly Child[];
}

/** What a classic engine wants to know: the config, and the layers' places in the tar, bottom first. */
export interface ClassicView {
  readonly config: Digest;
  readonly layerPaths: readonly string[];
  /** The blobs that these are. */
  readonly layers: readonly Digest[];
  readonly diffIds: readonly Digest[];
}

export class ImageParts {
  readonly #image: Image;
  readonly #layers = new Map<Digest, Layer>();
  readonly #metadata = new Map<Digest, { kind: BlobKind; bytes: Buffer }>();
  #metadataBytes = 0;
  #bytes = 0;
  /** That have come, in all rounds. */
  blobs = 0;
  /** As of the last `checkWhole`. */
  #graph: Graph | undefined;
  /** Layers that are not to come, since the engine has them. */
  #held: ReadonlySet<Digest>;
  /** Layers that have come, and that the engine has by now. */
  readonly #committed = new Set<Digest>();

  /** `missing` as in the answer to the offer. */
  constructor(image: Image, missing: readonly Digest[] | undefined) {
    this.#image = image;
    this.#held = heldOf(image, missing);
  }

  /** Counts a blob that comes. Throws refused for more blobs, or bytes, than belong to what was offered. */
  count({ size }: Pick<Blob, 'size'>): void {
    this.#bytes += size;
    const { bytes } = this.#image;
    if (this.#bytes > bytes * IMAGE_BYTES_FACTOR_MAX + IMAGE_BYTES_ALLOWANCE)
      throw new ImgmvError(
        'refused',
        `the image has ${counted(this.#bytes, 'byte')}, but was offered with ${bytes}`,
      );
    if (++this.blobs > BLOBS_PER_IMAGE_MAX)
      throw new ImgmvError('refused', `the image has more than ${BLOBS_PER_IMAGE_MAX} blobs`);
  }

  hasLayer(digest: Digest): boolean {
    return this.#layers.has(digest);
  }

  get held(): ReadonlySet<Digest> {
    return new Set([...this.#held, ...this.#committed]);
  }

  /** The engine has a layer that has come: no load needs its bytes any more. */
  committed(digest: Digest): void {
    this.#committed.add(digest);
  }

  get committedBytes(): number {
    return [...this.#committed].reduce((sum, digest) => sum + this.#layerOf(digest).size, 0);
  }

  /** Another round is to bring what is missing. `lost`: with the layers that have come and are not committed. */
  again(missing: readonly Digest[], lost: boolean): void {
    if (lost) this.lose();
    for (const digest of missing) {
      this.#layers.delete(digest);
      this.#committed.delete(digest);
    }
    this.#metadata.clear();
    this.#metadataBytes = 0;
    this.#held = heldOf(this.#image, [...missing, ...this.#layers.keys()]);
  }

  /** What has come is lost with the load that it was in, but for what is committed. Gives the layers that were. */
  lose(): readonly Digest[] {
    const lost = [...this.#layers.keys()].filter((digest) => !this.#committed.has(digest));
    for (const digest of lost) this.#layers.delete(digest);
    return lost;
  }

  /** Throws integrity for a layer that was not offered or came before. */
  expectLayer(digest: Digest): void {
    // A classic source names all its layers in the offer; those of a containerd store its manifests will name.
    const { store, layers, diffIds } = this.#image;
    const offered =
      layers?.some((layer) => layer.digest === digest) ??
      (store === 'containerd' || diffIds.includes(digest));
    if (!offered || this.#layers.has(digest))
      throw integrity(`layer ${digest} was not offered, or came twice`);
  }

  /** Throws integrity where the blob holds another layer than was offered. */
  expectUnpacked(digest: Digest, diffId: Digest): void {
    const offered = this.#image.layers?.find((layer) => layer.digest === digest);
    const { store } = this.#image;
    const wanted = store === 'classic' ? digest : offered?.diffId;
    if (wanted !== undefined && wanted !== diffId)
      throw integrity(`layer ${digest} unpacks to ${diffId}, but was offered as ${wanted}`);
  }

  addLayer(digest: Digest, layer: Layer): void {
    this.expectLayer(digest);
    this.#layers.set(digest, layer);
    if (this.#held.has(digest)) this.#held = new Set([...this.#held].filter((held) => held !== digest));
  }

  /** Reads a config, manifest or index to its end, within the bounds of section 8. */
  async addMetadata(blob: Blob): Promise<void> {
    const tooMuch = () =>
      new ImgmvError('refused', `the image has more than ${IMAGE_METADATA_MAX_BYTES} bytes of metadata`);
    const bytes = await readAll(blob.body, IMAGE_METADATA_MAX_BYTES - this.#metadataBytes, tooMuch);
    this.#metadataBytes += bytes.length;
    const digest = digestOf(bytes);
    if (blob.digest !== undefined && blob.digest !== digest)
      throw integrity(`${blob.kind} ${blob.digest} came as ${digest}`);
    this.#metadata.set(digest, { kind: blob.kind, bytes });
  }

  /**
   * Behind `checkWhole`. Other metadata that came is none of this, whatever an engine makes of it: nobody has checked
   * what it names.
   */
  get sent(): SentDocuments {
    const manifests = new Set(this.#graph?.manifests.map(({ digest }) => digest));
    const indexes = [...(this.#graph?.metadata.values() ?? [])].filter(({ kind }) => kind === 'index');
    const came = new Set([...manifests, ...indexes.map(({ digest }) => digest)]);
    const named = indexes.flatMap(({ bytes }) => childrenOf(readMetadata(bytes, 'index')));
    return { manifests, named, absent: named.filter(({ digest }) => !came.has(digest)) };
  }

  metadata(): readonly (readonly [Digest, Buffer])[] {
    return [...this.#metadata].map(([digest, { bytes }]) => [digest, bytes]);
  }

  /** Throws integrity unless whatever a present manifest names came too, and nothing else did. */
  checkWhole(): void {
    const { root, diffIds, store } = this.#image;
    const graph = graphOf({ ...root, kind: this.root().kind }, (asked) => this.#answer(asked));
    if (graph.lacks) throw missing(graph.lacks.kind, graph.lacks.digest);
    const seen = new Set(graph.metadata.keys());
    for (const { layers } of graph.manifests) for (const { digest } of layers) seen.add(digest);
    if (store === 'classic') {
      if (!sameDigests(readConfig(this.bytesOf(root.digest)).rootfs.diff_ids, diffIds))
        throw integrity(`the layers in config ${root.digest} are not those that were offered`);
      const absent = diffIds.find((diffId) => !this.#hasBytes(diffId));
      if (absent !== undefined) throw missing('layer', absent);
      for (const diffId of diffIds) seen.add(diffId);
    }
    const extra = [...this.#layers.keys(), ...this.#metadata.keys()].find((digest) => !seen.has(digest));
    if (extra !== undefined) throw integrity(`blob ${extra} came, but is not a part of the image`);
    this.#graph = graph;
  }

  /** An index may name platforms that its owner does not have; a manifest is whole or not there. */
  #answer({ digest, kind, from }: Asked): Answered {
    if (kind === 'layer') return this.#hasBytes(digest) || this.#metadata.has(digest) ? [] : undefined;
    const found = this.#metadata.get(digest);
    if (found?.kind === kind) return found.bytes;
    if (found === undefined && from === 'index') return undefined;
    throw missing(kind, digest);
  }

  #hasBytes(layer: Digest): boolean {
    return this.#layers.has(layer) || this.#held.has(layer);
  }

  /** Its kind is what came; the offer may not know it. */
  root(): Root {
    const { digest } = this.#image.root;
    return {
      digest,
      kind: this.#metadata.get(digest)?.kind ?? rootKind(this.#image),
      bytes: this.bytesOf(digest),
    };
  }

  /**
   * The root that a containerd store gets: the image's own, or a manifest made for a config (section 8), which
   * names what the store holds for the layers that did not come.
   */
  containerdRoot(held: ReadonlyMap<Digest, HeldLayer>): Root {
    const root = this.root();
    if (root.kind !== 'config') return root;
    const layers = this.#image.diffIds.map(
      (digest) => held.get(digest) ?? { digest, size: this.#layerOf(digest).size },
    );
    const bytes = manifestFor(root.bytes, layers);
    return { digest: digestOf(bytes), kind: 'manifest', bytes };
  }

  /**
   * Behind `checkWhole`: the config and layers of the platform that would run here. Throws refused where there is none, and
   * integrity where its layers were offered as others than they are.
   */
  classicView(): ClassicView {
    const { platform, diffIds } = this.#image;
    const { kind, digest } = this.root();
    if (kind === 'config') {
      this.#requireOffered(diffIds, diffIds);
      return { config: digest, layerPaths: this.#pathsOf(diffIds), layers: diffIds, diffIds };
    }
    for (const { config, layers } of this.#graph?.manifests ?? []) {
      if (!isImageConfigType(config.mediaType)) continue;
      const { os, architecture, rootfs } = readConfig(this.bytesOf(config.digest));
      const fits = os === platform.os && architecture === platform.architecture;
      if (!fits || !sameDigests(rootfs.diff_ids, diffIds)) continue;
      const blobs = layers.map((layer) => layer.digest);
      this.#requireOffered(blobs, diffIds);
      return { config: config.digest, layerPaths: this.#pathsOf(blobs), layers: blobs, diffIds };
    }
    throw new ImgmvError(
      'refused',
      `the image holds no manifest for ${platform.os}/${platform.architecture}`,
    );
  }

  /** What is here, and what is to come, was found out by what the offer says of each blob. */
  #requireOffered(blobs: readonly Digest[], diffIds: readonly Digest[]): void {
    const offered = new Map(this.#image.layers?.map((layer) => [layer.digest, diffIdOf(layer)]));
    for (const [at, digest] of blobs.entries()) {
      const told = offered.get(digest);
      if (told !== undefined && told !== diffIds[at])
        throw integrity(`layer ${digest} was offered as ${told}, but the config names ${diffIds[at]}`);
    }
  }

  /**
   * The layers as podman wants them. Layers with the same diffID are the same blob, because podman would read the second one
   * from its disk. Throws integrity where one of them is not what the config says: podman would show the image as that of the
   * config all the same.
   */
  podmanLayers({ layers, diffIds }: ClassicView): readonly PlacedLayer[] {
    const { held } = this;
    if (layers.length !== diffIds.length)
      throw integrity(
        `the image has ${counted(layers.length, 'layer')}, but its config names ${diffIds.length}`,
      );
    const first = new Map<Digest, PlacedLayer>();
    const place = (digest: Digest, diffId: Digest): PlacedLayer => {
      if (held.has(digest)) return { digest: diffId, diffId, size: 0, path: undefined };
      const { path, size, diffId: unpacked = digest } = this.#layerOf(digest);
      if (unpacked !== diffId)
        throw integrity(`layer ${digest} unpacks to ${unpacked}, but the config names ${diffId}`);
      return { digest, diffId, size, path };
    };
    return diffIds.map((diffId, at) => {
      const placed = place(layers[at] as Digest, diffId);
      const same = first.get(diffId);
      if (same === undefined) first.set(diffId, placed);
      return same ?? placed;
    });
  }

  bytesOf(digest: Digest): Buffer {
    const found = this.#metadata.get(digest);
    if (found === undefined) throw missing('metadata', digest);
    return found.bytes;
  }

  #pathsOf(layers: readonly Digest[]): readonly string[] {
    // An engine that has the layer never looks for the file.
    const { held } = this;
    return layers.map((layer) => (held.has(layer) ? `held/${layer}` : this.#layerOf(layer).path));
  }

  #layerOf(digest: Digest): Layer {
    const found = this.#layers.get(digest);
    if (found === undefined) throw missing('layer', digest);
    return found;
  }
}

function heldOf({ layers = [] }: Image, missing: readonly Digest[] | undefined): ReadonlySet<Digest> {
  if (missing === undefined) return new Set();
  const wanted = new Set(missing);
  return new Set(layers.map(({ digest }) => digest).filter((digest) => !wanted.has(digest)));
}

export function sameDigests(a: readonly Digest[], b: readonly Digest[]): boolean {
  return a.length === b.length && a.every((digest, at) => digest === b[at]);
}

function missing(kind: string, digest: Digest): ImgmvError {
  return integrity(`the image is incomplete: ${kind} ${digest} did not come`);
}
