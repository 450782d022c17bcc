/** The images of an OCI layout by its `index.json`, be it in a tar or a directory. OCI image spec 1.1, image-layout.md. */
import * as v from 'valibot';
import { OFFER_IMAGES_MAX } from '../../../proto/limits.ts';
import type { Digest } from '../../model/image.ts';
import { blobPath } from '../../oci/blob-path.ts';
import { LAYOUT_KEYS, MANIFEST_KEYS } from '../../oci/image-keys.ts';
import { isIndexType } from '../../oci/metadata.ts';
import { parseJson } from '../../oci/strict-json.ts';
import { integrity } from '../../streams/errors.ts';
import { type ArchivedImage, archivedName, documentIn, MetadataReading, named } from '../archived-image.ts';
import type { Contents } from '../contents.ts';
import { type Described, type SetAside, setAsideUnless } from '../described.ts';
import { DirectoryContents } from '../directory-contents.ts';
import { checkRepositories, configsOfManifest } from '../docker-archive/docker-archive.ts';
import { ImageGraph } from './image-graph.ts';

export const LAYOUT = 'oci-layout';
export const INDEX = 'index.json';
/** What containerd goes by; the other one may be a mere tag. */
export const IMAGE_NAME = 'io.containerd.image.name';
export const REF_NAME = 'org.opencontainers.image.ref.name';
/** With the value `config`: the image is of a classic store, where that is its root; the manifest was made for it. */
export const ROOT_KIND = 'io.imgmv.root';

const layout = v.object({ imageLayoutVersion: v.literal('1.0.0') });
const index = v.object({
  // Docker 25 wrote null for an image that was saved by its digest (moby#47210).
  manifests: v.pipe(
    v.nullable(
      v.array(
        v.object({
          mediaType: v.string(),
          // Not all are sha256; those that are not are set aside.
          digest: v.string(),
          size: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
          annotations: v.nullish(v.record(v.string(), v.string())),
        }),
      ),
    ),
    v.transform((list) => list ?? []),
    v.maxLength(OFFER_IMAGES_MAX),
  ),
});

export function openOciLayout(path: string, signal: AbortSignal): Promise<Contents> {
  const wanted = (name: string) =>
    name === LAYOUT || name === INDEX || /^blobs\/sha256\/[0-9a-f]{64}$/.test(name);
  return DirectoryContents.open(path, ['', 'blobs/sha256'], wanted, signal);
}

/** Throws integrity for what is wrong with the layout; an entry of it that is no good image is set aside. */
export function ociImages(contents: Contents): Described {
  const { files, links } = contents;
  const [link] = links.keys();
  if (link !== undefined) throw integrity(`${JSON.stringify(link)} is a link, and an OCI layout has none`);
  const bytes = documentIn(contents, LAYOUT, ': it is not an OCI image layout');
  parseJson(layout, bytes, LAYOUT, LAYOUT_KEYS);
  checkRepositories(contents);
  const reading = new MetadataReading();
  const found = new Map<Digest, { one: ArchivedImage; names: string[]; labels: string[] }>();
  const setAside: SetAside[] = [];
  const warnings: string[] = [];
  for (const { annotations, digest: written, ...root } of parseIndex(documentIn(contents, INDEX)).manifests) {
    const { [IMAGE_NAME]: name, [REF_NAME]: label, [ROOT_KIND]: rootKind } = annotations ?? {};
    const text = name ?? (label !== undefined && /[:/]/.test(label) ? label : undefined);
    setAsideUnless([text ?? label ?? written], setAside, () => {
      const digest = sha256Of(written);
      const kind = isIndexType(root.mediaType) ? 'index' : 'manifest';
      const graph = new ImageGraph(files, blobPath, reading);
      const same = found.get(digest) ?? {
        one: graph.image({ ...root, digest, kind }, rootKind === 'config'),
        names: [],
        labels: [],
      };
      if (text !== undefined) same.names.push(...archivedName(text, warnings));
      if (label !== undefined) same.labels.push(label);
      found.set(digest, same);
    });
    reading.requireWithin();
  }
  const images = [...found.values()].flatMap(
    ({ one, names, labels }) =>
      setAsideUnless([one.image.id], setAside, () => ({ ...one, image: named(one.image, names), labels })) ??
      [],
  );
  // What is set aside may be what manifest.json names besides.
  if (setAside.length === 0 && images.length > 0) agreeWithManifest(contents, images);
  return { images: merged(images), setAside, warnings };
}

function sha256Of(digest: string): Digest {
  if (/^sha256:[0-9a-f]{64}$/.test(digest)) return digest as Digest;
  throw integrity(`${JSON.stringify(digest.slice(0, 200))} is not a sha256 digest`, {
    hint: 'imgmv reads only images whose digests are sha256',
  });
}

/** Throws integrity for what is no index. */
export function parseIndex(bytes: Buffer) {
  return parseJson(index, bytes, INDEX, MANIFEST_KEYS);
}

/** Docker from 25 on describes the same images twice; a classic engine goes by the one, a containerd store by the other. */
function agreeWithManifest(contents: Contents, images: readonly ArchivedImage[]): void {
  const configs = new Set(
    images.flatMap(({ metadata }) =>
      metadata.filter(({ kind }) => kind === 'config').map(({ digest }) => digest),
    ),
  );
  const stray = configsOfManifest(contents)?.find((config) => !configs.has(config));
  if (stray !== undefined)
    throw integrity(`manifest.json and ${INDEX} differ: only one of them has the config ${stray}`);
}

/** Two manifests of one classic image are that image. */
function merged(images: readonly ArchivedImage[]): readonly ArchivedImage[] {
  const byId = new Map<Digest, ArchivedImage>();
  for (const one of images) {
    const same = byId.get(one.image.id);
    const names = [...(same?.image.names ?? []), ...one.image.names].map(({ target }) => target);
    const labels = [...(same?.labels ?? []), ...one.labels];
    const claims = [...(same?.claims ?? []), ...one.claims];
    byId.set(one.image.id, { ...(same ?? one), image: named((same ?? one).image, names), labels, claims });
  }
  return [...byId.values()];
}
