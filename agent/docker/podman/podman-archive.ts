/**
 * What podman loads. Of a docker archive it wants all layers, of an OCI archive only those that it does not have, and it
 * compares none of them with the config. Seen of 4.3.1.
 */
import type { Digest } from '../../model/image.ts';
import { blobPath } from '../../oci/blob-path.ts';
import type { PlacedLayer, Root } from '../../oci/image-parts.ts';
import { CONFIG_TYPE, digestOf } from '../../oci/metadata.ts';
import { type ArchiveFile, ociArchive } from '../archive.ts';

const MANIFEST_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';
const LAYER_TYPE = 'application/vnd.docker.image.rootfs.diff.tar';

/**
 * An OCI layout whose manifest is docker's, since podman drops the health check of an image that has one
 * of OCI's. `layers`: bottom first.
 */
export function podmanArchive(
  config: readonly [Digest, Buffer],
  layers: readonly PlacedLayer[],
  name: string | undefined,
): readonly ArchiveFile[] {
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: CONFIG_TYPE, digest: config[0], size: config[1].length },
    layers: layers.map(({ digest, diffId, size }) => ({
      mediaType: digest === diffId ? LAYER_TYPE : `${LAYER_TYPE}.gzip`,
      digest,
      size,
    })),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const root: Root = { digest: digestOf(bytes), kind: 'manifest', bytes };
  // A layer whose digest was not known before its bytes lies under another name.
  const links = new Map<string, string>();
  for (const { digest, path } of layers)
    if (path !== undefined && path !== blobPath(digest)) links.set(blobPath(digest), path);
  return [
    ...[...links].map(([path, linkTo]): ArchiveFile => [path, { linkTo }]),
    ...ociArchive(root, [config], name),
  ];
}
