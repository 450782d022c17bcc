/**
 * Layers of one image that are committed as they come, so that they stay whatever happens to the rest. Each
 * goes into a load of its own, which ends by an image under a private name that keeps it: of a containerd
 * store one image a layer, in any order; of a classic store one image of the lowest k layers, so a load is
 * held open until all layers below its own are committed. docs/engines.md.
 */
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { SMALL_LAYERS_MAX_BYTES } from '../../proto/limits.ts';
import type { Stopwatch } from '../../proto/stopwatch.ts';
import { type Digest, diffIdOf, type Image } from '../model/image.ts';
import { type PlacedLayer, sameDigests } from '../oci/image-parts.ts';
import { digestOf, manifestFor } from '../oci/metadata.ts';
import { type ArchiveFile, classicArchive, ociArchive } from './archive.ts';
import type { Engine } from './engine.ts';
import { type Helpers, helperLabels } from './helpers.ts';
import { Load, settledWithin } from './load.ts';
import { podmanArchive } from './podman.ts';

export interface IncomingOptions {
  readonly helpers: Helpers;
  /** How many of the lowest layers a classic store has, or will have when `ready` resolves. */
  readonly below: number;
  readonly ready: () => Promise<void>;
  readonly waited: Stopwatch;
  readonly signal: AbortSignal;
  /** Told when a layer is safe. */
  readonly onCommitted: (digest: Digest) => void;
  /** Whether it may have failed for want of layers that were taken to be here: they are asked for again. */
  readonly lost: (error: ImgmvError) => Promise<boolean>;
}

/** A layer whose bytes have come: they are in a load that is still open, or, if they are few, in memory. */
interface Taken {
  readonly path: string;
  readonly size: number;
  readonly in: Load | Buffer;
}

interface Arrived extends Taken {
  readonly digest: Digest;
}

/** A layer of less waits in memory for one that is worth a load of its own. */
export const LAYER_ALONE_MIN_BYTES = 2 ** 20;
/** What a helper is made for: an engine that unpacks such an image on arrival is not known. */
const NO_ARCHITECTURE = 'imgmv';
const LEAVE_AFTER_MS = 5_000;

export class Incoming {
  readonly #engine: Engine;
  readonly #image: Image;
  readonly #options: IncomingOptions;
  readonly #classic: boolean;
  /** Loads that have not ended. */
  readonly #open = new Set<Load>();
  /** What waits for the layers below it, by position (classic), or for company (containerd). */
  readonly #waiting = new Map<number, Arrived>();
  /** The lowest position that neither is committed nor about to be. */
  #next: number;
  /** Layers in memory. */
  readonly #small = new Set<Buffer>();
  /** Commits go one after the other. */
  #commits: Promise<void> = Promise.resolve();
  #failure: ImgmvError | undefined;
  /** Whether the failure stays, whatever comes. */
  #final = false;
  #aborted: Promise<void> | undefined;
  /** The private names that hold what was committed, or may. */
  #names: string[] = [];
  #unpackedBytes = 0;

  constructor(engine: Engine, image: Image, options: IncomingOptions) {
    this.#engine = engine;
    this.#image = image;
    this.#options = options;
    this.#classic = engine.info.store === 'classic';
    this.#next = options.below;
  }

