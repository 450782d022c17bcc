/** What docker's classic store keeps where: moby layer/filestore.go and image/fs.go, the same from 1.10 on. */
import { closeSync } from 'node:fs';
import type { Beneath } from './beneath.ts';
import { configAt, type FoundLayer, hexOf, type Layout, type Position } from './layout.ts';
import { Odd } from './odd.ts';

const FACT_MAX_BYTES = 256;
const CACHE_ID = /^[0-9A-Za-z][0-9A-Za-z_-]{0,127}$/;

/** Where each driver has the files of a layer. */
const FILES: Readonly<Record<string, (cacheId: string) => string>> = {
  overlay2: (cacheId) => `overlay2/${cacheId}/diff`,
  'fuse-overlayfs': (cacheId) => `fuse-overlayfs/${cacheId}/diff`,
  vfs: (cacheId) => `vfs/dir/${cacheId}`,
};

export function mobyLayout(driver: string): Layout | undefined {
  const filesOf = Object.hasOwn(FILES, driver) ? FILES[driver] : undefined;
  if (filesOf === undefined) return undefined;
  const place = `image/${driver}/layerdb`;
  return {
    place,
    // Rules of its own hide files: https://github.com/containers/fuse-overlayfs.
    findsOwn: driver !== 'fuse-overlayfs',
    find: (beneath, id, positions) => ({
      config: configAt(beneath, `image/${driver}/imagedb/content/sha256/${hexOf(id)}`, id),
      layers: positions.map((position) => layerAt(beneath, place, position, filesOf)),
    }),
  };
}

function layerAt(
  beneath: Beneath,
  layers: string,
  { chainId, diffId }: Position,
  filesOf: (cacheId: string) => string,
): FoundLayer {
  const place = `${layers}/sha256/${hexOf(chainId)}`;
  const fact = (name: string) => beneath.read(`${place}/${name}`, FACT_MAX_BYTES).toString().trim();
  if (fact('diff') !== diffId) throw new Odd(`is not of layer ${diffId}`, `${place}/diff`);
  const cacheId = fact('cache-id');
  if (!CACHE_ID.test(cacheId)) throw new Odd('has no name of a directory', `${place}/cache-id`);
  const bytes = Number(fact('size'));
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new Odd('has no size', `${place}/size`);
  const split = `${place}/tar-split.json.gz`;
  closeSync(beneath.open(split).fd);
  return { diffId, split, bytes, files: filesOf(cacheId) };
}
