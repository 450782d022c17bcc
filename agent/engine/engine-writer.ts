/**
 * One image on its way into an engine: layers stream into `docker load` as they come, metadata waits until
 * every blob is verified, the image appears under a private name, is inspected and compared, and only then
 * gets its names. PROTOCOL.md section 8, ENGINE facts in docs/engines.md.
 */
import { createHash } from 'node:crypto';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import {
  BLOBS_PER_IMAGE_MAX,
  IMAGE_BYTES_ALLOWANCE,
  IMAGE_BYTES_FACTOR_MAX,
  IMAGE_METADATA_MAX_BYTES,
} from '../../proto/limits.ts';
import type { Answer, Blob, BlobKind, Committed, Digest, Image, ImageWriter, SetName } from '../image.ts';
import { canonical, parseTarget } from '../reference.ts';
import type { Engine } from './engine.ts';
import { Load } from './load.ts';
import { childrenOf, isZstd, manifestFor, readConfig, readMetadata } from './metadata.ts';
import { rootKind } from './save.ts';

export interface EngineWriterOptions {
  readonly privateName: string;
  readonly signal: AbortSignal;
  /** Gives the image that is called `from` here its own names. */
  readonly setNames: (from: string) => Promise<SetName[]>;
  readonly onWaitMs: (ms: number) => void;
}

interface Layer {
  /** Where it is in the tar. */
  readonly path: string;
  readonly size: number;
}

/** What a classic engine wants to know: the config, and the layers bottom first. */
interface ClassicView {
  readonly config: Digest;
  readonly layers: readonly Digest[];
}

export class EngineWriter implements ImageWriter {
  readonly #engine: Engine;
  readonly #image: Image;
  readonly #options: EngineWriterOptions;
  readonly #layers = new Map<Digest, Layer>();
  readonly #metadata = new Map<Digest, { kind: BlobKind; bytes: Buffer }>();
  #load: Load | undefined;
  #loadedName: string | undefined;
  #bytes = 0;
  #metadataBytes = 0;
  #blobs = 0;

  constructor(engine: Engine, answer: Answer, options: EngineWriterOptions) {
    this.#engine = engine;
    this.#image = answer.image;
    this.#options = options;
  }

