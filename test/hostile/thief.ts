/** A paired sender that lies to get images of the target into a registry that it can read, and the lies that it tells. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll } from 'vitest';
import type { PushedRef } from '../../agent/model/events.ts';
import type { Digest } from '../../agent/model/image.ts';
import { EntryWriter } from '../../proto/entry-writer.ts';
import type { AnsweredItem } from '../../proto/messages.ts';
import { type MemoryBlob, type MemoryImage, testImage } from '../memory.ts';
import { type Engine, engineSupport, type Flavour, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { type Imgmv, toldBy } from '../rig/imgmv.ts';
import { type Registry, registrySupport, startRegistry } from '../rig/registry.ts';
import { describeOn } from '../rig/suite.ts';
import { type Program, program } from './built.ts';
import { offered, ScriptedSender, sendBlob, sendBlobs } from './hosts.ts';
import { blobOf, descriptor, jsonBlob, remade } from './lies.ts';

/** The name of the image that nobody has offered. */
export const PRIVATE = 'private/app:1.0';
export const PUSHES = { capabilities: ['push'], push: true };

export const INDEX = 'application/vnd.oci.image.index.v1+json';
export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const CONFIG = 'application/vnd.oci.image.config.v1+json';
export const TAR = 'application/vnd.oci.image.layer.v1.tar';

export interface TheftOptions {
  /** Of which the blobs are sent; the others fail. All when left out. */
  readonly sent?: readonly MemoryImage[];
  /** Where the receiver may push to; with none it does not push. The thief's own registry when left out. */
  readonly registries?: readonly string[];
  /** More arguments of the receiver. */
  readonly args?: readonly string[];
  /** Waited for when the receiver has said what became of the image of this number, from 0. */
  readonly behind?: (number: number, receiver: Imgmv) => Promise<unknown>;
}

export interface Theft {
  readonly items: readonly AnsweredItem[];
  /** The receiver's exit status. */
  readonly exit: number | null;
  /** What the receiver says of its pushes. */
  readonly pushed: readonly PushedRef[];
}

/** Of an image, as the receiver tells it. */
export interface ToldOutcome {
  readonly code: string;
  readonly said: string | undefined;
}

/** The target, with a private image, and the thief's registry. */
export class Thief implements AsyncDisposable {
  readonly engine: Engine;
  readonly registry: Registry;
  readonly built: Program;
  readonly victim: LoadedImage;
  #carriers = 0;

  private constructor(engine: Engine, registry: Registry, built: Program, victim: LoadedImage) {
    this.engine = engine;
    this.registry = registry;
    this.built = built;
    this.victim = victim;
  }

  static async atWork(flavour: Flavour = '28c', driver?: 'vfs'): Promise<Thief> {
    const [engine, registry] = await Promise.all([startEngine({ flavour, driver }), startRegistry()]);
    const built = await program(engine);
    const layers = [{ 'srv/secret': 'TOP SECRET' }];
    const victim = await loadImage(engine, { name: PRIVATE, layers, gzip: true });
    return new Thief(engine, registry, built, victim);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.built[Symbol.asyncDispose]();
    await this.registry[Symbol.asyncDispose]();
    await this.engine[Symbol.asyncDispose]();
  }

  /** Offers the images to a receiver that pushes, and sends them. */
  async steal(
    images: readonly MemoryImage[],
    {
      sent = images,
      registries = [this.registry.address],
      args = [],
      behind = async () => {},
    }: TheftOptions = {},
  ): Promise<Theft> {
    const allowed = registries.flatMap((address) => ['--allow-push', `${address}/*`]);
    await using receiver = await this.built.receive(['--once', '--json', ...allowed, ...args], {
      // From a classic engine it pushes only what it can look at.
      host: this.engine.place,
    });
    const hello = registries.length > 0 ? PUSHES : {};
    const thief = await ScriptedSender.pairBy(receiver.port, receiver.code, hello);
    await thief.say({ type: 'offer', items: images.map(wholeOffer), last: true });
    const { items } = await thief.hear('answer');
    const lane = await thief.lane();
    const fail = async (number: number) => {
      const error = { code: 'integrity', message: 'so it goes' };
      await thief.say({ type: 'failed', item: number, error });
      await new EntryWriter(lane).end(number, 0, false);
    };
    for (const [number, image] of images.entries()) {
      // What nobody has asked for would end the session.
      const isAsked = items[number]?.action === 'send';
      if (isAsked && sent.includes(image)) await sendBlobs(lane, number, image.blobs);
      else if (isAsked) await fail(number);
      // What was thought to be there is asked for again, and does not come.
      while ((await endOf(thief)) === 'again') await fail(number);
      await behind(number, receiver.imgmv);
    }
    await thief.say({ type: 'finish' });
    await Promise.all([thief.end(), lane.end()]);
    const { code } = await receiver.imgmv.exit;
    const told = await toldBy(receiver.imgmv);
    const pushed = told.flatMap((event) =>
      event.event === 'image' ? ((event.pushed ?? []) as readonly PushedRef[]) : [],
    );
    return { items, exit: code, pushed };
  }

