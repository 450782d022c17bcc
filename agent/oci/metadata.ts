/**
 * Manifests, indexes and configs: what of them imgmv reads, and how it makes those that an engine of the
 * other kind wants. OCI image spec 1.1, manifest.md, image-index.md and config.md; PROTOCOL.md section 8.
 */
import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { LAYERS_MAX } from '../../proto/limits.ts';
import type { BlobKind, Descriptor, Digest, Image } from '../model/image.ts';
import { integrity } from '../streams/errors.ts';
import { CONFIG_KEYS, MANIFEST_KEYS } from './image-keys.ts';
import { parseJson, strictJson } from './strict-json.ts';

const digest = v.pipe(
  v.string(),
  v.regex(/^sha256:[0-9a-f]{64}$/),
  v.transform((text) => text as Digest),
);
const descriptor = v.object({
  mediaType: v.string(),
  digest,
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});
/** What engines take an image for that does not say its operating system. */
export const OS_UNSAID = 'linux';
/** Of an image that does not say for which architecture it is: engines run it all the same. */
export const ARCHITECTURE_UNSAID = 'unknown';

/** Go reads null, an empty text and nothing at all alike. */
const textOr = (unsaid: string) =>
  v.nullish(
    v.pipe(
      v.string(),
      v.transform((text) => text || unsaid),
    ),
    unsaid,
  );
const platform = v.object({
  os: textOr(OS_UNSAID),
  architecture: textOr(ARCHITECTURE_UNSAID),
  variant: v.nullish(v.string()),
});
// What could be read as either would be checked as the one and loaded as the other (CVE-2021-41190): containerd
// refuses the same in its images.validateMediaType.
const typeOtherThan = (of: (mediaType: string) => boolean) =>
  v.nullish(
    v.pipe(
      v.string(),
      v.check((type) => !of(type)),
    ),
  );
const manifest = v.object({
  mediaType: typeOtherThan(isIndexType),
  manifests: v.optional(v.never()),
  config: descriptor,
  layers: v.nullable(v.pipe(v.array(descriptor), v.maxLength(LAYERS_MAX)), []),
});
const index = v.object({
  mediaType: typeOtherThan(isManifestType),
  config: v.optional(v.never()),
  layers: v.optional(v.never()),
  manifests: v.nullable(
    v.pipe(
      v.array(
        v.object({
          ...descriptor.entries,
          platform: v.nullish(platform),
          // A reader that takes bytes from here would have a manifest that nobody has sent.
          data: v.optional(v.never()),
        }),
      ),
      v.maxLength(1_000),
    ),
    [],
  ),
});
const config = v.object({
  ...platform.entries,
  rootfs: v.object({
    type: v.nullish(v.literal('layers')),
    diff_ids: v.nullish(v.pipe(v.array(digest), v.maxLength(LAYERS_MAX)), []),
  }),
});

const statement = v.object({
  _type: v.pipe(v.string(), v.startsWith('https://in-toto.io/Statement/')),
  schemaVersion: v.optional(v.never()),
  rootfs: v.optional(v.never()),
});

export type Manifest = v.InferOutput<typeof manifest>;
export type Index = v.InferOutput<typeof index>;
export type Config = v.InferOutput<typeof config>;
export type Metadata = { kind: 'manifest'; value: Manifest } | { kind: 'index'; value: Index };

export interface Child extends Descriptor {
  readonly kind: BlobKind;
  /** Of what an index names, if it says so. */
  readonly platform?: v.InferOutput<typeof platform> | null | undefined;
}

export function readMetadata(bytes: Buffer, kind: 'manifest' | 'index'): Metadata {
  return kind === 'manifest'
    ? { kind, value: parseJson(manifest, bytes, 'a manifest', MANIFEST_KEYS) }
    : { kind, value: parseJson(index, bytes, 'an index', MANIFEST_KEYS) };
}

export function readConfig(bytes: Buffer): Config {
  return parseJson(config, bytes, 'a config', CONFIG_KEYS);
}

/** Throws integrity for a config, of whatever type, that two readers could read differently. */
export function checkConfig(bytes: Buffer): void {
  // That of an artifact need not be JSON.
  if (/^\s*\{/.test(bytes.toString('latin1'))) strictJson(bytes, 'a config', CONFIG_KEYS);
}

/** Of an attestation, as in-toto/attestation spec/v1/statement.md has it; its layers are these. */
export function readStatement(bytes: Buffer): v.InferOutput<typeof statement> {
  return parseJson(statement, bytes, 'an in-toto statement', null);
}

/** What a manifest or an index points to, in its order. */
export function childrenOf(metadata: Metadata): readonly Child[] {
  if (metadata.kind === 'index')
    return metadata.value.manifests.map((child) => ({
      ...child,
      kind: isIndexType(child.mediaType) ? 'index' : 'manifest',
    }));
  const { config: configDescriptor, layers } = metadata.value;
  return [
    { ...configDescriptor, kind: 'config' },
    ...layers.map((layer) => ({ ...layer, kind: 'layer' as const })),
  ];
}

/** An attestation is a manifest, too, and its config no image's. */
export function isImageConfigType(mediaType: string): boolean {
  return /image\.(config\.)?v1\+json$/.test(mediaType);
}

export function rootKind(image: Image): BlobKind {
  if (image.store === 'classic') return 'config';
  return /index|manifest\.list/.test(image.root.mediaType) ? 'index' : 'manifest';
}

export function isIndexType(mediaType: string): boolean {
  return mediaType.endsWith('.index.v1+json') || mediaType.endsWith('.manifest.list.v2+json');
}

/** The types by which an engine tells a manifest or an index, which it then reads and follows. */
const FOLLOWED_TYPES: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]);

/**
 * Throws integrity where an engine would take something else for a manifest than imgmv does. An engine goes by the media
 * type of a descriptor, and pushes whatever it leads to.
 */
export function checkTypes(metadata: Metadata): void {
  for (const { kind, mediaType, digest: child } of childrenOf(metadata)) {
    const followed = FOLLOWED_TYPES.has(mediaType) || isIndexType(mediaType) || isManifestType(mediaType);
    const wanted = metadata.kind === 'index' ? FOLLOWED_TYPES.has(mediaType) : !followed;
    if (!wanted)
      throw integrity(
        `a ${metadata.kind} names the ${kind} ${child} with the media type ${JSON.stringify(mediaType.slice(0, 100))}`,
      );
  }
}

function isManifestType(mediaType: string): boolean {
  return mediaType.endsWith('.manifest.v1+json') || mediaType.endsWith('.manifest.v2+json');
}

export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export const CONFIG_TYPE = 'application/vnd.docker.container.image.v1+json';
export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
export const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar';

/**
 * The manifest that a containerd store gets for an image that comes from a classic engine, byte for byte as
 * PROTOCOL.md section 8 fixes it: the same image always gets the same id.
 */
export function manifestFor(
  configBytes: Buffer,
  layers: readonly { digest: Digest; size: number; mediaType?: string }[],
): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: digestOf(configBytes),
        size: configBytes.length,
      },
      layers: layers.map((layer) => ({
        mediaType: layer.mediaType ?? LAYER_TYPE,
        digest: layer.digest,
        size: layer.size,
      })),
    }),
  );
}
