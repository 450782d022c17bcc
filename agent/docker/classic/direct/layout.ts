/** Where an engine keeps the layers of an image, below the directory of its data. */
import { createHash } from 'node:crypto';
import type { Digest } from '../../../model/image.ts';
import type { Beneath } from './beneath.ts';
import { Odd } from './odd.ts';

export interface Position {
  readonly chainId: Digest;
  readonly diffId: Digest;
}

export interface FoundLayer {
  readonly diffId: Digest;
  /** Where its files are, and where tar-split has the rest of it: below the engine's data. */
  readonly files: string;
  readonly split: string;
  /** Of its files. Its tar is somewhat more: `LayerFiles.measure`. */
  readonly bytes: number;
}

export interface FoundImage {
  readonly config: Uint8Array;
  /** As the positions. */
  readonly layers: readonly FoundLayer[];
}

export interface Layout {
  /** A directory that is there if the engine's data are. */
  readonly place: string;
  /** Whether the engine, under a name that a file in a layer's directory has, finds that very file. */
  readonly findsOwn: boolean;
  /**
   * The config of image `id`, and those of its layers that have these positions. Believes nothing that does not hash to
   * what it was asked for. Throws Odd for what is missing, or not as the engine would have left it.
   */
  find(beneath: Beneath, id: Digest, positions: readonly Position[]): FoundImage;
}

const CONFIG_MAX_BYTES = 4 * 2 ** 20;

/** That it hashes to the image's id shows that this is the engine's data. */
export function configAt(beneath: Beneath, path: string, id: Digest): Uint8Array {
  const config = beneath.read(path, CONFIG_MAX_BYTES);
  const digest = `sha256:${createHash('sha256').update(config).digest('hex')}`;
  if (digest !== id) throw new Odd(`hashes to ${digest}`, path);
  return config;
}

export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}
