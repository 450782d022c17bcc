/**
 * Layers of one image that are committed as they come, so that they stay whatever happens to the rest. Each
 * goes into a load of its own, which ends by an image under a private name that keeps it: of a containerd
 * store one image a layer, in any order; of a classic store one image of the lowest k layers, so a load is
 * held open until all layers below its own are committed. docs/engines.md.
 */

import { counted } from '../../proto/counted.ts';
import { BlobGivenUp } from '../../proto/entry.ts';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { SMALL_LAYERS_MAX_BYTES } from '../../proto/limits.ts';
import type { Stopwatch } from '../../proto/stopwatch.ts';
import type { Digest } from '../model/image.ts';
import { integrity } from '../streams/errors.ts';
import { settledWithin } from '../streams/settled-within.ts';
import type { ArchiveFile } from './archive.ts';
import type { Engine, InspectedImage } from './engine.ts';
import type { Helpers } from './helpers.ts';
import { Load } from './load.ts';

export interface IncomingOptions {
  readonly helpers: Helpers;
  readonly order: CommitOrder;
  /** Resolves when the layers are there that other images bring. */
  readonly ready: () => Promise<void>;
  readonly waited: Stopwatch;
  readonly signal: AbortSignal;
  readonly onCommitted: (digest: Digest) => void;
  /** Runs `work`, which loads an image and checks it, at a time when no other load can interfere. */
  readonly runLoad: <T>(work: () => Promise<T>) => Promise<T>;
  /** Image `id` has the lowest `upTo` layers; those from `from` on came. Throws where the engine must not keep them. */
  readonly check: (id: Digest, from: number, upTo: number) => Promise<void>;
  /** Whether it may have failed for want of layers that were taken to be here: they are asked for again. */
  readonly lost: (error: ImgmvError) => Promise<boolean>;
}

/** A layer whose bytes have come: they are in a load that is still open, or, if they are few, in memory. */
interface Taken {
  readonly path: string;
  readonly size: number;
  readonly in: Load | Buffer;
}

export interface Arrived extends Taken {
  readonly digest: Digest;
  /** Of what is in it, where that was looked at. */
  readonly diffId?: Digest | undefined;
}

/** Layers that go into one load, by which a helper comes to be. */
export interface Commit {
  readonly load: Load;
  readonly layers: readonly Arrived[];
  /** Of a classic store: how many of the lowest layers there are then. */
  readonly upTo: number;
}

/** When layers are committed, and in what company: one for each kind of store. */
export interface CommitOrder {
  /** What can be committed now that this layer has come; undefined where nothing wants it. */
  place(layer: Arrived): readonly Commit[] | undefined;
  /** What has come and is in no commit. */
  waiting(): readonly Arrived[];
  /** Layers have gone that had been there: as many as this still are, from the lowest on. */
  rewind(below: number): void;
  /** Nothing has come, and the lowest `below` layers are there. */
  restart(below: number): void;
  /** The files of the helper, but for the layers. */
  helper(name: string, commit: Commit): readonly ArchiveFile[];
  /** Whether this is the helper. */
  holds(made: InspectedImage, commit: Commit): boolean;
  /** Each helper holds what those before it hold. */
  readonly cumulative: boolean;
}

/** A layer of less waits in memory for one that is worth a load of its own. */
export const LAYER_ALONE_MIN_BYTES = 2 ** 20;
const LEAVE_AFTER_MS = 5_000;

export class Incoming {
  readonly #engine: Engine;
  readonly #options: IncomingOptions;
  readonly #order: CommitOrder;
  readonly #open = new Set<Load>();
  readonly #small = new Set<Buffer>();
  #commits: Promise<void> = Promise.resolve();
  #failure: ImgmvError | undefined;
  /** Whether the failure stays, whatever comes. */
  #final = false;
  #aborted: Promise<void> | undefined;
  /** The private names that hold what was committed, or may. */
  #names: string[] = [];
  #unpackedBytes = 0;

  constructor(engine: Engine, options: IncomingOptions) {
    this.#engine = engine;
    this.#options = options;
    this.#order = options.order;
  }

