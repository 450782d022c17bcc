/**
 * Layers of a classic store, which are committed from the bottom up: a helper is an image of the lowest k layers, so a
 * load is held open until all layers below its own are committed.
 */
import { type Digest, diffIdOf, type Image } from '../../model/image.ts';
import { sameDigests } from '../../oci/image-parts.ts';
import { digestOf } from '../../oci/metadata.ts';
import { type ArchiveFile, classicArchive } from '../archive.ts';
import type { InspectedImage } from '../engine.ts';
import { helperConfig } from '../helpers.ts';
import type { Arrived, Commit, CommitOrder } from '../incoming.ts';
import { Load } from '../load.ts';

export class LayerStack implements CommitOrder {
  readonly cumulative = true;
  protected readonly image: Image;
  /** What waits for the layers below it, by position. */
  readonly #waiting = new Map<number, Arrived>();
  /** The lowest position that neither is committed nor about to be. */
  #next: number;

  constructor(image: Image, below: number) {
    this.image = image;
    this.#next = below;
  }

  place(layer: Arrived): readonly Commit[] | undefined {
    const free = this.#freeFor(layer);
    if (free.length === 0) return undefined;
    // What is in memory can go into several loads.
    for (const at of layer.in instanceof Load ? free.slice(0, 1) : free) this.#waiting.set(at, layer);
    return this.#advance();
  }

  /** Positions of a layer that nothing has taken. */
  #freeFor({ digest, diffId: seen }: Arrived): readonly number[] {
    const { diffIds, layers } = this.image;
    const told = layers?.find((one) => one.digest === digest);
    const diffId = seen ?? (told ? diffIdOf(told) : digest);
    return [...diffIds.keys()].filter(
      (at) => diffIds[at] === diffId && at >= this.#next && !this.#waiting.has(at),
    );
  }

  /** Takes layers from the bottom up, as long as each run includes one that has a load of its own. */
  #advance(): readonly Commit[] {
    const commits: Commit[] = [];
    for (;;) {
      const layers: Arrived[] = [];
      let load: Load | undefined;
      for (
        let layer = this.#waiting.get(this.#next);
        layer;
        layer = this.#waiting.get(this.#next + layers.length)
      ) {
        if (layer.in instanceof Load && load) break;
        if (layer.in instanceof Load) load = layer.in;
        layers.push(layer);
      }
      if (!load) return commits;
      for (const at of layers.keys()) this.#waiting.delete(this.#next + at);
      this.#next += layers.length;
      commits.push({ load, layers, upTo: this.#next });
    }
  }

  waiting(): readonly Arrived[] {
    return [...this.#waiting.values()];
  }

  rewind(below: number): void {
    this.#next = below;
    for (const layer of this.waiting())
      if (layer.in instanceof Buffer) for (const at of this.#freeFor(layer)) this.#waiting.set(at, layer);
  }

  restart(below: number): void {
    this.#waiting.clear();
    this.#next = below;
  }

  holds(made: InspectedImage, { upTo }: Commit): boolean {
    return sameDigests(made.RootFS.Layers ?? [], this.image.diffIds.slice(0, upTo));
  }

  helper(name: string, { layers, upTo }: Commit): readonly ArchiveFile[] {
    const { os, architecture } = this.image.platform;
    const config = helperConfig(this.image.id, { os, architecture }, this.image.diffIds.slice(0, upTo));
    const held = Array.from({ length: upTo - layers.length }, () => undefined);
    return this.helperFiles([digestOf(config), config], [...held, ...layers], name);
  }

  /** `layers`: bottom first; undefined for one that the engine has. */
  protected helperFiles(
    config: readonly [Digest, Buffer],
    layers: readonly (Arrived | undefined)[],
    name: string,
  ): readonly ArchiveFile[] {
    const paths = layers.map((layer, at) => layer?.path ?? `held/${at}`);
    return classicArchive(config, paths, name);
  }
}
