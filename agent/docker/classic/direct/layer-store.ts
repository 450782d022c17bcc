/** Whether the layers of an engine can be read where they lie, and the images that can. */

import { access, constants, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest, Image } from '../../../model/image.ts';
import { chainIds } from '../../../oci/chain-id.ts';
import type { Engine } from '../../engine.ts';
import type { WorkerData } from './layer-messages.ts';
import { LayerThread } from './layer-thread.ts';
import type { FoundImage, Layout, Position } from './layout.ts';
import { layoutOf } from './layouts.ts';
import { Odd } from './odd.ts';

/** By what the system says of the engine's data, or of something in it. */
const WORDS: Readonly<Record<string, (root: string) => string>> = {
  EACCES: (root) => `this user may not read ${root}`,
  EPERM: (root) => `this user may not read ${root}`,
  ENOENT: (root) => `${root} is not visible from here`,
  ENOTDIR: (root) => `${root} is not visible from here`,
};

const UNIX = 'unix://';

export class LayerStore implements AsyncDisposable {
  readonly thread: LayerThread;
  readonly #socket: string;
  readonly #root: string;
  readonly #layout: Layout;
  /** Layers in which `oddFile` has found none, by their chain ids. */
  readonly #checked = new Set<Digest>();

  private constructor(socket: string, layout: Layout, data: WorkerData) {
    this.#socket = socket;
    this.#root = data.root;
    this.#layout = layout;
    this.thread = new LayerThread(data);
  }

  /** Gives why not, where the engine cannot be such: it is elsewhere, or keeps layers in another way. */
  static of({ endpoint, info }: Pick<Engine, 'endpoint' | 'info'>): LayerStore | string {
    const { dataRoot, driver, kind } = info;
    if (!endpoint.address.startsWith(UNIX)) return 'the engine is not on this host';
    if (dataRoot === undefined || driver === undefined)
      return 'the engine does not say where it keeps its data';
    const layout = layoutOf(kind, driver);
    if (layout === undefined) return `the engine keeps layers with ${JSON.stringify(driver.slice(0, 40))}`;
    return new LayerStore(endpoint.address.slice(UNIX.length), layout, { root: dataRoot, kind, driver });
  }

  /** Gives why not, where this image cannot be read there. */
  async find({ id, diffIds }: Image): Promise<FoundImage | string> {
    const chain = chainIds(diffIds);
    return this.#find(
      id,
      diffIds.map((diffId, at) => ({ diffId, chainId: chain[at] as Digest })),
    );
  }

  async #find(id: Digest, positions: readonly Position[]): Promise<FoundImage | string> {
    try {
      return (await this.#whyNotItsOwn()) ?? (await this.thread.find(id, positions));
    } catch (error) {
      const { message, syscall } = error as NodeJS.ErrnoException;
      if (!(error instanceof Odd) && syscall === undefined) throw error;
      return (await this.whyNot()) ?? `${this.#root}: ${message}`;
    }
  }

  /**
   * Sees that the engine, when it opens the files of layers of image `id` by their names, finds the layers' own: layers
   * from position `from` on, each once. Gives what it may find instead, if anything; `unseen` where layers cannot be seen.
   */
  async oddFile(id: Digest, diffIds: readonly Digest[], from: number): Promise<Odd | 'unseen' | undefined> {
    if (!this.#layout.findsOwn) return 'unseen';
    const chain = chainIds(diffIds);
    const positions = diffIds.flatMap((diffId, at) => {
      const chainId = chain[at] as Digest;
      return at < from || this.#checked.has(chainId) ? [] : [{ diffId, chainId }];
    });
    const found = await this.#find(id, positions);
    if (typeof found === 'string') return 'unseen';
    for (const [at, layer] of found.layers.entries()) {
      try {
        await this.thread.check(layer);
      } catch (error) {
        if (error instanceof Odd) return error;
        throw error;
      }
      this.#checked.add((positions[at] as Position).chainId);
    }
    return undefined;
  }

  /** Why `oddFile` sees nothing, as far as that shows without an image; undefined where nothing stands in the way. */
  async whyUnseen(): Promise<string | undefined> {
    if (this.#layout.findsOwn) return this.whyNot();
    return 'the engine keeps layers with fuse-overlayfs, which finds files by rules of its own';
  }

  /** Why no image can be read there, as far as that shows without one; undefined where nothing stands in the way. */
  async whyNot(): Promise<string | undefined> {
    try {
      await access(join(this.#root, this.#layout.place), constants.R_OK);
      return await this.#whyNotItsOwn();
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException;
      return WORDS[code]?.(this.#root) ?? message;
    }
  }

  /**
   * An engine says itself where its data are. One that another user runs could name what only this one may read, so they
   * have to be of whoever has the engine's socket: root, or this user. Throws what the system says.
   */
  async #whyNotItsOwn(): Promise<string | undefined> {
    const [engine, data] = [await stat(this.#socket), await stat(this.#root)];
    if (engine.uid !== data.uid) return `${this.#root} does not belong to the user who runs the engine`;
    const ours = data.uid === 0 || data.uid === process.geteuid?.();
    return ours ? undefined : `${this.#root} belongs to another user`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.thread[Symbol.asyncDispose]();
  }
}
