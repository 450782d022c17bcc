/**
 * The images of a docker archive by its `manifest.json`: what docker save gave before 25, what skopeo and podman
 * write. moby image/tarexport/tarexport.go; layers and diffIDs go by their position.
 */
import * as v from 'valibot';
import { counted } from '../../../proto/counted.ts';
import { LAYERS_MAX, NAMES_PER_IMAGE_MAX, OFFER_IMAGES_MAX } from '../../../proto/limits.ts';
import type { Digest } from '../../model/image.ts';
import { ARCHIVE_KEYS } from '../../oci/image-keys.ts';
import { digestOf, readConfig } from '../../oci/metadata.ts';
import { parseJson, strictJson } from '../../oci/strict-json.ts';
import { integrity } from '../../streams/errors.ts';
import {
  type ArchivedImage,
  archivedName,
  classicImage,
  type LayerClaim,
  MetadataReading,
  metadataBytes,
  named,
  type StoredLayer,
} from '../archived-image.ts';
import type { Contents, StoredFile } from '../contents.ts';
import { type Described, type SetAside, setAsideUnless } from '../described.ts';
import { LINKS_FOLLOWED_MAX } from '../limits.ts';
import { entryName } from '../tar/entry-name.ts';
import { seemsToHold } from '../wrong-file.ts';

export const MANIFEST = 'manifest.json';
const REPOSITORIES = 'repositories';
const DIGEST_NAME = /^(?:blobs\/sha256\/)?([0-9a-f]{64})(?:\.json)?$/;

const strings = (max: number) => v.nullish(v.pipe(v.array(v.string()), v.maxLength(max)), []);
const manifest = v.pipe(
  v.array(
    v.object({ Config: v.string(), RepoTags: strings(NAMES_PER_IMAGE_MAX), Layers: strings(LAYERS_MAX) }),
  ),
  v.maxLength(OFFER_IMAGES_MAX),
);

type Entry = v.InferOutput<typeof manifest>[number];

/** Throws integrity for what is wrong with the archive; an image that is not good is set aside. */
export function dockerArchiveImages(contents: Contents): Described {
  checkRepositories(contents);
  const found = new Map<Digest, { one: ArchivedImage; names: string[] }>();
  const reading = new MetadataReading();
  const setAside: SetAside[] = [];
  const warnings: string[] = [];
  for (const entry of readManifest(contents)) {
    const { Config, RepoTags } = entry;
    const called = RepoTags.length > 0 ? RepoTags : [Config];
    setAsideUnless(called, setAside, () => {
      const one = imageOf(contents, entry, reading);
      const without: string[] = [];
      const names = RepoTags.flatMap((text) => archivedName(text, without));
      found.set(one.image.id, { one, names: [...(found.get(one.image.id)?.names ?? []), ...names] });
      warnings.push(...without);
    });
    reading.requireWithin();
  }
  const images = [...found.values()].flatMap(
    ({ one, names }) =>
      setAsideUnless([one.image.id], setAside, () => ({ ...one, image: named(one.image, names) })) ?? [],
  );
  return { images, setAside, warnings };
}

/** The configs that `manifest.json` names; undefined where there is no such file. */
export function configsOfManifest(contents: Contents): readonly Digest[] | undefined {
  if (!contents.files.has(MANIFEST)) return undefined;
  return readManifest(contents).map(({ Config }) => {
    const { name, file } = fileAt(contents, Config);
    return digestOf(metadataBytes(file, name));
  });
}

/** imgmv takes no name from it; other readers do. Throws integrity where they could differ. */
export function checkRepositories({ files }: Contents): void {
  const file = files.get(REPOSITORIES);
  if (file) strictJson(metadataBytes(file, REPOSITORIES), REPOSITORIES, null);
}

function readManifest(contents: Contents) {
  const file = contents.files.get(MANIFEST);
  if (!file)
    throw integrity(`it holds neither ${MANIFEST} nor oci-layout: it is not an image archive`, {
      hint: seemsToHold(contents),
    });
  return parseJson(manifest, metadataBytes(file, MANIFEST), MANIFEST, ARCHIVE_KEYS);
}

function imageOf(contents: Contents, { Config, Layers }: Entry, reading: MetadataReading): ArchivedImage {
  const { name, file } = fileAt(contents, Config);
  const bytes = reading.of(file, name);
  const id = file.digest ?? digestOf(bytes);
  const said = DIGEST_NAME.exec(name)?.[1];
  if (said !== undefined && id !== `sha256:${said}`) throw integrity(`${JSON.stringify(name)} is ${id}`);
  const config = readConfig(bytes);
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== Layers.length)
    throw integrity(
      `${JSON.stringify(name)} names ${counted(diffIds.length, 'layer')}, and ${MANIFEST} ${Layers.length}`,
    );
  const layers = new Map<Digest, StoredLayer>();
  const claims: LayerClaim[] = [];
  for (const [at, layerName] of Layers.entries()) {
    const layer = fileAt(contents, layerName);
    const digest = diffIds[at] as Digest;
    const inflate = layer.file.compression !== 'none';
    claims.push({ file: layer.name, diffId: { digest, at } });
    layers.set(digest, { digest, size: layer.file.size, file: layer.name, inflate });
  }
  return classicImage({ id, bytes, config }, layers, claims);
}

/** The file of this name, or the one that a link of this name leads to: 20.10 has one of a layer, and links to it. */
function fileAt({ files, links }: Contents, written: string): { name: string; file: StoredFile } {
  let name = entryName(written);
  for (let hops = 0; hops <= LINKS_FOLLOWED_MAX; hops++) {
    const file = files.get(name);
    if (file) return { name, file };
    const next = links.get(name);
    if (next === undefined) break;
    name = next;
  }
  throw integrity(`${MANIFEST} names ${JSON.stringify(written)}, which is missing`);
}