  /** Bytes of layers that the engine has unpacked, where it tells. */
  get unpackedBytes(): number {
    return [...this.#open].reduce((sum, load) => sum + load.unpackedBytes, this.#unpackedBytes);
  }

  /** Takes the bytes of a layer, `size` of them. Throws what `body` throws, and why an earlier layer failed. */
  async take(path: string, size: number, body: AsyncIterable<Buffer>): Promise<Taken> {
    if (this.#failure && this.#final) throw this.#failure;
    const smallBytes = [...this.#small].reduce((sum, { length }) => sum + length, size);
    if (size < LAYER_ALONE_MIN_BYTES && smallBytes <= SMALL_LAYERS_MAX_BYTES) {
      const bytes = await inMemory(body, size);
      this.#small.add(bytes);
      return { path, size, in: bytes };
    }
    const load = new Load(this.#engine, this.#options.waited);
    this.#open.add(load);
    await this.#stoppable(load.file(path, size, body));
    return { path, size, in: load };
  }

  /** Says what was taken; it is committed as soon as may be, while others come. */
  place(digest: Digest, taken: Taken): void {
    const layer = { ...taken, digest };
    if (!this.#classic) {
      this.#waiting.set(this.#waiting.size, layer);
      if (layer.in instanceof Load) this.#commitAll();
      return;
    }
    const free = this.#freeFor(digest);
    // What is in memory can go into several loads.
    for (const at of layer.in instanceof Load ? free.slice(0, 1) : free) this.#waiting.set(at, layer);
    if (free.length === 0) void this.discard(taken);
    this.#advance();
  }

  /** Positions of a layer that nothing has taken. */
  #freeFor(digest: Digest): readonly number[] {
    const { diffIds, layers } = this.#image;
    const known = layers?.find((one) => one.digest === digest);
    const diffId = known ? diffIdOf(known) : digest;
    return [...diffIds.keys()].filter(
      (at) => diffIds[at] === diffId && at >= this.#next && !this.#waiting.has(at),
    );
  }

  /** Gives up what came and is not wanted. */
  async discard({ in: at }: Taken): Promise<void> {
    if (!(at instanceof Load)) return;
    this.#open.delete(at);
    await at.abort();
  }

  /** Resolves when all is committed that can be; throws why a commit failed. */
  async settle(): Promise<void> {
    await this.#stoppable(this.#commits);
    if (this.#failure) throw this.#failure;
  }

  /** What waits for the engine is freed when the session stops. */
  async #stoppable<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#options;
    const stop = () => void this.abort();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      return await work;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Layers have gone that had been there: as many as this still are, from the lowest on. */
  rewind(below: number): void {
    this.#next = below;
    if (!this.#classic) return;
    for (const layer of [...this.#waiting.values()])
      if (layer.in instanceof Buffer)
        for (const at of this.#freeFor(layer.digest)) this.#waiting.set(at, layer);
  }

  /** Small layers that nothing could take along: the load that makes the image complete brings them. */
  rest(): readonly ArchiveFile[] {
    const small = [...this.#waiting.values()].filter((one) => one.in instanceof Buffer);
    return small.map(({ path, in: bytes }) => [path, bytes as Buffer]);
  }

  /** Gives up what is not committed; committed layers stay, under their private name. Never throws. A second call waits for the first. */
  abort(): Promise<void> {
    this.#aborted ??= this.#abort();
    return this.#aborted;
  }

  async #abort(): Promise<void> {
    this.#failure ??= new ImgmvError('internal', 'the image was given up');
    this.#final = true;
    const loads = [...this.#open];
    this.#open.clear();
    const ended = Promise.all([...loads.map((load) => load.abort()), this.#commits]);
    // An engine that has got all of a load commits it, whether we wait or not.
    await settledWithin(ended, LEAVE_AFTER_MS);
    for (const load of loads) load.leave();
  }

  /** After `abort`: begins anew above the lowest `below` layers. */
  restart(below: number): void {
    this.#aborted = undefined;
    this.#failure = undefined;
    this.#final = false;
    this.#waiting.clear();
    this.#small.clear();
    this.#next = below;
  }

  /**
   * The image is complete: what kept its layers goes, and loads that nothing came of. It is complete all the
   * same where that fails: what is left has its private name, and goes within a day.
   */
  async dropHelpers(): Promise<void> {
    for (const load of this.#open) await load.abort();
    await this.#drop(this.#names.splice(0));
  }

  async #drop(names: readonly string[]): Promise<void> {
    for (const name of names) await this.#engine.dropName(name).catch(() => this.#names.push(name));
  }

  /** Classic: runs of layers of which one was large enough for a load of its own. */
  #advance(): void {
    for (;;) {
      const run: Arrived[] = [];
      let load: Load | undefined;
      for (
        let layer = this.#waiting.get(this.#next);
        layer;
        layer = this.#waiting.get(this.#next + run.length)
      ) {
        if (layer.in instanceof Load && load) break;
        if (layer.in instanceof Load) load = layer.in;
        run.push(layer);
      }
      if (!load) return;
      for (const at of run.keys()) this.#waiting.delete(this.#next + at);
      this.#next += run.length;
      this.#commit(load, run, this.#next);
    }
  }

  /** Containerd: whatever is there. */
  #commitAll(): void {
    const layers = [...this.#waiting.values()];
    const load = layers.find(({ in: at }) => at instanceof Load)?.in as Load;
    this.#waiting.clear();
    this.#commit(load, layers, 0);
  }

  #commit(load: Load, layers: readonly Arrived[], upTo: number): void {
    this.#commits = this.#commits.then(async () => {
      if (this.#failure) return;
      try {
        await this.#options.ready();
        if (!this.#failure) await this.#finish(load, layers, upTo);
      } catch (error) {
        this.#failure ??= toImgmvError(error);
        this.#final ||= !(await this.#options.lost(this.#failure).catch(() => false));
      }
    });
  }

  async #finish(load: Load, layers: readonly Arrived[], upTo: number): Promise<void> {
    const name = this.#options.helpers.nextName();
    for (const { path, in: at } of layers) if (at instanceof Buffer) await load.add([path, at]);
    const files = this.#classic
      ? this.#classicHelper(name, layers, upTo)
      : this.#containerdHelper(name, layers);
    for (const file of files) await load.add(file);
    const lower = this.#names;
    this.#names = [...lower, name];
    await load.finish();
    const made = await this.#engine.inspect(name);
    const whole =
      made && (!this.#classic || sameDigests(made.RootFS.Layers ?? [], this.#image.diffIds.slice(0, upTo)));
    if (!whole)
      throw new ImgmvError(
        'engine-refused',
        'the docker engine said that it took a layer, and does not have it',
      );
    this.#open.delete(load);
    this.#unpackedBytes += load.unpackedBytes;
    const waiting = new Set([...this.#waiting.values()].map(({ digest }) => digest));
    for (const { digest, in: at } of layers) {
      // The image has it once more, higher up.
      if (waiting.has(digest)) continue;
      if (at instanceof Buffer) this.#small.delete(at);
      this.#options.onCommitted(digest);
    }
    if (!this.#classic) return;
    // They are kept by what keeps more of them.
    this.#names = [name];
    await this.#drop(lower);
  }

  #classicHelper(name: string, layers: readonly Arrived[], upTo: number): readonly ArchiveFile[] {
    const { os, architecture } = this.#image.platform;
    const config = helperConfig(this.#image, { os, architecture }, this.#image.diffIds.slice(0, upTo));
    const from = upTo - layers.length;
    if (this.#engine.info.kind === 'podman') {
      const told = this.#image.diffIds.slice(0, upTo).map((diffId, at): PlacedLayer => {
        const came = layers[at - from];
        return came ? { ...came, diffId } : { digest: diffId, diffId, size: 0, path: undefined };
      });
      return podmanArchive([digestOf(config), config], told, name);
    }
    const paths = Array.from({ length: upTo }, (_, at) => layers[at - from]?.path ?? `held/${at}`);
    return classicArchive([digestOf(config), config], paths, name);
  }

  #containerdHelper(name: string, layers: readonly Arrived[]): readonly ArchiveFile[] {
    const { os } = this.#image.platform;
    const digests = layers.map(({ digest }) => digest);
    const config = helperConfig(this.#image, { os, architecture: NO_ARCHITECTURE }, digests);
    const manifest = manifestFor(config, layers);
    const root = { digest: digestOf(manifest), kind: 'manifest', bytes: manifest } as const;
    return ociArchive(root, [[digestOf(config), config]], name);
  }
}

function helperConfig(
  { id }: Image,
  platform: { readonly os: string; readonly architecture: string },
  diffIds: readonly Digest[],
): Buffer {
  const created = new Date().toISOString();
  const step = { created, created_by: 'imgmv', comment: `kept until ${id} is complete` };
  return Buffer.from(
    JSON.stringify({
      ...platform,
      created,
      config: { Labels: helperLabels(id) },
      rootfs: { type: 'layers', diff_ids: diffIds },
      history: diffIds.map(() => step),
    }),
  );
}

async function inMemory(body: AsyncIterable<Buffer>, size: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > size) break;
    parts.push(Buffer.from(chunk));
  }
  if (length !== size) throw new ImgmvError('integrity', `a layer of ${size} bytes came with another length`);
  return Buffer.concat(parts);
}
