/** An engine as a sink: plans against what it has, and takes each image by `docker load`. */
import { randomBytes } from 'node:crypto';
import { counted } from '../../proto/counted.ts';
import { deferred } from '../../proto/deferred.ts';
import { toImgmvError } from '../../proto/errors.ts';
import { Stopwatch } from '../../proto/stopwatch.ts';
import { bytesToCome, type Digest, digestsOf, type Image } from '../model/image.ts';
import { NameClaims } from '../model/name-claims.ts';
import { shownName } from '../model/plan.ts';
import { parseReference } from '../model/reference.ts';
import {
  type Answer,
  type Committed,
  type ImageWriter,
  type Planned,
  type PlannedName,
  presentWriter,
  refused,
  type Sink,
  type SinkFacts,
} from '../model/sink.ts';
import type { Waits } from '../model/source.ts';
import type { SentDocuments } from '../oci/image-parts.ts';
import { ARCHITECTURE_UNSAID } from '../oci/metadata.ts';
import { atOnce, LOOKUPS_AT_ONCE } from '../streams/at-once.ts';
import type { Engine, ListedByEngine } from './engine.ts';
import { EngineWriter, LAYERWISE_MIN_BYTES } from './engine-writer.ts';
import { dropHelper, type Helper, Helpers, helpersAmong, isOver, isPrivateName } from './helpers.ts';
import type { ImageStore } from './image-store.ts';
import type { Inventory } from './inventory.ts';
import { lookAtName } from './name-look.ts';
import { bytesWhileLoading, noRoom, type Room, roomOf } from './room.ts';
import { setNames } from './set-names.ts';
import { imageStoreOf } from './stores.ts';

export interface EngineSinkOptions {
  /** Refuse what would take a name from another image. */
  readonly noReplace: boolean;
  /** Take images for which there seems to be no room. */
  readonly ignoreSpace: boolean;
  /** From how many bytes on an image is committed layer by layer; `LAYERWISE_MIN_BYTES` when left out. */
  readonly layerwiseMinBytes?: number;
}

interface Planning {
  readonly inventory: Inventory;
  /** What several images share travels with the first of them; if that one fails, the next asks for it. */
  readonly coming: Map<Digest, Coming>;
  readonly room: Room | undefined;
  freeBytes: number;
}

interface Here {
  readonly inventory: Inventory;
  readonly byId: ReadonlyMap<Digest, ListedByEngine>;
  readonly byName: ReadonlyMap<string, Digest>;
}

interface Coming {
  readonly answer: Answer;
  /** How many of its lowest layers are here, or come with others. */
  readonly below: number;
  /** Those that bring layers which this one needs, and which are not here. */
  readonly bringers: ReadonlySet<Coming>;
  /** Of one that has begun: resolves when it is here, or will not be. */
  settled: Promise<void> | undefined;
}

interface LookedUp {
  readonly image: Image;
  readonly there: Digest | undefined;
  readonly refs: readonly PlannedName[];
}

export class EngineSink implements Sink {
  readonly facts: SinkFacts;
  readonly #engine: Engine;
  readonly #store: ImageStore;
  readonly #options: EngineSinkOptions;
  readonly #claims = new NameClaims();
  readonly #helpers: Helpers;
  /** Layers that were here when images were planned, or have come since. */
  readonly #knownLayers = new Set<Digest>();
  /** Blobs that images of this session bring into the store, sooner or later. */
  #mayCome: Set<Digest> | 'any' = new Set();
  /** Images that are being loaded, by the bytes that they bring. */
  readonly #loading = new Map<Promise<unknown>, number>();
  readonly #waited = new Stopwatch();
  /** Whether anything of ours was there before an image came, or may have been left by a try that failed. */
  #helpersThere = false;

  private constructor(engine: Engine, helpers: Helpers, options: EngineSinkOptions) {
    this.facts = { store: engine.info.store, atomic: false };
    this.#engine = engine;
    this.#store = imageStoreOf(engine);
    this.#helpers = helpers;
    this.#options = options;
  }

