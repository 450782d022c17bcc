/**
 * One image on its way into an engine: layers stream into `docker load` as they come, all in one load or, of
 * a large image, committed one by one. Metadata waits until every blob is verified; the image appears under a
 * private name, is inspected and compared, and only then gets its names. PROTOCOL.md section 8, docs/engines.md.
 */

import { counted } from '../../proto/counted.ts';
import { BlobGivenUp } from '../../proto/entry.ts';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { Hasher } from '../../proto/hasher.ts';
import type { Stopwatch } from '../../proto/stopwatch.ts';
import { type Blob, bytesToCome, type Digest, diffIdOf, type Image } from '../model/image.ts';
import type { Answer, Incomplete, SetName } from '../model/sink.ts';
import { blobPath } from '../oci/blob-path.ts';
import { ImageParts, type SentDocuments, sameDigests } from '../oci/image-parts.ts';
import { OS_UNSAID } from '../oci/metadata.ts';
import { COMPRESSION_HEAD_BYTES } from '../streams/compression.ts';
import { integrity } from '../streams/errors.ts';
import { peek } from '../streams/peek.ts';
import type { ArchiveFile } from './archive.ts';
import type { Engine } from './engine.ts';
import type { Helpers } from './helpers.ts';
import type { ImageStore } from './image-store.ts';
import { Incoming } from './incoming.ts';
import type { Gone, Inventory } from './inventory.ts';
import { Load } from './load.ts';
import { UnpackedDigest } from './unpacked-digest.ts';

/** From here on layers are committed one by one, unless told otherwise: what is less is soon sent again. */
export const LAYERWISE_MIN_BYTES = 64 * 2 ** 20;

export interface EngineWriterOptions {
  readonly store: ImageStore;
  readonly helpers: Helpers;
  /** How many of the lowest layers a classic engine has, or will have when `ready` resolves. */
  readonly below: number;
  /** Layers that were here when images were planned, and those that have come; grows with what comes. */
  readonly knownLayers: Set<Digest>;
  /** Whether runs that broke off may have left layers. */
  readonly helpersThere: () => boolean;
  /** Resolves when the images that bring layers of this one are there, or will not be. */
  readonly ready: () => Promise<void>;
  readonly signal: AbortSignal;
  /** Gives the image that is called `from` here its own names. */
  readonly setNames: (from: string) => Promise<SetName[]>;
  /** Counts how long layers wait for the engine to take them. */
  readonly waited: Stopwatch;
  /** From here on layers are committed one by one. */
  readonly layerwiseMinBytes: number;
}

interface Loaded {
  readonly targetId: Digest;
  readonly refs: readonly SetName[];
}

export class EngineWriter {
  readonly #engine: Engine;
  readonly #image: Image;
  readonly #options: EngineWriterOptions;
  readonly #parts: ImageParts;
  /** What takes layers that are committed one by one. */
  #incoming: Incoming | undefined;
  /** What takes all else. */
  #load: Load | undefined;
  /** An image that is to have no name needs none to be found: its id is known. */
  readonly #privateName: string | undefined;
  #loadedName: string | undefined;
  /** The same of one that has no name to be found by. */
  #loadedId: Digest | undefined;
  /** Podman has refused a load for want of layers that its images claim: all of them are to come. */
  #disbelieved = false;
  /** Layers that had come, and went with a blob that was given up. */
  readonly #lost = new Set<Digest>();

  constructor(engine: Engine, answer: Answer, options: EngineWriterOptions) {
    this.#engine = engine;
    this.#image = answer.image;
    this.#parts = new ImageParts(answer.image, answer.missing);
    this.#options = options;
    this.#privateName = answer.image.names.length > 0 ? options.helpers.nextName() : undefined;
    this.#incoming = this.#layerwise(answer.missing, options.below);
  }

  /** A single layer is as safe in one load: nothing could be kept before it has come. */
  #layerwise(missing: readonly Digest[] | undefined, below: number): Incoming | undefined {
    const count = missing?.length ?? this.#image.layers?.length ?? 0;
    if (count < 2 || bytesToCome(this.#image, missing) < this.#options.layerwiseMinBytes) return undefined;
    const order = this.#options.store.commitOrder(this.#image, below);
    if (!order) return undefined;
    return new Incoming(this.#engine, {
      ...this.#options,
      order,
      onCommitted: (digest) => this.#parts.committed(digest),
      runLoad: (work) => this.#options.store.runLoad(work),
      check: (id, from, upTo) =>
        this.#options.store.checkLoaded(id, this.#image.diffIds.slice(0, upTo), from),
      lost: async (error) => this.#disbelieves(error) || (await this.#gone()) !== undefined,
    });
  }

