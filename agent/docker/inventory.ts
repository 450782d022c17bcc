/** What an engine holds already and need not be sent again. classic/ and containerd/ take it. */
import type { Digest, Image } from '../model/image.ts';
import type { ListedByEngine } from './engine.ts';

export interface Lacking {
  /** Digests as the source names them; undefined where this engine cannot tell. */
  readonly missing: readonly Digest[] | undefined;
  /** How many of its lowest layers are here, or are coming; of no meaning for a containerd store. */
  readonly below: number;
  /** What this store will hold besides once the image has come: to be given along for the images behind it. */
  readonly brings: readonly Digest[];
  /** Of its layers, those that are here now; empty for a classic store, where the chain ids tell it anew. */
  readonly here: readonly Digest[];
}

export type Digests = Pick<ReadonlySet<Digest>, 'has'>;

/** Layers that were here when the image was planned and have gone since. */
export type Gone = Pick<Lacking, 'below'> & { readonly missing: readonly Digest[] };

/** A snapshot: take a new one when time has passed. */
export interface Inventory {
  /** `coming`: what images before this one bring. */
  lacking(image: Image, coming: Digests): Promise<Lacking>;
  /**
   * Which of the image's layers that were `held` are not here any more; undefined where all of them are. `known`: layers
   * that were here as layers, or have come. Of another one that lies here nobody has shown that it is a layer: it was to
   * come with an image that failed.
   */
  gone(image: Image, held: ReadonlySet<Digest>, known: Digests): Promise<Gone | undefined>;
  /**
   * The id here of an image whose platform has this config, whole; undefined where there is none. Whoever asks has to
   * know its layers, too: answers tell ids, and no stranger is to name an image by one.
   */
  withConfig(config: Digest, diffIds: readonly Digest[]): Promise<Digest | undefined>;
  /** How many of the `missing` layers are here all the same, under the digest of another compression. */
  heldOtherwise(image: Image, missing: readonly Digest[]): Promise<number>;
}

export type List = () => Promise<readonly ListedByEngine[]>;