  static async open(engine: Engine, options: EngineSinkOptions): Promise<EngineSink> {
    return new EngineSink(engine, new Helpers(randomBytes(6).toString('hex')), options);
  }

  /** As the image store has it: why nobody can see from here what the engine would push. */
  static async whyUnseen(engine: Engine): Promise<string | undefined> {
    await using store = imageStoreOf(engine);
    return await store.whyUnseen();
  }

  async plan(images: readonly Image[]): Promise<readonly Planned[]> {
    // One list for all: with hundreds of images it is what takes the time.
    let listed = await this.#engine.list();
    const helpers = helpersAmong(listed);
    // What some run left, and none came back for.
    const over = helpers.filter((helper) => isOver(helper) && !this.#helpers.owns(helper));
    for (const helper of over) await dropHelper(this.#engine, helper);
    // What was theirs alone is not here any more.
    if (over.length > 0) listed = await this.#engine.list();
    this.#helpersThere ||= helpers.length > 0;
    const room = this.#options.ignoreSpace ? undefined : await roomOf(this.#engine);
    const planning: Planning = {
      inventory: await this.#store.inventory(async () => listed),
      coming: new Map(),
      room,
      freeBytes: room?.freeBytes ?? Number.POSITIVE_INFINITY,
    };
    const here: Here = {
      inventory: planning.inventory,
      byId: new Map(listed.map((one) => [one.Id, one])),
      byName: new Map(listed.flatMap(({ Id, RepoTags }) => (RepoTags ?? []).map((name) => [name, Id]))),
    };
    const found = await atOnce(LOOKUPS_AT_ONCE, images, (image) => this.#lookUp(image, here));
    const clashing = this.#claims.clashes(images);
    const planned: Planned[] = [];
    // One after another: what is coming with one of them need not come with the next.
    for (const [at, looked] of found.entries())
      planned.push(await this.#planOne(looked, clashing[at], planning));
    return planned;
  }

  async #lookUp(image: Image, here: Here): Promise<LookedUp> {
    const there = await this.#findPresent(image, here);
    const refs = image.names.map((name): PlannedName => {
      const holder = here.byName.get(shownName(name));
      return holder === undefined || holder === there ? name : { ...name, replaces: holder };
    });
    return { image, there, refs };
  }

  async #planOne(
    { image, there, refs }: LookedUp,
    clash: string | undefined,
    planning: Planning,
  ): Promise<Planned> {
    const reason = this.#refusal(image, refs) ?? clash;
    if (reason !== undefined) return refused({ image, action: 'refuse', reason, refs });
    const { architecture } = this.#engine.info.platform;
    const warning = [architecture, ARCHITECTURE_UNSAID].includes(image.platform.architecture)
      ? {}
      : {
          warning: `made for ${image.platform.architecture}, but this engine runs ${architecture}: it can be moved, but may not run`,
        };
    if (there !== undefined) return this.#present({ image, action: 'present', refs, ...warning }, there);
    return this.#planSending({ image, action: 'send', refs, ...warning }, planning);
  }

  /** What of an image has to come, if there is room for it. */
  async #planSending(sending: Answer, planning: Planning): Promise<Planned> {
    const { coming, freeBytes, inventory, room } = planning;
    const { image } = sending;
    this.#expect(image);
    const { missing, below, brings, here } = await inventory.lacking(image, coming);
    for (const digest of here) this.#knownLayers.add(digest);
    const bytes = bytesToCome(image, missing);
    const needed = bytesWhileLoading(bytes);
    if (room && needed > freeBytes) {
      const reason = noRoom('loaded', needed, { ...room, freeBytes });
      return refused({ ...sending, action: 'refuse', reason });
    }
    planning.freeBytes -= bytes;
    const reason = await whySent(image, missing, inventory);
    const inOne = this.#layerwiseMinBytes === Number.POSITIVE_INFINITY && bytes >= LAYERWISE_MIN_BYTES;
    const warning = [...(inOne ? [IN_ONE] : []), ...(sending.warning ? [sending.warning] : [])].join('; ');
    const answer = {
      ...sending,
      ...(reason !== undefined && { reason }),
      ...(missing && { missing }),
      ...(warning !== '' && { warning }),
    };
    const bringers = new Set<Coming>();
    const one: Coming = { answer, below, bringers, settled: undefined };
    for (const digest of brings) {
      const bringer = coming.get(digest);
      if (bringer) bringers.add(bringer);
      else coming.set(digest, one);
    }
    return { answer, open: (signal) => this.#open(one, signal) };
  }

  #refusal(image: Image, refs: readonly PlannedName[]): string | undefined {
    const { os } = this.#engine.info.platform;
    if (image.platform.os !== os) return `an image for ${image.platform.os} cannot be loaded on ${os}`;
    const { layersMax } = this.#store;
    if (image.diffIds.length > layersMax)
      return `it has ${counted(image.diffIds.length, 'layer')}, and this engine takes at most ${layersMax}`;
    const ours = refs.find((name) => isPrivateName(shownName(name)));
    if (ours) return `${ours.target} is a name that imgmv gives to incomplete images`;
    const localhost =
      this.#engine.info.kind === 'podman' && refs.find(({ target }) => parseReference(target)?.domain === '');
    if (localhost) return `podman would take ${localhost.target} for localhost/${localhost.target}`;
    const replaced = refs.find(({ replaces }) => replaces !== undefined);
    if (this.#options.noReplace && replaced)
      return `${replaced.target} is ${replaced.replaces} here, and --no-replace was given`;
    return undefined;
  }

  /** The id here of the very image, whole. Where the kinds of store differ, their config tells. */
  async #findPresent(image: Image, { byId, inventory }: Here): Promise<Digest | undefined> {
    if (image.store !== this.#engine.info.store)
      return image.config && (await inventory.withConfig(image.config, image.diffIds));
    return this.#store.present(image, byId.get(image.id));
  }

  #present(answer: Answer, targetId: Digest): Planned {
    const { image } = answer;
    const commit = async (): Promise<Committed> => {
      const refs = await setNames(this.#engine, targetId, image.names, this.#options);
      await this.#dropHelpersOf(image, targetId);
      return { targetId, refs, pushable: this.#pushable(image, targetId, undefined), push: undefined };
    };
    return { answer, open: async () => presentWriter(commit) };
  }

  async #open(coming: Coming, signal: AbortSignal): Promise<ImageWriter> {
    const { answer, below } = coming;
    const { image } = answer;
    await this.#roomBeside(answer);
    const writer = new EngineWriter(this.#engine, answer, {
      store: this.#store,
      helpers: this.#helpers,
      below,
      knownLayers: this.#knownLayers,
      helpersThere: () => this.#helpersThere,
      ready: () => bringersSettled(coming),
      signal,
      setNames: (from) => setNames(this.#engine, from, image.names, this.#options),
      waited: this.#waited,
      layerwiseMinBytes: this.#layerwiseMinBytes,
    });
    const settled = deferred<void>();
    coming.settled = settled.promise;
    return {
      write: (blob) => writer.write(blob),
      commit: async () => {
        await bringersSettled(coming);
        const end = await this.#whileLoading(answer, writer.commit());
        if (!('targetId' in end)) return end;
        settled.resolve();
        const { targetId, refs } = end;
        await this.#dropHelpersOf(image, targetId);
        return { targetId, refs, pushable: this.#pushable(image, targetId, writer.sent), push: undefined };
      },
      loadedBytes: () => writer.loadedBytes(),
      keptBytes: () => writer.keptBytes(),
      abort: async (error) => {
        this.#helpersThere = true;
        await writer.abort(error);
        settled.resolve();
      },
    };
  }

  /** A layer that is committed alone needs a connection of its own. If ssh forwards none, that may take another login. */
  get #layerwiseMinBytes(): number {
    const { layerwiseMinBytes = LAYERWISE_MIN_BYTES } = this.#options;
    return this.#engine.transport.forwards?.() === false ? Number.POSITIVE_INFINITY : layerwiseMinBytes;
  }

  #pushable(image: Image, targetId: Digest, sent: SentDocuments | undefined): Committed['pushable'] {
    const mayCome = (digest: Digest) => this.#mayCome === 'any' || this.#mayCome.has(digest);
    return async (name) => {
      const pushable = await this.#store.pushable({ image, targetId, sent, mayCome });
      // Last, since an engine pushes what has the name then.
      return { ...pushable, name: await lookAtName(this.#engine, name, targetId) };
    };
  }

  #expect(image: Image): void {
    if (image.layers === undefined && image.store === 'containerd') this.#mayCome = 'any';
    if (this.#mayCome === 'any') return;
    for (const digest of digestsOf(image)) this.#mayCome.add(digest);
  }

  async retrying(): Promise<void> {}

  async finish(): Promise<void> {}

  /**
   * The image is complete, and is `targetId`: what other runs left of it is of no use any more. It is complete
   * all the same where that fails; what is left goes within a day.
   */
  async #dropHelpersOf(image: Image, targetId: Digest): Promise<void> {
    if (!this.#helpersThere) return;
    try {
      for (const helper of helpersAmong(await this.#engine.list()))
        if (await this.#isLeftOf(image, targetId, helper)) await dropHelper(this.#engine, helper);
    } catch (error) {
      if (toImgmvError(error).code === 'internal') throw error;
    }
  }

  async #isLeftOf({ id }: Image, targetId: Digest, helper: Helper): Promise<boolean> {
    // An earlier try of this very session has nothing under way any more.
    const mine = this.#helpers.owns(helper);
    if (helper.id !== targetId)
      return helper.image === id && (mine || helper.live !== true || isOver(helper));
    // A run that was killed while the engine loaded an image whole leaves it under its private name, which
    // may be the only one; and one that still goes on somewhere is about to give it its names.
    if (!mine && helper.live !== false && !isOver(helper)) return false;
    const names = (await this.#engine.inspect(targetId))?.RepoTags ?? [];
    return names.some((name) => !isPrivateName(name));
  }

  async #whileLoading<T>({ image, missing }: Answer, loading: Promise<T>): Promise<T> {
    this.#loading.set(loading, bytesToCome(image, missing));
    try {
      return await loading;
    } finally {
      this.#loading.delete(loading);
    }
  }

  /** The plan has looked for room for each image alone: where there is none for two at once, they take turns. */
  async #roomBeside({ image, missing }: Answer): Promise<void> {
    const needed = bytesWhileLoading(bytesToCome(image, missing));
    while (this.#loading.size > 0) {
      const room = await roomOf(this.#engine);
      const owed = [...this.#loading.values()].reduce((sum, bytes) => sum + bytes, 0);
      if (!room || room.freeBytes - owed >= needed) return;
      await Promise.race([...this.#loading.keys()].map((loading) => loading.catch(() => {})));
    }
  }

  waits(): Waits {
    return { load: this.#waited.ms };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#helpers[Symbol.dispose]();
  }
}

/** What a break costs where layers are not committed one by one. */
const IN_ONE =
  'ssh forwards no socket there, so it goes as a whole: if the connection breaks, it begins anew';

/** An image that has not begun is not waited for: it might be behind this one. */
async function bringersSettled({ bringers }: Coming): Promise<void> {
  for (const bringer of bringers) await bringer.settled;
}

/** Why layers are to come that may be here; undefined where there are none. */
async function whySent(
  image: Image,
  missing: readonly Digest[] | undefined,
  inventory: Inventory,
): Promise<string | undefined> {
  if (image.layers === undefined)
    return 'the source does not say in advance which layers it has, so all of them are sent';
  if (missing === undefined) return 'the target does not show which layers it has, so all of them are sent';
  const otherwise = await inventory.heldOtherwise(image, missing);
  if (otherwise === 0) return undefined;
  return `${otherwise} of the layers are there in another compression, so they are sent again`;
}