  /** Bytes of layers that the engine has unpacked, where it tells. */
  get unpackedBytes(): number {
    return [...this.#open].reduce((sum, load) => sum + load.unpackedBytes, this.#unpackedBytes);
  }

  /** Takes the bytes of a layer, `size` of them; `release` may get chunks that are not read any more. Throws what `body` throws, and why an earlier layer failed. */
  async take(
    path: string,
    size: number,
    body: AsyncIterable<Buffer>,
    release?: (chunk: Buffer) => void,
  ): Promise<Taken> {
    if (this.#failure && this.#final) throw this.#failure;
    const smallBytes = [...this.#small].reduce((sum, { length }) => sum + length, size);
    if (size < LAYER_ALONE_MIN_BYTES && smallBytes <= SMALL_LAYERS_MAX_BYTES) {
      const bytes = await inMemory(body, size);
      this.#small.add(bytes);
      return { path, size, in: bytes };
    }
    const load = new Load(this.#engine, this.#options.waited);
    this.#open.add(load);
    try {
      await this.#stoppable(load.file(path, size, body, release));
    } catch (error) {
      if (error instanceof BlobGivenUp) await this.discard({ path, size, in: load });
      throw error;
    }
    return { path, size, in: load };
  }

  /** Says what was taken; it is committed as soon as may be, while others come. */
  place(digest: Digest, taken: Taken, diffId?: Digest): void {
    const commits = this.#order.place({ ...taken, digest, diffId });
    if (!commits) return void this.discard(taken);
    for (const commit of commits) this.#commit(commit);
  }

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

  rewind(below: number): void {
    this.#order.rewind(below);
  }

  /** Small layers that nothing could take along: the load that makes the image complete brings them. */
  rest(): readonly ArchiveFile[] {
    const small = this.#order.waiting().filter((one) => one.in instanceof Buffer);
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
    // An engine that has got all of a load commits it, whether we wait or not; what it made is looked at then.
    await settledWithin(ended, LEAVE_AFTER_MS);
  }

  /** After `abort`: begins anew above the lowest `below` layers. */
  restart(below: number): void {
    this.#aborted = undefined;
    this.#failure = undefined;
    this.#final = false;
    this.#order.restart(below);
    this.#small.clear();
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

  #commit(commit: Commit): void {
    this.#commits = this.#commits.then(async () => {
      if (this.#failure) return;
      try {
        await this.#options.ready();
        if (!this.#failure) await this.#finish(commit);
      } catch (error) {
        this.#failure ??= toImgmvError(error);
        this.#final ||= !(await this.#options.lost(this.#failure).catch(() => false));
      }
    });
  }

  /** `lower`: the names before this one. */
  async #load(commit: Commit, name: string, lower: string[]): Promise<void> {
    try {
      await commit.load.finish();
    } catch (error) {
      // It may have been given up when the engine had got all of it.
      await this.#checked(commit, name, lower);
      throw error;
    }
    if (!(await this.#checked(commit, name, lower)))
      throw new ImgmvError(
        'engine-refused',
        'the docker engine said that it took a layer, but does not have it',
      );
  }

  /** False where the engine has no such helper. One with a layer that it must not keep is dropped, and throws integrity. */
  async #checked(commit: Commit, name: string, lower: string[]): Promise<boolean> {
    const { layers, upTo } = commit;
    const made = await this.#engine.inspect(name);
    if (!made || !this.#order.holds(made, commit)) return false;
    try {
      await this.#options.check(made.Id, upTo - layers.length, upTo);
    } catch (error) {
      this.#names = lower;
      await this.#drop([name]);
      throw error;
    }
    return true;
  }

  async #finish(commit: Commit): Promise<void> {
    const { load, layers } = commit;
    const name = this.#options.helpers.nextName();
    for (const { path, in: at } of layers) if (at instanceof Buffer) await load.add([path, at]);
    for (const file of this.#order.helper(name, commit)) await load.add(file);
    const lower = this.#names;
    this.#names = [...lower, name];
    await this.#options.runLoad(() => this.#load(commit, name, lower));
    this.#open.delete(load);
    this.#unpackedBytes += load.unpackedBytes;
    const waiting = new Set(this.#order.waiting().map(({ digest }) => digest));
    for (const { digest, in: at } of layers) {
      // The image has it once more, higher up.
      if (waiting.has(digest)) continue;
      if (at instanceof Buffer) this.#small.delete(at);
      this.#options.onCommitted(digest);
    }
    if (!this.#order.cumulative) return;
    this.#names = [name];
    await this.#drop(lower);
  }
}

async function inMemory(body: AsyncIterable<Buffer>, size: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > size) break;
    parts.push(Buffer.from(chunk));
  }
  if (length !== size)
    throw integrity(`a layer that was announced with ${counted(size, 'byte')} has another length`);
  return Buffer.concat(parts);
}
