/** Layers of a containerd store, which are committed in any order: each helper is an image of the layers that it brings. */
import type { Image } from '../../model/image.ts';
import { digestOf, manifestFor } from '../../oci/metadata.ts';
import { type ArchiveFile, ociArchive } from '../archive.ts';
import { helperConfig } from '../helpers.ts';
import type { Arrived, Commit, CommitOrder } from '../incoming.ts';
import { Load } from '../load.ts';

/** What a helper is made for: an engine that unpacks such an image on arrival is not known. */
const NO_ARCHITECTURE = 'imgmv';

export class LayerSet implements CommitOrder {
  readonly cumulative = false;
  readonly #image: Image;
  #waiting: readonly Arrived[] = [];

  constructor(image: Image) {
    this.#image = image;
  }

  place(layer: Arrived): readonly Commit[] {
    const layers = [...this.#waiting, layer];
    this.#waiting = layer.in instanceof Load ? [] : layers;
    return layer.in instanceof Load ? [{ load: layer.in, layers, upTo: 0 }] : [];
  }

  waiting(): readonly Arrived[] {
    return this.#waiting;
  }

  rewind(): void {}

  restart(): void {
    this.#waiting = [];
  }

  holds(): boolean {
    return true;
  }

  helper(name: string, { layers }: Commit): readonly ArchiveFile[] {
    const { os } = this.#image.platform;
    const digests = layers.map(({ digest }) => digest);
    const config = helperConfig(this.#image.id, { os, architecture: NO_ARCHITECTURE }, digests);
    const manifest = manifestFor(config, layers);
    const root = { digest: digestOf(manifest), kind: 'manifest', bytes: manifest } as const;
    return ociArchive(root, [[digestOf(config), config]], name);
  }
}
