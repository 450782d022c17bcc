/** Small real images, put on an engine without a registry: composed as an archive and given to `docker load`. */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import type { Engine } from './engine.ts';
import { CREATED, type LayerSpec, layerTar } from './layers.ts';

export interface ImageOptions {
  /** `web:1.0`, `team/web:1.0`, `host:5000/web:1.0`. */
  readonly name: string;
  /** From the bottom up. */
  readonly layers: readonly LayerSpec[];
  /** The `config` of the image's configuration: `Env`, `Cmd`, `Labels` and so on. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** As Go names it; amd64 when left out. */
  readonly architecture?: string;
  /** As Go names it; linux when left out. */
  readonly os?: string;
  /** Layer blobs compressed; only the containerd store keeps them so. */
  readonly gzip?: boolean;
}

/** What was loaded. All digests are `sha256:` and 64 hexadecimal digits. */
export interface LoadedImage {
  readonly name: string;
  /** As this engine names the image: config digest, or on the containerd store that of the root. */
  readonly id: string;
  readonly config: string;
  readonly manifest: string;
  readonly configBytes: number;
  readonly manifestBytes: number;
  /** Of an index image only. */
  readonly index?: string;
  readonly diffIds: readonly string[];
  /** The layer blobs as they are stored in the archive. */
  readonly layers: readonly { readonly digest: string; readonly bytes: number }[];
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string; readonly os: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An image in pieces, all of them among `blobs`. */
interface Composed {
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly diffIds: readonly string[];
  readonly blobs: Map<string, Buffer>;
}

const OCI = 'application/vnd.oci.image';

/** Loads an ordinary image; every flavour of engine takes it. */
export async function loadImage(engine: Engine, options: ImageOptions): Promise<LoadedImage> {
  const image = await compose(options);
  await load(engine, options.name, image, image.manifest);
  return loaded(engine, options.name, image);
}

/**
 * Loads what `docker pull` leaves on the containerd store (28c): an index with one platform present, another
 * one listed but absent, and an attestation listed but absent.
 */
export async function loadIndexImage(engine: Engine, options: ImageOptions): Promise<LoadedImage> {
  const image = await compose(options);
  const { platform } = image.manifest;
  const attestation = {
    'vnd.docker.reference.type': 'attestation-manifest',
    'vnd.docker.reference.digest': image.manifest.digest,
  };
  const index = addJson(image.blobs, `${OCI}.index.v1+json`, {
    schemaVersion: 2,
    mediaType: `${OCI}.index.v1+json`,
    manifests: [
      image.manifest,
      { ...absent('another platform'), platform: { architecture: 'arm64', os: platform?.os ?? 'linux' } },
      {
        ...absent('attestation'),
        platform: { architecture: 'unknown', os: 'unknown' },
        annotations: attestation,
      },
    ],
  });
  await load(engine, options.name, image, index);
  return { ...(await loaded(engine, options.name, image)), index: index.digest };
}

async function compose(options: ImageOptions): Promise<Composed> {
  const { architecture = 'amd64', os = 'linux' } = options;
  const blobs = new Map<string, Buffer>();
  const tars = await Promise.all(options.layers.map(layerTar));
  const diffIds = tars.map(sha256);
  const layers = tars.map((tar) =>
    options.gzip
      ? add(blobs, `${OCI}.layer.v1.tar+gzip`, gzipSync(tar, { level: 1 }))
      : add(blobs, `${OCI}.layer.v1.tar`, tar),
  );
  const created = CREATED.toISOString();
  const config = addJson(blobs, `${OCI}.config.v1+json`, {
    architecture,
    os,
    created,
    config: options.config ?? {},
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: diffIds.map((_, index) => ({ created, created_by: `layer ${index}` })),
  });
  const mediaType = `${OCI}.manifest.v1+json`;
  const manifest = addJson(blobs, mediaType, { schemaVersion: 2, mediaType, config, layers });
  return { manifest: { ...manifest, platform: { architecture, os } }, config, layers, diffIds, blobs };
}

/** The one archive shape that both kinds of store load. */
async function load(engine: Engine, name: string, image: Composed, root: Descriptor): Promise<void> {
  const annotations = {
    'io.containerd.image.name': canonical(name),
    'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
  };
  const archive = pack();
  for (const [digest, blob] of image.blobs) archive.entry({ name: blobPath(digest) }, blob);
  const json = (name: string, value: unknown) => archive.entry({ name }, JSON.stringify(value));
  json('oci-layout', { imageLayoutVersion: '1.0.0' });
  json('index.json', { schemaVersion: 2, manifests: [{ ...root, annotations }] });
  json('manifest.json', [
    {
      Config: blobPath(image.config.digest),
      RepoTags: [name],
      Layers: image.layers.map(({ digest }) => blobPath(digest)),
    },
  ]);
  archive.finalize();
  const said = await engine.docker(['load'], { input: archive });
  if (said.includes('Error unpacking')) throw new Error(`load ${name}: ${said.trim()}`);
}

/** Names to ids, as docker shows them; images without a name under `<none>` and their id. */
export async function namesOn(engine: Engine): Promise<Record<string, `sha256:${string}`>> {
  const format = '{{.Repository}}:{{.Tag}} {{.ID}}';
  const lines = (await engine.docker(['image', 'ls', '--all', '--no-trunc', '--format', format])).trim();
  return Object.fromEntries(
    lines
      .split('\n')
      .filter((line) => line !== '')
      .map((line): [string, `sha256:${string}`] => {
        const [name = '', id = ''] = line.split(' ');
        return [name === '<none>:<none>' ? `<none> ${id}` : name, id as `sha256:${string}`];
      }),
  );
}

async function loaded(engine: Engine, name: string, image: Composed): Promise<LoadedImage> {
  return {
    name,
    id: (await engine.docker(['image', 'inspect', '--format', '{{.Id}}', name])).trim(),
    config: image.config.digest,
    manifest: image.manifest.digest,
    configBytes: image.config.size,
    manifestBytes: image.manifest.size,
    diffIds: image.diffIds,
    layers: image.layers.map(({ digest, size }) => ({ digest, bytes: size })),
  };
}

function add(blobs: Map<string, Buffer>, mediaType: string, blob: Buffer): Descriptor {
  const digest = sha256(blob);
  blobs.set(digest, blob);
  return { mediaType, digest, size: blob.length };
}

function addJson(blobs: Map<string, Buffer>, mediaType: string, value: unknown): Descriptor {
  return add(blobs, mediaType, Buffer.from(JSON.stringify(value)));
}

/** A manifest that nobody has. */
function absent(what: string): Descriptor {
  return { mediaType: `${OCI}.manifest.v1+json`, digest: sha256(Buffer.from(what)), size: 1_024 };
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/** The name in full, which the containerd store wants: `docker.io/library/web:1.0`. */
function canonical(name: string): string {
  const [first = '', ...rest] = name.split('/');
  if (rest.length === 0) return `docker.io/library/${name}`;
  return /[.:]|^localhost$/.test(first) ? name : `docker.io/${name}`;
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