  async write(blob: Blob): Promise<void> {
    this.#options.signal.throwIfAborted();
    this.#bytes += blob.size;
    const maxBytes = this.#image.bytes * IMAGE_BYTES_FACTOR_MAX + IMAGE_BYTES_ALLOWANCE;
    if (this.#bytes > maxBytes)
      throw new ImgmvError(
        'refused',
        `the image brings ${this.#bytes} bytes and was offered with ${this.#image.bytes}`,
      );
    if (++this.#blobs > BLOBS_PER_IMAGE_MAX)
      throw new ImgmvError('refused', `an image of more than ${BLOBS_PER_IMAGE_MAX} blobs`);
    await (blob.kind === 'layer' ? this.#writeLayer(blob) : this.#keepMetadata(blob));
  }

  async #writeLayer(blob: Blob): Promise<void> {
    if (blob.digest && (this.#layers.has(blob.digest) || !this.#mayCome(blob.digest)))
      throw new ImgmvError('integrity', `layer ${blob.digest} was not offered, or came twice`);
    this.#load ??= new Load(this.#engine);
    const load = this.#load;
    // 20.10 tells a layer's digest only after its bytes; the tar does not mind what the file is called.
    const path = blob.digest ? blobPath(blob.digest) : `layers/${this.#layers.size}.tar`;
    const hash = blob.verified ? undefined : createHash('sha256');
    const checkHead = (head: Buffer) => this.#checkHead(head);
    const body = async function* () {
      let first = true;
      for await (const chunk of blob.body) {
        if (first) checkHead(chunk);
        first = false;
        hash?.update(chunk);
        yield chunk;
      }
    };
    const waitedBefore = load.waitMs;
    const abort = () => void load.abort();
    this.#options.signal.addEventListener('abort', abort, { once: true });
    try {
      await load.file(path, blob.size, body());
    } finally {
      this.#options.signal.removeEventListener('abort', abort);
      this.#options.onWaitMs(load.waitMs - waitedBefore);
    }
    const digest: Digest = blob.verified?.() ?? `sha256:${hash?.digest('hex')}`;
    if (blob.digest && digest !== blob.digest)
      throw new ImgmvError('integrity', `layer ${blob.digest} came as ${digest}`);
    if (this.#layers.has(digest) || !this.#mayCome(digest))
      throw new ImgmvError('integrity', `layer ${digest} was not offered, or came twice`);
    this.#layers.set(digest, { path, size: blob.size });
  }

  /** A classic source names all its layers in the offer; those of a containerd store are known by its manifests. */
  #mayCome(digest: Digest): boolean {
    return this.#image.store === 'containerd' || this.#image.diffIds.includes(digest);
  }

  #checkHead(head: Buffer): void {
    const { kind, version, store } = this.#engine.info;
    if (store === 'classic' && kind === 'docker' && isZstd(head) && Number.parseInt(version, 10) < 25)
      throw new ImgmvError('refused', `docker ${version} cannot load layers that are compressed with zstd`, {
        hint: 'a newer docker can; or build the image with compression=gzip',
      });
  }

  async #keepMetadata(blob: Blob): Promise<void> {
    const parts: Buffer[] = [];
    for await (const chunk of blob.body) {
      this.#metadataBytes += chunk.length;
      if (this.#metadataBytes > IMAGE_METADATA_MAX_BYTES)
        throw new ImgmvError(
          'refused',
          `an image with more than ${IMAGE_METADATA_MAX_BYTES} bytes of metadata`,
        );
      parts.push(chunk);
    }
    const bytes = Buffer.concat(parts);
    const digest: Digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (blob.digest !== undefined && blob.digest !== digest)
      throw new ImgmvError('integrity', `${blob.kind} ${blob.digest} came as ${digest}`);
    this.#metadata.set(digest, { kind: blob.kind, bytes });
  }

  loadedBytes(): number {
    return this.#load?.unpackedBytes ?? 0;
  }

  async commit(): Promise<Committed> {
    this.#checkGraph();
    return this.#engine.info.store === 'classic' ? this.#commitClassic() : this.#commitContainerd();
  }

  /** All that came hangs together: whatever a present manifest names came too, and nothing else did. */
  #checkGraph(): void {
    const seen = new Set<Digest>();
    const visit = (digest: Digest, kind: BlobKind, optional: boolean): void => {
      if (seen.has(digest)) return;
      if (kind === 'layer') {
        if (!this.#layers.has(digest)) throw incomplete(kind, digest);
        seen.add(digest);
        return;
      }
      const found = this.#metadata.get(digest);
      if (found?.kind !== kind) {
        if (found === undefined && optional) return;
        throw incomplete(kind, digest);
      }
      seen.add(digest);
      if (kind === 'config') return;
      // An index may name platforms that its owner does not have; a manifest is whole or not there.
      for (const child of childrenOf(readMetadata(found.bytes, kind)))
        visit(child.digest, child.kind, kind === 'index');
    };
    const { root, diffIds, store } = this.#image;
    visit(root.digest, this.#rootKind(), false);
    if (store === 'classic') {
      const config = readConfig(this.#bytesOf(root.digest));
      if (JSON.stringify(config.rootfs.diff_ids) !== JSON.stringify(diffIds))
        throw new ImgmvError(
          'integrity',
          `the config of ${root.digest} names other layers than were offered`,
        );
      for (const diffId of diffIds) visit(diffId, 'layer', false);
    }
    const extra = [...this.#layers.keys(), ...this.#metadata.keys()].find((digest) => !seen.has(digest));
    if (extra !== undefined)
      throw new ImgmvError('integrity', `blob ${extra} came and is no part of the image`);
  }

  /** What the root is by its bytes; the offer may not know. */
  #rootKind(): BlobKind {
    return this.#metadata.get(this.#image.root.digest)?.kind ?? rootKind(this.#image);
  }

  #bytesOf(digest: Digest): Buffer {
    const found = this.#metadata.get(digest);
    if (found === undefined) throw incomplete('blob', digest);
    return found.bytes;
  }

  /** Loading is one step for a classic engine: all or nothing, and the layers' digests are checked by it, too. */
  async #commitClassic(): Promise<Committed> {
    const { config, layers } = this.#classicView();
    const names = this.#image.names.length > 0 ? [this.#options.privateName] : null;
    const manifest = [
      { Config: blobPath(config), RepoTags: names, Layers: layers.map((layer) => this.#pathOf(layer)) },
    ];
    await this.#finishLoad(
      [
        [blobPath(config), this.#bytesOf(config)],
        ['manifest.json', json(manifest)],
      ],
      names !== null,
    );
    const diffIds = readConfig(this.#bytesOf(config)).rootfs.diff_ids;
    await this.#verify(this.#loadedName ?? config, config, diffIds ?? []);
    return this.#setNames(config, this.#loadedName);
  }

  async #commitContainerd(): Promise<Committed> {
    const files: [string, Buffer][] = [...this.#metadata].map(([digest, { bytes }]) => [
      blobPath(digest),
      bytes,
    ]);
    const { root, diffIds } = this.#image;
    let top = { digest: root.digest, bytes: this.#bytesOf(root.digest), kind: this.#rootKind() };
    if (top.kind === 'config') {
      const layers = diffIds.map((digest) => ({ digest, size: this.#layers.get(digest)?.size ?? 0 }));
      const bytes = manifestFor(top.bytes, layers);
      top = { digest: digestOf(bytes), bytes, kind: 'manifest' };
      files.push([blobPath(top.digest), bytes]);
    }
    const mediaType =
      top.kind === 'index'
        ? 'application/vnd.oci.image.index.v1+json'
        : 'application/vnd.oci.image.manifest.v1+json';
    const typed = (JSON.parse(top.bytes.toString('utf8')) as { mediaType?: string }).mediaType ?? mediaType;
    const descriptor = { mediaType: typed, digest: top.digest, size: top.bytes.length };
    const layout = (annotations: Record<string, string> | undefined): [string, Buffer][] => [
      ['oci-layout', json({ imageLayoutVersion: '1.0.0' })],
      [
        'index.json',
        json({ schemaVersion: 2, manifests: [{ ...descriptor, ...(annotations && { annotations }) }] }),
      ],
    ];
    const name = parseTarget(this.#options.privateName, 'the private name');
    const annotations = {
      'io.containerd.image.name': canonical(name),
      'org.opencontainers.image.ref.name': name.tag as string,
    };
    await this.#finishLoad([...files, ...layout(annotations)], true);
    await this.#verify(this.#options.privateName, top.digest, diffIds);
    if (this.#image.names.length === 0) {
      // Without a name it would hang on the private one alone: a second load, without layers, leaves it nameless.
      this.#load = undefined;
      const privateName = this.#loadedName;
      await this.#finishLoad([...files, ...layout(undefined)], false);
      this.#loadedName = privateName;
    }
    return this.#setNames(top.digest, this.#loadedName);
  }

  /** The config and layers of the platform that would run here. */
  #classicView(): ClassicView {
    const { root, platform, diffIds } = this.#image;
    if (this.#rootKind() === 'config') return { config: root.digest, layers: diffIds };
    for (const [, { kind, bytes }] of this.#metadata) {
      if (kind !== 'manifest') continue;
      const metadata = readMetadata(bytes, kind);
      if (metadata.kind !== 'manifest') continue;
      const config = this.#metadata.get(metadata.value.config.digest);
      if (config === undefined || !/image\.(config\.)?v1\+json$/.test(metadata.value.config.mediaType))
        continue;
      const { os, architecture, rootfs } = readConfig(config.bytes);
      if (os !== platform.os || architecture !== platform.architecture) continue;
      if (JSON.stringify(rootfs.diff_ids) !== JSON.stringify(diffIds)) continue;
      return {
        config: metadata.value.config.digest,
        layers: metadata.value.layers.map(({ digest }) => digest),
      };
    }
    throw new ImgmvError(
      'refused',
      `the image holds no manifest for ${platform.os}/${platform.architecture}`,
    );
  }

  #pathOf(layer: Digest): string {
    const found = this.#layers.get(layer);
    if (found === undefined) throw incomplete('layer', layer);
    return found.path;
  }

  async #finishLoad(files: readonly (readonly [string, Buffer])[], named: boolean): Promise<void> {
    this.#options.signal.throwIfAborted();
    this.#load ??= new Load(this.#engine);
    const load = this.#load;
    const waitedBefore = load.waitMs;
    const abort = () => void load.abort();
    this.#options.signal.addEventListener('abort', abort, { once: true });
    try {
      for (const [path, bytes] of files) await load.file(path, bytes.length, once(bytes));
      if (named) this.#loadedName = this.#options.privateName;
      await load.finish();
    } finally {
      this.#options.signal.removeEventListener('abort', abort);
      this.#options.onWaitMs(load.waitMs - waitedBefore);
    }
  }

  /** An engine says 200 to most failures: what it then shows is what counts. */
  async #verify(name: string, wantId: Digest, wantDiffIds: readonly Digest[]): Promise<void> {
    const got = await this.#engine.inspect(name);
    if (got === undefined)
      throw new ImgmvError(
        'engine-refused',
        'the docker engine said that it loaded the image, and does not have it',
      );
    const gotDiffIds = got.RootFS.Layers ?? [];
    if (got.Id !== wantId || JSON.stringify(gotDiffIds) !== JSON.stringify(wantDiffIds))
      throw new ImgmvError(
        'integrity',
        `the engine has ${got.Id} with ${gotDiffIds.length} layers, want ${wantId} with ${wantDiffIds.length}`,
      );
    const sent = new Set(this.#metadata.keys());
    const incompleteOne = got.Manifests?.find(({ ID, Available }) => sent.has(ID) && !Available);
    if (incompleteOne)
      throw new ImgmvError('integrity', `the engine lacks a part of manifest ${incompleteOne.ID}`);
  }

  async #setNames(targetId: Digest, from: string | undefined): Promise<Committed> {
    const refs = await this.#options.setNames(from ?? targetId);
    await this.#dropPrivateName();
    return { targetId, refs };
  }

  async #dropPrivateName(): Promise<void> {
    if (this.#loadedName !== undefined) await this.#engine.dropName(this.#loadedName);
    this.#loadedName = undefined;
  }

  async abort(reason: ImgmvError): Promise<void> {
    await this.#load?.abort();
    try {
      await this.#dropPrivateName();
    } catch (error) {
      // The engine is gone most likely, which `reason` says better. What is left carries our private name.
      if (toImgmvError(error).code === 'internal') reason.cause ??= error;
    }
  }
}

function incomplete(kind: string, digest: Digest): ImgmvError {
  return new ImgmvError('integrity', `the image is not whole: ${kind} ${digest} did not come`);
}

function blobPath(digest: Digest): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function digestOf(bytes: Buffer): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
