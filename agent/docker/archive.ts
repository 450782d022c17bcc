/** The metadata of a tar for `docker load`, in the shape that every engine takes. docs/engines.md. */
import type { Digest } from '../model/image.ts';
import { canonical, parseTarget } from '../model/reference.ts';
import { blobPath } from '../oci/blob-path.ts';
import type { Root } from '../oci/image-parts.ts';

/** A file, or a hard link to one that is before it. */
export type ArchiveFile = readonly [path: string, content: Buffer | { readonly linkTo: string }];

export { blobPath };

/** For a classic engine. `layerPaths`: bottom first; what it holds it does not look for. `name`: undefined for none. */
export function classicArchive(
  [config, configBytes]: readonly [Digest, Buffer],
  layerPaths: readonly string[],
  name: string | undefined,
): readonly ArchiveFile[] {
  const manifest = [{ Config: blobPath(config), RepoTags: name ? [name] : null, Layers: layerPaths }];
  return [
    [blobPath(config), configBytes],
    ['manifest.json', json(manifest)],
  ];
}

/** For a containerd store: an OCI image layout. `metadata`: all that `root` leads to but layers, and perhaps itself. */
export function ociArchive(
  root: Root,
  metadata: readonly (readonly [Digest, Buffer])[],
  name: string | undefined,
): readonly ArchiveFile[] {
  const blobs = new Map<string, Buffer>(
    [...metadata, [root.digest, root.bytes] as const].map(([digest, bytes]) => [blobPath(digest), bytes]),
  );
  const usual = `application/vnd.oci.image.${root.kind}.v1+json`;
  const mediaType =
    (JSON.parse(root.bytes.toString('utf8')) as { mediaType?: string | null }).mediaType ?? usual;
  const descriptor = { mediaType, digest: root.digest, size: root.bytes.length };
  const manifests = [{ ...descriptor, ...(name !== undefined && { annotations: annotationsOf(name) }) }];
  return [
    ...blobs,
    ['oci-layout', json({ imageLayoutVersion: '1.0.0' })],
    ['index.json', json({ schemaVersion: 2, manifests })],
  ];
}

/** Only a canonical name is taken for what it says. */
function annotationsOf(name: string): Record<string, string> {
  const reference = parseTarget(name, 'the private name');
  return {
    'io.containerd.image.name': canonical(reference),
    'org.opencontainers.image.ref.name': reference.tag as string,
  };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