  /**
   * Offers the images at once to a receiver that pushes nothing, and sends what it asks for, as often as it does. Gives
   * what became of each: a code of an error, and what was said of it, or `loaded`.
   */
  async outcomesOf(images: readonly MemoryImage[]): Promise<readonly ToldOutcome[]> {
    await using receiver = await this.built.receive(['--once', '--json'], { host: this.engine.place });
    const thief = await ScriptedSender.pairBy(receiver.port, receiver.code);
    await thief.say({ type: 'offer', items: images.map(wholeOffer), last: true });
    const { items } = await thief.hear('answer');
    const lane = await thief.lane();
    let sending = Promise.resolve();
    const send = (number: number, missing: readonly Digest[] = []) => {
      const { blobs } = images[number] as MemoryImage;
      const asked = blobs.filter(({ kind, digest }) => kind !== 'layer' || missing.includes(digest));
      sending = sending.then(() => sendBlobs(lane, number, asked));
    };
    for (const [number, { missing }] of items.entries()) send(number, missing);
    const outcomes: ToldOutcome[] = [];
    for (let left = images.length; left > 0; ) {
      const message = await thief.control.receive();
      if (!message) throw new Error('the other side ended before it said what became of the images');
      if (message.type === 'again') send(message.item, message.missing);
      if (message.type !== 'result') continue;
      const { code = message.status, message: said } = message.error ?? {};
      outcomes[message.item] = { code, said };
      left--;
    }
    await sending;
    await thief.say({ type: 'finish' });
    await Promise.all([thief.end(), lane.end()]);
    await receiver.imgmv.exit;
    return outcomes;
  }

  /**
   * Offers two images. The bytes of the first one's second layer are wrong, which fails it while its first layer is being loaded;
   * then the second image comes. Gives what became of each, as `outcomesOf` does.
   */
  async givesUp([first, second]: readonly [MemoryImage, MemoryImage]): Promise<readonly string[]> {
    await using receiver = await this.built.receive(['--once', '--json'], { host: this.engine.place });
    const thief = await ScriptedSender.pairBy(receiver.port, receiver.code);
    await thief.say({ type: 'offer', items: [first, second].map(wholeOffer), last: true });
    await thief.hear('answer');
    const lane = await thief.lane();
    const entries = new EntryWriter(lane);
    const [good, other] = first.blobs as [MemoryBlob, MemoryBlob];
    await sendBlob(entries, 0, good);
    await sleep(400);
    await sendBlob(entries, 0, { ...other, bytes: Buffer.alloc(2 ** 21) });
    await entries.end(0, 2, false);
    await thief.say({ type: 'failed', item: 0, error: { code: 'integrity', message: 'so it goes' } });
    let sending = sendBlobs(lane, 1, second.blobs);
    const codes: string[] = [];
    while (codes.filter(Boolean).length < 2) {
      const message = await thief.control.receive();
      if (!message) throw new Error('the other side ended before it said what became of the images');
      if (message.type === 'again') {
        const asked = second.blobs.filter(
          ({ kind, digest }) => kind !== 'layer' || message.missing?.includes(digest),
        );
        sending = sending.then(() => sendBlobs(lane, 1, asked));
      }
      if (message.type === 'result') codes[message.item] = message.error?.code ?? message.status;
    }
    await sending;
    await thief.say({ type: 'finish' });
    await Promise.all([thief.end(), lane.end()]);
    await receiver.imgmv.exit;
    return codes;
  }

  /**
   * Brings documents into the target's store as layers of an image that is not unpacked: nobody checks what they name.
   */
  async carry(...documents: readonly MemoryBlob[]): Promise<void> {
    const name = `carrier:${++this.#carriers}`;
    await this.steal([await carrierOf(name, ...documents)], { registries: [] });
  }

  nameIn(repository: string): string {
    return `${this.registry.address}/${repository}:1`;
  }

  /** The private manifest, as an index may name it. */
  theirs(mediaType = MANIFEST): object {
    const { manifest, manifestBytes } = this.victim;
    return { mediaType, digest: manifest, size: manifestBytes, ...platform('arm64') };
  }

  /** The private manifest, as a manifest may name it that is not read. */
  theirsAsLayer(): object {
    const { manifest, manifestBytes } = this.victim;
    return { mediaType: TAR, digest: manifest, size: manifestBytes };
  }

  /** A manifest with the config of this image, and the private manifest for one of its layers. */
  forgedFor(image: MemoryImage, ...layers: readonly MemoryBlob[]): MemoryBlob {
    const own = layers.map((layer) => descriptor(TAR, layer));
    return forged(descriptor(CONFIG, configOf(image)), ...own, this.theirsAsLayer());
  }

