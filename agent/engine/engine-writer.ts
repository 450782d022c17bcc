/**
 * One image on its way into an engine: layers stream into `docker load` as they come, metadata waits until
 * every blob is verified, the image appears under a private name, is inspected and compared, and only then
 * gets its names. PROTOCOL.md section 8, docs/engines.md.
 */
import { createHash } from 'node:crypto';
import { ImgmvError } from '../../proto/errors.ts';
import { BLOBS_PER_IMAGE_MAX, IMAGE_BYTES_ALLOWANCE, IMAGE_BYTES_FACTOR_MAX } from '../../proto/limits.ts';
import type { Stopwatch } from '../../proto/stopwatch.ts';
import type { Answer, Blob, Committed, Digest, Image, ImageWriter, Incomplete, SetName } from '../image.ts';
import { canonical, parseTarget } from '../reference.ts';
import type { Engine } from './engine.ts';
import { type HeldLayer, ImageParts, sameDigests } from './image-parts.ts';
import { heldLayers, takeInventory } from './inventory.ts';
import { Load } from './load.ts';
import { isZstd } from './metadata.ts';

export interface EngineWriterOptions {
  readonly privateName: string;
  readonly signal: AbortSignal;
  /** Gives the image that is called `from` here its own names. */
  readonly setNames: (from: string) => Promise<SetName[]>;
  /** Counts how long layers wait for the engine to take them. */
  readonly waited: Stopwatch;
}

export class EngineWriter implements ImageWriter {
  readonly #engine: Engine;
  readonly #image: Image;
  readonly #options: EngineWriterOptions;
  readonly #parts: ImageParts;
  #load: Load | undefined;
  #loadedName: string | undefined;
  #bytes = 0;
  #blobs = 0;

  constructor(engine: Engine, answer: Answer, options: EngineWriterOptions) {
    this.#engine = engine;
    this.#image = answer.image;
    this.#parts = new ImageParts(answer.image, answer.missing);
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
    await (blob.kind === 'layer' ? this.#writeLayer(blob) : this.#parts.addMetadata(blob));
  }

  async #writeLayer(blob: Blob): Promise<void> {
    if (blob.digest) this.#parts.expectLayer(blob.digest);
    this.#load ??= new Load(this.#engine, this.#options.waited);
    const load = this.#load;
    // 20.10 tells a layer's digest only after its bytes; the tar does not mind what the file is called.
    const path = blob.digest ? blobPath(blob.digest) : `layers/${this.#blobs}.tar`;
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
    const abort = () => void load.abort();
    this.#options.signal.addEventListener('abort', abort, { once: true });
    try {
      await load.file(path, blob.size, body());
    } finally {
      this.#options.signal.removeEventListener('abort', abort);
    }
    const digest: Digest = blob.verified?.() ?? `sha256:${hash?.digest('hex')}`;
    if (blob.digest && digest !== blob.digest)
      throw new ImgmvError('integrity', `layer ${blob.digest} came as ${digest}`);
    // A source that cannot tell a layer's digest beforehand sends all of them in every round.
    if (!blob.digest && this.#parts.hasLayer(digest)) return;
    this.#parts.addLayer(digest, { path, size: blob.size });
  }

  #checkHead(head: Buffer): void {
    const { kind, version, store } = this.#engine.info;
    if (store === 'classic' && kind === 'docker' && isZstd(head) && Number.parseInt(version, 10) < 25)
      throw new ImgmvError('refused', `docker ${version} cannot load layers that are compressed with zstd`, {
        hint: 'a newer docker can; or build the image with compression=gzip',
      });
  }

  loadedBytes(): number {
    return this.#load?.unpackedBytes ?? 0;
  }