  async write(blob: Blob): Promise<void> {
    this.#options.signal.throwIfAborted();
    this.#parts.count(blob);
    await (blob.kind === 'layer' ? this.#writeLayer(blob) : this.#parts.addMetadata(blob));
  }

  async #writeLayer(blob: Blob): Promise<void> {
    if (blob.digest) this.#parts.expectLayer(blob.digest);
    // 20.10 tells a layer's digest only after its bytes; the tar does not mind what the file is called.
    const path = blob.digest ? blobPath(blob.digest) : `layers/${this.#parts.blobs}.tar`;
    const hasher = blob.verified ? undefined : new Hasher();
    const { store } = this.#options;
    using unpacked = store.comparesLayers ? undefined : new UnpackedDigest();
    const body = async function* () {
      const { head, whole } = await peek(blob.body, COMPRESSION_HEAD_BYTES);
      store.checkLayer(head);
      for await (const chunk of whole) {
        hasher?.add(chunk);
        await unpacked?.add(chunk);
        yield chunk;
      }
    };
    // What decompresses them holds on to them.
    const release = unpacked ? undefined : blob.release;
    const taken = await this.#take(path, blob.size, body(), release);
    const digest = blob.verified?.() ?? (hasher as Hasher).digest();
    if (blob.digest && digest !== blob.digest) throw integrity(`layer ${blob.digest} came as ${digest}`);
    // A source that cannot tell a layer's digest beforehand sends all of them in every round.
    if (!blob.digest && this.#parts.hasLayer(digest)) return void (await taken?.discard());
    const diffId = await unpacked?.digest();
    if (diffId) this.#parts.expectUnpacked(digest, diffId);
    this.#parts.addLayer(digest, { path, size: blob.size, ...(diffId && { diffId }) });
    this.#lost.delete(digest);
    this.#options.knownLayers.add(digest);
    taken?.place(digest, diffId);
  }

  /** For layers that are committed one by one: what to do with it once its digest is known. */
  async #take(path: string, size: number, body: AsyncIterable<Buffer>, release: Blob['release']) {
    const incoming = this.#incoming;
    if (!incoming) return this.#takeOpenly(path, size, body, release);
    const taken = await incoming.take(path, size, body, release);
    return {
      place: (digest: Digest, diffId: Digest | undefined) => incoming.place(digest, taken, diffId),
      discard: () => incoming.discard(taken),
    };
  }

