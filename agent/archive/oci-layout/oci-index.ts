/** The descriptors of `index.json`, one for each name of an image. OCI image spec 1.1, image-index.md and annotations.md. */
import type { Descriptor, Image } from '../../model/image.ts';
import { canonical, parseTarget } from '../../model/reference.ts';
import { isIndexType } from '../../oci/metadata.ts';
import type { WholeImage } from '../blob-store.ts';
import { IMAGE_NAME, REF_NAME, ROOT_KIND } from './oci-images.ts';

export const LAYOUT_BYTES = Buffer.from('{"imageLayoutVersion":"1.0.0"}');

export interface LayoutDescriptor extends Descriptor {
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Docker has a tag for the reference name; podman and skopeo have the whole name, or they could not tell two images apart. */
export function ociDescriptors(
  { image, root }: WholeImage,
  kind: 'docker-archive' | 'oci-archive' | 'oci',
): readonly LayoutDescriptor[] {
  const usual = `application/vnd.oci.image.${root.kind}.v1+json`;
  const said = (JSON.parse(root.bytes.toString('utf8')) as { mediaType?: string | null }).mediaType ?? usual;
  // Some call their indexes by types of their own; a reader would take such a one for a manifest.
  const mediaType = isIndexType(said) === (root.kind === 'index') ? said : usual;
  const annotations = image.store === 'classic' ? { annotations: { [ROOT_KIND]: 'config' } } : {};
  const descriptor = { mediaType, digest: root.digest, size: root.bytes.length, ...annotations };
  return namedDescriptors(descriptor, image.names, kind);
}

export function namedDescriptors(
  descriptor: LayoutDescriptor,
  names: Image['names'],
  kind: 'docker-archive' | 'oci-archive' | 'oci',
): readonly LayoutDescriptor[] {
  if (names.length === 0) return [descriptor];
  return names.map(({ target }) => {
    const reference = parseTarget(target, 'the name');
    const name = canonical(reference);
    const label = kind === 'docker-archive' ? (reference.tag as string) : name;
    return {
      ...descriptor,
      annotations: { ...descriptor.annotations, [IMAGE_NAME]: name, [REF_NAME]: label },
    };
  });
}