  async commit(): Promise<Committed | Incomplete> {
    this.#parts.checkWhole();
    const gone = await this.#gone();
    if (gone.length > 0) {
      this.#parts.again(gone, false);
      return { missing: gone };
    }
    try {
      return await (this.#engine.info.store === 'classic' ? this.#commitClassic() : this.#commitContainerd());
    } catch (error) {
      this.#options.signal.throwIfAborted();
      return this.#lostMeanwhile(error);
    }
  }

  /** Layers that were not sent, since the engine had them, and that it has no more. */
  async #gone(): Promise<readonly Digest[]> {
    const { held } = this.#parts;
    if (held.size === 0) return [];
    const { missing = [] } = await (await takeInventory(this.#engine)).lacking(this.#image, new Set());
    return missing.filter((digest) => held.has(digest));
  }

  /** A load that failed for want of a layer that was pruned under it may be tried again; another failure is final. */
  async #lostMeanwhile(failure: unknown): Promise<Incomplete> {
    if ((await this.#gone()).length === 0) throw failure;
    await this.#load?.abort();
    this.#load = undefined;
    const { missing = [] } = await (await takeInventory(this.#engine)).lacking(this.#image, new Set());
    // A classic engine forgets all of a load that fails; of a containerd store the inventory tells what stayed.
    this.#parts.again(missing, true);
    return { missing };
  }

  /** Loading is one step for a classic engine: all or nothing, and the layers' digests are checked by it, too. */
  async #commitClassic(): Promise<Committed> {
    const { config, diffIds, layerPaths } = this.#parts.classicView();
    const named = this.#image.names.length > 0;
    const manifest = [
      { Config: blobPath(config), RepoTags: named ? [this.#options.privateName] : null, Layers: layerPaths },
    ];
    const files = [
      [blobPath(config), this.#parts.bytesOf(config)],
      ['manifest.json', json(manifest)],
    ] as const;
    await this.#finishLoad(files, named);
    await this.#verify(this.#loadedName ?? config, config, diffIds);
    return this.#setNames(config, this.#loadedName);
  }

  async #commitContainerd(): Promise<Committed> {
    const top = this.#parts.containerdRoot(await this.#heldLayers());
    const files = new Map<string, Buffer>(
      [...this.#parts.metadata(), [top.digest, top.bytes] as const].map(([digest, bytes]) => [
        blobPath(digest),
        bytes,
      ]),
    );
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
    const named = this.#image.names.length > 0;
    await this.#finishLoad([...files, ...layout(named ? annotations : undefined)], named);
    await this.#verify(this.#loadedName ?? top.digest, top.digest, this.#image.diffIds);
    return this.#setNames(top.digest, this.#loadedName);
  }

  /** What a manifest that we make is to say of the layers that did not come. */
  async #heldLayers(): Promise<ReadonlyMap<Digest, HeldLayer>> {
    const content = await this.#engine.content();
    if (this.#image.store !== 'classic' || content === undefined) return new Map();
    return heldLayers(content, this.#parts.held);
  }

  async #finishLoad(files: readonly (readonly [string, Buffer])[], named: boolean): Promise<void> {
    this.#options.signal.throwIfAborted();
    this.#load ??= new Load(this.#engine, this.#options.waited);
    const load = this.#load;
    const abort = () => void load.abort();
    this.#options.signal.addEventListener('abort', abort, { once: true });
    try {
      for (const [path, bytes] of files) await load.file(path, bytes.length, once(bytes));
      if (named) this.#loadedName = this.#options.privateName;
      await load.finish();
    } finally {
      this.#options.signal.removeEventListener('abort', abort);
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
    if (got.Id !== wantId || !sameDigests(gotDiffIds, wantDiffIds))
      throw new ImgmvError(
        'integrity',
        `the engine has ${got.Id} with ${gotDiffIds.length} layers, want ${wantId} with ${wantDiffIds.length}`,
      );
    const sent = new Set(this.#parts.metadata().map(([digest]) => digest));
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
      reason.cause ??= error;
    }
  }
}

function blobPath(digest: Digest): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
