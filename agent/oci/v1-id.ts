/**
 * The ids that docker 20.10 and older make up for layers when they save an image, which name no bytes but can be
 * known before them. Knows nothing of archives. moby v20.10 image/v1/imagev1.go CreateID, image/tarexport/save.go
 * saveImage
 */
import type { Digest } from '../model/image.ts';
import { hexOf } from './blob-path.ts';
import { chainIds } from './chain-id.ts';
import { digestOf } from './metadata.ts';

/** Go's JSON of a zero container.Config, moby v20.10 api/types/container/config.go: null where it omits nothing. */
const NO_CONTAINER = {
  Hostname: '',
  Domainname: '',
  User: '',
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Env: null,
  Cmd: null,
  Image: '',
  Volumes: null,
  WorkingDir: '',
  Entrypoint: null,
  OnBuild: null,
  Labels: null,
};
/** Go prints time.Unix(0, 0) in the daemon's time zone: this is UTC. */
export const EPOCH = '1970-01-01T00:00:00Z';

/**
 * From the name of a layer's directory in docker save (64 hexadecimal digits) to the layer's diffID: one for each
 * of `diffIds` but the top one, bottom first. The top layer's id covers the whole config of the image, too.
 * An id covers its chain id, so one that is found here is that layer. `epoch` is as the daemon prints it; with
 * that of another time zone none is found.
 */
export function v1Ids(diffIds: readonly Digest[], epoch = EPOCH): ReadonlyMap<string, Digest> {
  const chain = chainIds(diffIds);
  const layers = new Map<string, Digest>();
  let parent: Digest | undefined;
  for (const [at, diffId] of diffIds.slice(0, -1).entries()) {
    // The keys in the order of Go's JSON of a map: sorted. What is escaped there, "<>&", is in none of these.
    const v1Image = {
      container_config: NO_CONTAINER,
      created: epoch,
      layer_id: chain[at],
      ...(parent && { parent }),
    };
    parent = digestOf(Buffer.from(JSON.stringify(v1Image)));
    layers.set(hexOf(parent), diffId);
  }
  return layers;
}