  /** What a repository of the registry has under a digest or a tag. */
  async inRegistry(
    repository: string,
    reference: string,
    what: 'blobs' | 'manifests' = 'blobs',
  ): Promise<string | undefined> {
    const response = await fetch(`http://${this.registry.address}/v2/${repository}/${what}/${reference}`, {
      headers: { accept: MANIFEST },
    });
    return response.ok ? response.text() : undefined;
  }

  /** Whether the private manifest or config is in a repository of the registry. */
  async isStolen(repository: string): Promise<boolean> {
    const { manifest, config } = this.victim;
    const found = [
      await this.inRegistry(repository, manifest, 'manifests'),
      await this.inRegistry(repository, manifest),
      await this.inRegistry(repository, config),
    ];
    return found.some((bytes) => bytes !== undefined);
  }
}

/** An image of a classic store that has these blobs of the target for its layers. */
export function claims(name: string, layers: readonly Digest[], number = 0): MemoryImage {
  const config = jsonBlob('config', {
    // Of another platform, which the engine does not unpack.
    architecture: 'arm64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: layers },
    history: layers.map(() => ({ created_by: `thief ${number}` })),
  });
  return {
    image: {
      id: config.digest,
      root: {
        mediaType: 'application/vnd.docker.container.image.v1+json',
        digest: config.digest,
        size: config.bytes.length,
      },
      store: 'classic',
      platform: { os: 'linux', architecture: 'arm64' },
      names: [{ source: name, target: name }],
      diffIds: layers,
      config: config.digest,
      layers: layers.map((digest) => ({ digest, size: 1_000 })),
      bytes: 1_000,
    },
    blobs: [config],
  };
}

/** The thief's own image, below an index that has these children besides. */
export async function below(name: string, ...children: readonly object[]): Promise<MemoryImage> {
  const own = await testImage({ name, store: 'containerd' });
  const { image, blobs } = remade(own, {
    above: (manifest) => [indexOf({ ...descriptor(MANIFEST, manifest), ...platform('amd64') }, ...children)],
  });
  return { image: { ...image, root: { ...image.root, mediaType: INDEX } }, blobs };
}

/** An image that has these documents for its layers, of another platform, which the engine does not unpack. */
export async function carrierOf(name: string, ...documents: readonly MemoryBlob[]): Promise<MemoryImage> {
  const own = await testImage({ name, store: 'containerd' });
  const layers = documents.map(({ bytes }) => blobOf('layer', bytes));
  return arm64(remade(own, { layers, config: { architecture: 'arm64' } }));
}

/** Offered as an image that begins with this manifest. */
export function rootedIn({ image, blobs }: MemoryImage, manifest: MemoryBlob): MemoryImage {
  const root = descriptor(MANIFEST, manifest);
  return {
    image: { ...image, id: manifest.digest, root },
    blobs: blobs.map((blob) => (blob.digest === image.root.digest ? manifest : blob)),
  };
}

export function arm64({ image, blobs }: MemoryImage): MemoryImage {
  return { image: { ...image, ...platform('arm64') }, blobs };
}

export function indexOf(...manifests: readonly object[]): MemoryBlob {
  return jsonBlob('index', { schemaVersion: 2, mediaType: INDEX, manifests });
}

export function forged(config: object, ...layers: readonly object[]): MemoryBlob {
  return jsonBlob('manifest', { schemaVersion: 2, mediaType: MANIFEST, config, layers });
}

/** A manifest as an index names it, of another platform than the thief's own image. */
export function childOf(manifest: MemoryBlob): object {
  return { ...descriptor(MANIFEST, manifest), ...platform('arm64') };
}

export function configOf({ blobs }: MemoryImage): MemoryBlob {
  return blobs.find(({ kind }) => kind === 'config') as MemoryBlob;
}

export function platform(architecture: string) {
  return { platform: { os: 'linux', architecture } };
}

/** With all that a sender may tell of its image. */
export function wholeOffer(image: MemoryImage, number: number): object {
  const { config, layers } = image.image;
  return { ...offered(image, number), ...(config && { config }), ...(layers && { layers }) };
}

/** Whether the image whose blobs were sent has a result, or is asked for again. */
async function endOf({ control }: ScriptedSender): Promise<'result' | 'again'> {
  for (;;) {
    const message = await control.receive();
    if (!message) throw new Error('the other side ended before it said what became of the image');
    if (message.type === 'result' || message.type === 'again') return message.type;
  }
}

/** A suite with a thief at work: `at.thief` is there in the tests. */
export async function describeThefts(
  title: string,
  tests: (at: { readonly thief: Thief }) => void,
): Promise<void> {
  const supports = [await engineSupport('28c'), await registrySupport()];
  describeOn(title, supports, () => {
    let thief: Thief | undefined;
    beforeAll(async () => {
      thief = await Thief.atWork();
    });
    afterAll(async () => {
      await thief?.[Symbol.asyncDispose]();
    });
    tests({
      get thief(): Thief {
        if (!thief) throw new Error('there is no thief before the tests');
        return thief;
      },
    });
  });
}