  /** Into the load that takes all. A tar cannot take back what stands in it: a body that is given up ends that load. */
  async #takeOpenly(
    path: string,
    size: number,
    body: AsyncIterable<Buffer>,
    release: Blob['release'],
  ): Promise<undefined> {
    try {
      await this.#whileLoading((load) => load.file(path, size, body, release));
    } catch (error) {
      if (!(error instanceof BlobGivenUp)) throw error;
      await this.#load?.abort();
      this.#load = undefined;
      for (const digest of this.#parts.lose()) this.#lost.add(digest);
      throw error;
    }
  }

  /** Does `work` with the load that is open; a stop of the session frees it. */
  async #whileLoading<T>(work: (load: Load) => Promise<T>): Promise<T> {
    this.#load ??= new Load(this.#engine, this.#options.waited);
    const load = this.#load;
    const { signal } = this.#options;
    const abort = () => void load.abort(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await work(load);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  loadedBytes(): number {
    return (this.#incoming?.unpackedBytes ?? 0) + (this.#load?.unpackedBytes ?? 0);
  }

  keptBytes(): number {
    return this.#parts.committedBytes;
  }

  get sent(): SentDocuments {
    return this.#parts.sent;
  }

  async commit(): Promise<Loaded | Incomplete> {
    if (this.#lost.size > 0) {
      const missing = [...this.#lost];
      this.#lost.clear();
      this.#parts.again(missing, false);
      return { missing };
    }
    this.#parts.checkWhole();
    try {
      await this.#incoming?.settle();
      const gone = await this.#gone();
      if (gone) {
        this.#parts.again(gone.missing, false);
        this.#incoming?.rewind(gone.below);
        return { missing: gone.missing };
      }
      return await this.#loadWhole();
    } catch (error) {
      this.#options.signal.throwIfAborted();
      return this.#lostMeanwhile(error);
    }
  }

  /** Layers that the engine had and has no more; undefined where there are none. */
  async #gone(): Promise<Gone | undefined> {
    const { held } = this.#parts;
    return held.size === 0
      ? undefined
      : (await this.#inventory()).gone(this.#image, held, this.#options.knownLayers);
  }

  #inventory(): Promise<Inventory> {
    return this.#options.store.inventory(() => this.#engine.list());
  }

  /** A load that failed for want of a layer that was pruned under it may be tried again; another failure is final. */
  async #lostMeanwhile(failure: unknown): Promise<Incomplete> {
    const disbelieved = this.#disbelieves(failure);
    if (!disbelieved && !(await this.#gone())) throw failure;
    await this.#load?.abort();
    await this.#incoming?.abort();
    this.#load = undefined;
    this.#disbelieved ||= disbelieved;
    const { missing = [], below } = disbelieved
      ? { missing: this.#image.layers?.map(({ digest }) => digest), below: 0 }
      : await (await this.#inventory()).lacking(this.#image, new Set());
    // A classic engine forgets all of a load that fails; of a containerd store the inventory tells what stayed.
    this.#parts.again(missing, true);
    this.#incoming?.restart(below);
    return { missing };
  }

  /**
   * Whether a load may have failed since an image claims layers that it lacks, by which they were taken to be here.
   * Podman accepts such an image, and reports the layers of an image only from its config.
   */
  #disbelieves(failure: unknown): boolean {
    const claimed = !this.#disbelieved && this.#parts.held.size > 0;
    const { code, noRoom } = toImgmvError(failure);
    return claimed && !this.#options.store.comparesLayers && code === 'engine-refused' && !noRoom;
  }

  async #loadWhole(): Promise<Loaded> {
    const name = this.#privateName;
    const { id, files } = await this.#options.store.loadable(this.#parts, this.#image, name);
    await this.#options.store.runLoad(async () => {
      await this.#finishLoad(files, name, id);
      await this.#verify(this.#loadedName ?? id, id);
      await this.#checkLoaded(id);
    });
    return this.#setNames(id, this.#loadedName);
  }

  async #finishLoad(files: readonly ArchiveFile[], name: string | undefined, id: Digest): Promise<void> {
    this.#options.signal.throwIfAborted();
    await this.#whileLoading(async (load) => {
      for (const file of [...(this.#incoming?.rest() ?? []), ...files]) await load.add(file);
      this.#loadedName = name;
      if (name === undefined) this.#loadedId = id;
      await load.finish();
    });
  }

  /** An engine says 200 to most failures: what it then shows is what counts. */
  async #verify(name: string, wantId: Digest): Promise<void> {
    const got = await this.#engine.inspect(name);
    if (got === undefined)
      throw new ImgmvError(
        'engine-refused',
        'the docker engine said that it loaded the image, but does not have it',
      );
    const { diffIds, platform } = this.#image;
    const gotDiffIds = got.RootFS.Layers ?? [];
    if (got.Id !== wantId || !sameDigests(gotDiffIds, diffIds))
      throw integrity(
        `the engine has ${got.Id} with ${counted(gotDiffIds.length, 'layer')}, want ${wantId} with ${diffIds.length}`,
      );
    if ((got.Os || OS_UNSAID) !== platform.os)
      throw integrity(`the image is for ${got.Os}, but was offered for ${platform.os}`);
    const { manifests } = this.sent;
    const incompleteOne = got.Manifests?.find(
      ({ ID, Available }) => !Available && (ID === wantId || manifests.has(ID)),
    );
    if (incompleteOne) throw integrity(`the engine lacks a part of manifest ${incompleteOne.ID}`);
  }

  /** Position of the lowest layer that nobody has looked at; -1 where there is none. */
  #firstToCheck(): number {
    const { diffIds, layers } = this.#image;
    // A load that was given up, and that the engine finished, leaves what was not looked at.
    if (layers === undefined || this.#options.helpersThere()) return 0;
    const { held } = this.#parts;
    const came = new Set(layers.flatMap((layer) => (held.has(layer.digest) ? [] : diffIdOf(layer))));
    return diffIds.findIndex((diffId) => came.has(diffId));
  }

  async #checkLoaded(id: Digest): Promise<void> {
    const from = this.#firstToCheck();
    if (from < 0) return;
    try {
      await this.#options.store.checkLoaded(id, this.#image.diffIds, from);
    } catch (error) {
      const failure = toImgmvError(error);
      // What has no name would stay, and what has one would until the image is given up.
      await this.#engine.dropName(this.#loadedName ?? id).catch((cause: unknown) => {
        failure.cause ??= cause;
      });
      throw failure;
    }
  }

  async #setNames(targetId: Digest, from: string | undefined): Promise<Loaded> {
    const refs = await this.#options.setNames(from ?? targetId);
    await this.#dropPrivateName();
    this.#loadedId = undefined;
    await this.#incoming?.dropHelpers();
    return { targetId, refs };
  }

  async #dropPrivateName(): Promise<void> {
    if (this.#loadedName !== undefined) await this.#engine.dropName(this.#loadedName);
    this.#loadedName = undefined;
  }

  /** Had it been here before, it would not have been loaded. */
  async #dropNameless(): Promise<void> {
    const id = this.#loadedId;
    if (id === undefined) return;
    const there = await this.#engine.inspect(id);
    if (there && (there.RepoTags ?? []).length === 0) await this.#engine.dropName(id);
    this.#loadedId = undefined;
  }

  async abort(reason: ImgmvError): Promise<void> {
    await this.#load?.abort(reason);
    await this.#incoming?.abort();
    try {
      await this.#dropPrivateName();
      await this.#dropNameless();
    } catch (error) {
      // The engine is gone most likely, which `reason` says better. What is left carries our private name.
      reason.cause ??= error;
    }
  }
}
