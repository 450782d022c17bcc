/** Podman's service counts as a classic engine; what is different about its loads stands here. */
import { Turns } from '../../../proto/turns.ts';
import type { Digest, Image } from '../../model/image.ts';
import type { Pushable } from '../../model/sink.ts';
import type { ClassicView, ImageParts } from '../../oci/image-parts.ts';
import type { ArchiveFile } from '../archive.ts';
import { ClassicStore } from '../classic/classic-store.ts';
import { LayerStack } from '../classic/layer-stack.ts';
import type { Arrived, CommitOrder } from '../incoming.ts';
import { podmanArchive } from './podman-archive.ts';

/** Why no layer is read out of its store, as far as people care. */
export const WHY_SAVED = "podman's store is looked at, and not read";

export class PodmanStore extends ClassicStore {
  override readonly comparesLayers = false;
  protected override readonly whySaved = WHY_SAVED;
  readonly #loads = new Turns();

  /**
   * It pushes the layers that its store has for an image, which its config need not name, and takes any layer of the store
   * with the same diffID for one of them: to look at those of the image would not be enough.
   */
  override async pushable(): Promise<Pushable> {
    return { foreign: [], unseen: true };
  }

  override async whyUnseen(): Promise<string | undefined> {
    return 'which layers podman pushes does not show beforehand';
  }

  /** Podman reuses a layer that it has, and follows links in it. A bad layer must be removed before the next load begins. */
  override runLoad<T>(work: () => Promise<T>): Promise<T> {
    return this.#loads.take(work);
  }

  override checkLayer(): void {}

  override commitOrder(image: Image, below: number): CommitOrder | undefined {
    return super.commitOrder(image, below) && new PodmanStack(image, below);
  }

  protected override filesOf(
    parts: ImageParts,
    view: ClassicView,
    name: string | undefined,
  ): readonly ArchiveFile[] {
    return podmanArchive([view.config, parts.bytesOf(view.config)], parts.podmanLayers(view), name);
  }
}

class PodmanStack extends LayerStack {
  protected override helperFiles(
    config: readonly [Digest, Buffer],
    layers: readonly (Arrived | undefined)[],
    name: string,
  ): readonly ArchiveFile[] {
    const placed = layers.map((layer, at) => {
      const diffId = this.image.diffIds[at] as Digest;
      return layer ? { ...layer, diffId } : { digest: diffId, diffId, size: 0, path: undefined };
    });
    return podmanArchive(config, placed, name);
  }
}
