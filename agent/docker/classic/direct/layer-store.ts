/** Whether the layers of a classic engine can be read where they lie, and the images that can. */

import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import type { Image } from '../../../model/image.ts';
import { chainIds } from '../../../oci/chain-id.ts';
import type { Engine } from '../../engine.ts';
import { type FoundImage, isReadable } from './layer-files.ts';
import { LayerThread } from './layer-thread.ts';
import { Odd } from './odd.ts';

/** By what the system says of the engine's data, or of something in it. */
const WORDS: Readonly<Record<string, (root: string) => string>> = {
  EACCES: (root) => `this user may not read ${root}`,
  EPERM: (root) => `this user may not read ${root}`,
  ENOENT: (root) => `images are not to be seen in ${root} from here`,
  ENOTDIR: (root) => `images are not to be seen in ${root} from here`,
};

export class LayerStore implements AsyncDisposable {
  readonly thread: LayerThread;
  readonly #root: string;
  readonly #driver: string;

  private constructor(root: string, driver: string) {
    this.#root = root;
    this.#driver = driver;
    this.thread = new LayerThread({ root, driver });
  }

  /** Gives why not, where the engine cannot be such: it is elsewhere, or keeps layers in another way. */
  static of({ endpoint, info }: Pick<Engine, 'endpoint' | 'info'>): LayerStore | string {
    const { dataRoot, driver } = info;
    if (!endpoint.address.startsWith('unix://')) return 'the engine is not on this host';
    if (dataRoot === undefined || driver === undefined)
      return 'the engine does not say where it keeps its data';
    if (!isReadable(driver)) return `the engine keeps layers with ${JSON.stringify(driver.slice(0, 40))}`;
    return new LayerStore(dataRoot, driver);
  }

  /** Gives why not, where this image cannot be read there. */
  async find({ id, diffIds }: Image): Promise<FoundImage | string> {
    const chain = chainIds(diffIds);
    const positions = diffIds.map((diffId, at) => ({ diffId, chainId: chain[at] as typeof diffId }));
    try {
      return await this.thread.find(id, positions);
    } catch (error) {
      if (!(error instanceof Odd)) throw error;
      return (await this.whyNot()) ?? `${this.#root}: ${error.message}`;
    }
  }

  /** Why no image can be read there, as far as that shows without one; undefined where nothing stands in the way. */
  async whyNot(): Promise<string | undefined> {
    try {
      await access(join(this.#root, 'image', this.#driver, 'layerdb'), constants.R_OK);
      return undefined;
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException;
      return WORDS[code]?.(this.#root) ?? message;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.thread[Symbol.asyncDispose]();
  }
}
