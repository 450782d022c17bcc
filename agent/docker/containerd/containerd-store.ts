/** Images as a containerd store keeps them: an id is the root's digest, and blobs are as they came. */
import { toImgmvError } from '../../../proto/errors.ts';
import { LAYERS_MAX } from '../../../proto/limits.ts';
import type { Digest, Image } from '../../model/image.ts';
import type { Pushable } from '../../model/sink.ts';
import { type ImageParts, sameDigests } from '../../oci/image-parts.ts';
import { INDEX_TYPE } from '../../oci/metadata.ts';
import { ociArchive } from '../archive.ts';
import type { Engine, InspectedManifest, ListedByEngine } from '../engine.ts';
import {
  type ImageStore,
  type Loadable,
  type Looked,
  NOT_DIRECTLY,
  type PushableOptions,
} from '../image-store.ts';
import type { CommitOrder } from '../incoming.ts';
import type { Inventory, List } from '../inventory.ts';
import { containerdInventory, heldLayers, holdsPlatform } from './inventory.ts';
import { LayerSet } from './layer-set.ts';
import { pushableOf } from './pushable.ts';
import { ODD } from './store-graph.ts';
import { StoredImage } from './stored-image.ts';

export class ContainerdStore implements ImageStore {
  readonly layersMax = LAYERS_MAX;
  /** 26 gives no descriptor; the sink finds out what the root is from its bytes. */
  readonly rootType = INDEX_TYPE;
  readonly comparesLayers = true;
  readonly #engine: Engine;
  /** All blobs, as of the first look. */
  #held: Promise<ReadonlySet<Digest>> | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  inventory(list: List): Promise<Inventory> {
    return containerdInventory(this.#engine, list);
  }

  async present(image: Image, listed: ListedByEngine | undefined): Promise<Digest | undefined> {
    const manifests = listed?.Manifests;
    if (manifests && !isWhole(manifests)) return undefined;
    // Of hundreds of images, reading what they name takes a fraction of having each inspected.
    const content = manifests && (await this.#engine.content());
    if (content) return (await holdsPlatform(content, manifests, image)) ? image.id : undefined;
    const there = await this.#engine.inspect(image.id);
    // If the image is an index, another of its platforms may be the one that is here. Besides, answers reveal ids of
    // images here but never their layers: a peer that knows the layers has the image, so it may name and push it.
    if (there?.Id !== image.id || !sameDigests(there.RootFS.Layers ?? [], image.diffIds)) return undefined;
    return !there.Manifests || isWhole(there.Manifests) ? image.id : undefined;
  }

  pushable(options: PushableOptions): Promise<Pushable> {
    return pushableOf(this.#engine, options);
  }

  /**
   * Nothing is added to an image whose documents are not as they should be, or which somebody removes meanwhile:
   * `docker save` shows to the sink what there is of it, which refuses that image, and no other.
   */
  async look(image: Image, direct: boolean): Promise<Looked> {
    if (!direct) return saved(image, NOT_DIRECTLY);
    const content = await this.#engine.content();
    if (!content) return saved(image, 'the engine does not show what its store holds');
    this.#held ??= content.list().then((blobs) => new Set(blobs.map(({ digest }) => digest)));
    try {
      const readable = await StoredImage.read(content, await this.#held, image.root, image.diffIds);
      if (!readable) return saved(image, 'it is not whole, or not as images are');
      const { config, layers, readBy } = readable;
      return { image: { ...image, config, layers, readBy }, readable };
    } catch (error) {
      const { code, message } = toImgmvError(error);
      if (!ODD.includes(code)) throw error;
      return saved(image, message);
    }
  }

  whyUnsavable(): undefined {}

  spoolBytes(): number {
    return 0;
  }

  checkLayer(): void {}

  /** The very blobs are kept, and pushed. */
  async whyUnseen(): Promise<undefined> {}

  async checkLoaded(): Promise<void> {}

  runLoad<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  commitOrder(image: Image): CommitOrder {
    return new LayerSet(image);
  }

  async loadable(parts: ImageParts, { store }: Image, name: string | undefined): Promise<Loadable> {
    const content = store === 'classic' ? await this.#engine.content() : undefined;
    // What a manifest that we make is to say of the layers that did not come.
    const held = content ? await heldLayers(content, parts.held) : new Map();
    const root = parts.containerdRoot(held);
    return { id: root.digest, files: ociArchive(root, parts.metadata(), name) };
  }
}

function saved(image: Image, why: string): Looked {
  return { image: { ...image, readBy: { way: 'save', why } }, readable: undefined };
}

function isWhole(manifests: readonly InspectedManifest[]): boolean {
  return manifests.some(({ Available, Kind }) => Available && Kind === 'image');
}
