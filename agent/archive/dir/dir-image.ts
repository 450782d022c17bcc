/** The one image of skopeo's `dir:` format: `manifest.json` as it is, blobs by the digits of their digests. */
import * as v from 'valibot';
import type { Digest } from '../../model/image.ts';
import { hexOf } from '../../oci/blob-path.ts';
import { MANIFEST_KEYS } from '../../oci/image-keys.ts';
import { digestOf, isIndexType } from '../../oci/metadata.ts';
import { parseJson } from '../../oci/strict-json.ts';
import { integrity } from '../../streams/errors.ts';
import { documentIn, MetadataReading } from '../archived-image.ts';
import type { Contents } from '../contents.ts';
import type { Described } from '../described.ts';
import { MANIFEST } from '../docker-archive/docker-archive.ts';
import { ImageGraph } from '../oci-layout/image-graph.ts';

export const OCI_MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const typed = v.object({ mediaType: v.nullish(v.string(), OCI_MANIFEST_TYPE) });

export function isDirFile(name: string): boolean {
  return name === MANIFEST || /^[0-9a-f]{64}$/.test(name);
}

/** Throws integrity for the first thing that is wrong. */
export function dirImages(contents: Contents): Described {
  const bytes = documentIn(contents, MANIFEST);
  const { mediaType } = parseJson(typed, bytes, MANIFEST, MANIFEST_KEYS);
  if (isIndexType(mediaType))
    throw integrity('it holds an index of several images, and a dir: can hold only one', {
      hint: 'skopeo copy without --all writes one of them; oci: keeps them all',
    });
  const root = { mediaType, digest: digestOf(bytes), size: bytes.length, kind: 'manifest' as const };
  const nameOf = (digest: Digest) => (digest === root.digest ? MANIFEST : hexOf(digest));
  const image = new ImageGraph(contents.files, nameOf, new MetadataReading()).image(root, false);
  return { images: [image], setAside: [], warnings: [] };
}
