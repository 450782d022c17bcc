/** Images as classic engines keep them: an id is a config's digest, layers are known by those below them. */
import { ImgmvError } from '../../../proto/errors.ts';
import { LAYERS_CLASSIC_MAX } from '../../../proto/limits.ts';
import { type Digest, diffIdOf, type Image } from '../../model/image.ts';
import type { Pushable } from '../../model/sink.ts';
import { type ClassicView, type ImageParts, sameDigests } from '../../oci/image-parts.ts';
import { CONFIG_TYPE } from '../../oci/metadata.ts';
import { integrity } from '../../streams/errors.ts';
import { isZstd } from '../../streams/magic.ts';
import { type ArchiveFile, classicArchive } from '../archive.ts';
import type { Engine } from '../engine.ts';
import {
  type ImageStore,
  type Loadable,
  type Looked,
  NOT_DIRECTLY,
  type PushableOptions,
} from '../image-store.ts';
import { type CommitOrder, LAYER_ALONE_MIN_BYTES } from '../incoming.ts';
import type { Inventory, List } from '../inventory.ts';
import { DirectImage } from './direct/direct-image.ts';
import { LayerStore } from './direct/layer-store.ts';
import { Odd } from './direct/odd.ts';
import { layersOfHistory } from './history.ts';
import { classicInventory } from './inventory.ts';
import { LayerStack } from './layer-stack.ts';

export class ClassicStore implements ImageStore {
  readonly layersMax = LAYERS_CLASSIC_MAX;
  readonly rootType = CONFIG_TYPE;
  readonly comparesLayers: boolean = true;
  /** Why no image is read out of the store, which may be looked at all the same. */
  protected readonly whySaved: string | undefined = undefined;
  readonly #engine: Engine;
  /** Where its layers lie, or why they cannot be read there; made with the first look. */
  #layers: LayerStore | string | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async inventory(list: List): Promise<Inventory> {
    return classicInventory(this.#engine, await list());
  }

  async present({ id, diffIds }: Image): Promise<Digest | undefined> {
    const there = await this.#engine.inspect(id);
    // Answers reveal ids of images here but never their layers: a peer that knows the layers has the image, so it may
    // name and push it.
    return there?.Id === id && sameDigests(there.RootFS.Layers ?? [], diffIds) ? id : undefined;
  }

  /** What the engine has made of all layers is looked at, those that were here before, too. */
  async pushable({ image, targetId }: PushableOptions): Promise<Pushable> {
    const odd = await this.#oddFile(targetId, image.diffIds, 0);
    if (odd === 'unseen') return { foreign: [], unseen: true };
    return { foreign: [], ...(odd && { withheld: odd.message }) };
  }

  async whyUnseen(): Promise<string | undefined> {
    const layers = this.#layerStore();
    return typeof layers === 'string' ? layers : layers.whyUnseen();
  }

  async look(image: Image, direct: boolean): Promise<Looked> {
    const found = direct ? (this.whySaved ?? (await this.#directly(image))) : NOT_DIRECTLY;
    if (typeof found !== 'string') {
      const { layers, readBy } = found;
      return { image: { ...image, config: image.id, layers, readBy }, readable: found };
    }
    const layers = layersOfHistory(image.diffIds, image.bytes, await this.#engine.history(image.id));
    const readBy = { way: 'save', why: found } as const;
    return { image: { ...image, config: image.id, layers, readBy }, readable: undefined };
  }

  async #directly(image: Image): Promise<DirectImage | string> {
    const layers = this.#layerStore();
    if (typeof layers === 'string') return layers;
    const found = await layers.find(image);
    return typeof found === 'string' ? found : new DirectImage(layers.thread, image.id, found);
  }

  #layerStore(): LayerStore | string {
    this.#layers ??= LayerStore.of(this.#engine);
    return this.#layers;
  }

  /** The engine's own words are "empty export - not implemented" (moby image/tarexport/save.go). */
  whyUnsavable({ diffIds }: Image): string | undefined {
    return diffIds.length > 0
      ? undefined
      : 'it has no layers, and an engine with a classic store cannot save such an image';
  }

  /** All of an image is written to disk before the first byte comes. */
  spoolBytes({ bytes }: Image): number {
    return bytes;
  }

  checkLayer(head: Buffer): void {
    const { version } = this.#engine.info;
    if (isZstd(head) && Number.parseInt(version, 10) < 25)
      throw new ImgmvError('refused', `docker ${version} cannot load layers that are compressed with zstd`, {
        hint: 'a newer docker can; or build the image with compression=gzip',
      });
  }

  async checkLoaded(id: Digest, diffIds: readonly Digest[], from: number): Promise<void> {
    const odd = await this.#oddFile(id, diffIds, from);
    if (odd instanceof Odd)
      throw integrity(`the engine would read a file of its host for one of a layer: ${odd.message}`);
  }

  runLoad<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }

  async #oddFile(id: Digest, diffIds: readonly Digest[], from: number): Promise<Odd | 'unseen' | undefined> {
    const layers = this.#layerStore();
    return typeof layers === 'string' ? 'unseen' : layers.oddFile(id, diffIds, from);
  }

  commitOrder(image: Image, below: number): CommitOrder | undefined {
    return repeatsLarge(image) ? undefined : new LayerStack(image, below);
  }

  async loadable(parts: ImageParts, _image: Image, name: string | undefined): Promise<Loadable> {
    const view = parts.classicView();
    return { id: view.config, files: this.filesOf(parts, view, name) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (typeof this.#layers === 'object') await this.#layers[Symbol.asyncDispose]();
  }

  protected filesOf(parts: ImageParts, view: ClassicView, name: string | undefined): readonly ArchiveFile[] {
    return classicArchive([view.config, parts.bytesOf(view.config)], view.layerPaths, name);
  }
}

/** Whether a large layer occurs twice. Its bytes are streamed to one position; the second would need them again. */
function repeatsLarge({ diffIds, layers = [] }: Image): boolean {
  const large = new Set(layers.filter(({ size }) => size >= LAYER_ALONE_MIN_BYTES).map(diffIdOf));
  const found = diffIds.filter((diffId) => large.has(diffId));
  return new Set(found).size < found.length;
}
