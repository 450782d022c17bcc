/** The images that rounds choose from: two families, each on a base of its own. */
import { createHash } from 'node:crypto';
import type { Engine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { type LayerSpec, type RandomBytes, randomBytes } from '../rig/layers.ts';

export const POOL = ['tiny:1', 'web:1', 'api:1', 'db:1', 'big:1'] as const;
export type PoolName = (typeof POOL)[number];

export interface PoolImage {
  readonly layers: readonly LayerSpec[];
  /** The sha256 of each file of a container made from it, by path without the leading slash. */
  readonly files: ReadonlyMap<string, string>;
}

/** Another image that a target holds under the name of one that is sent. */
export const OLD_LAYERS: readonly LayerSpec[] = [{ 'srv/old': 'what stood under this name before' }];

const MIB = 2 ** 20;
/** All files are in here. */
export const FILES_DIRECTORY = 'srv';

/** Which images share their lowest layer. */
export const BASE_OF: Readonly<Record<PoolName, 'a' | 'b'>> = {
  'tiny:1': 'a',
  'web:1': 'a',
  'api:1': 'a',
  'db:1': 'b',
  'big:1': 'b',
};

/** The images of a run: fresh ones for every seed. */
export function makePool(seed: number): ReadonlyMap<PoolName, PoolImage> {
  let files = 0;
  const layer = (mib: number, halfCompressible = false): readonly [string, RandomBytes] => {
    const number = ++files;
    return [
      `${FILES_DIRECTORY}/${number}`,
      { bytes: mib * MIB, seed: seed + number / 1_000, halfCompressible },
    ];
  };
  const bases = { a: layer(30), b: layer(24, true) };
  const above: Readonly<Record<PoolName, readonly (readonly [string, RandomBytes])[]>> = {
    'tiny:1': [layer(10)],
    'web:1': [layer(20), layer(10, true)],
    'api:1': [layer(60, true)],
    'db:1': [layer(40), layer(50, true), layer(1)],
    'big:1': [layer(70), layer(66, true)],
  };
  return new Map(
    POOL.map((name) => {
      const layers = [bases[BASE_OF[name]], ...above[name]];
      const digests = layers.map(([path, bytes]) => [path, sha256(randomBytes(bytes))] as const);
      return [name, { layers: layers.map((entry) => Object.fromEntries([entry])), files: new Map(digests) }];
    }),
  );
}

/** Puts an image of the pool on an engine. */
export function loadPooled(engine: Engine, name: PoolName, { layers }: PoolImage): Promise<LoadedImage> {
  return loadImage(engine, { name, layers });
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
