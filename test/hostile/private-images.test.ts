/**
 * A paired sender that may push, and images of the target that are none of its business: what a containerd store holds is
 * not for it to read by way of a registry of its own, however it calls the blobs.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Digest } from '../../agent/model/image.ts';
import { digestOf } from '../../agent/oci/metadata.ts';
import { EntryWriter } from '../../proto/entry-writer.ts';
import type { AnsweredItem as Answered } from '../../proto/messages.ts';
import { type MemoryBlob, type MemoryImage, testImage } from '../memory.ts';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage, loadIndexImage } from '../rig/images.ts';
import { type Registry, registrySupport, startRegistry } from '../rig/registry.ts';
import { describeOn } from '../rig/suite.ts';
import { type Program, program } from './built.ts';
import { offered, ScriptedSender, sendBlobs } from './hosts.ts';
import { blobOf, descriptor, jsonBlob, remade } from './lies.ts';

const PRIVATE = 'private/app:1.0';
const PUSHES = { capabilities: ['push'], push: true };

describeOn(
  'a paired sender that may push, and private images of a containerd store',
  [await engineSupport('28c'), await registrySupport()],
  () => {
    let engine: Engine;
    let built: Program;
    let registry: Registry;
    let victim: LoadedImage;

    beforeAll(async () => {
      [engine, registry] = await Promise.all([startEngine({ flavour: '28c' }), startRegistry()]);
      built = await program(engine);
      victim = await loadImage(engine, {
        name: PRIVATE,
        layers: [{ 'srv/secret': 'TOP SECRET' }],
        gzip: true,
      });
    });
    afterAll(async () => {
      await built?.[Symbol.asyncDispose]();
      await registry?.[Symbol.asyncDispose]();
      await engine?.[Symbol.asyncDispose]();
    });

    /** An image of a classic store that has these blobs of the target for its layers, and a name in the registry. */
    const claims = (name: string, layers: readonly Digest[], number = 0): MemoryImage => {
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
    };

    /** What a receiver that pushes answers to the images; of those in `sent` the blobs are sent, and the others fail. */
    async function steal(images: readonly MemoryImage[], sent = images): Promise<readonly Answered[]> {
      const push = ['--allow-push', `${registry.address}/*`];
      await using receiver = await built.receive(['--once', '--json', ...push]);
      const thief = await ScriptedSender.pairBy(receiver.port, receiver.code, PUSHES);
      await thief.say({ type: 'offer', items: images.map(wholeOffer), last: true });
      const answer = await thief.hear('answer');
      const lane = await thief.lane();
      const failure = { code: 'integrity', message: 'so it goes' };
      for (const [number, image] of images.entries()) {
        // What nobody has asked for would end the session.
        const isAsked = answer.items[number]?.action === 'send';
        if (isAsked && sent.includes(image)) await sendBlobs(lane, number, image.blobs);
        else if (isAsked) {
          await thief.say({ type: 'failed', item: number, error: failure });
          await new EntryWriter(lane).end(number, 0, false);
        }
        // What was thought to be there is asked for again, and does not come.
        while ((await endOf(thief)) === 'again') {
          await thief.say({ type: 'failed', item: number, error: failure });
          await new EntryWriter(lane).end(number, 0, false);
        }
      }
      await thief.say({ type: 'finish' });
      await thief.end();
      await receiver.imgmv.exit;
      return answer.items;
    }

    const inRegistry = async (repository: string, digest: string, what: 'blobs' | 'manifests' = 'blobs') => {
      const response = await fetch(`http://${registry.address}/v2/${repository}/${what}/${digest}`, {
        headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
      });
      return response.ok ? Buffer.from(await response.arrayBuffer()).toString() : undefined;
    };

    it('a plan tells 12 digits of an image that would lose its name, and so does what is said of it', async () => {
      const claim = claims(PRIVATE, [digestOf(Buffer.from('anything'))]);
      for (const args of [[], ['--no-replace']]) {
        await using receiver = await built.receive(['--once', '--json', ...args]);
        const thief = await ScriptedSender.pairBy(receiver.port, receiver.code, { purpose: 'plan' });
        const { items } = await thief.offer([claim]);
        expect(victim.id).toMatch(/^sha256:[0-9a-f]{64}$/);
        expect(JSON.stringify(items)).not.toContain(victim.id.slice('sha256:'.length));
        expect(items[0]?.names[0]?.replaces).toBe(victim.id.slice('sha256:'.length).slice(0, 12));
        // The receiver's own user sees it in full.
        expect(await receiver.imgmv.waitFor('plan')).toMatchObject({
          images: [{ refs: [{ replaces: victim.id }] }],
        });
        await thief.end();
      }
    });

    it.each([
      ['root', (image: LoadedImage) => image.manifest],
      ['config', (image: LoadedImage) => image.config],
    ])('the %s of a private image is no layer, even to who knows its digest', async (kind, pick) => {
      const digest = pick(victim) as Digest;
      const [answer] = await steal([claims(`${registry.address}/loot/${kind}:1`, [digest])]);
      expect({ missing: answer?.missing, stolen: await inRegistry(`loot/${kind}`, digest) }).toEqual({
        missing: [digest],
        stolen: undefined,
      });
    });

    it('nor is it one that an image before was to bring, and did not', async () => {
      const digest = victim.manifest as Digest;
      const claim = (number: number) => claims(`${registry.address}/loot/coming:${number}`, [digest], number);
      const [bringer, heir] = [claim(1), claim(2)];
      const answers = await steal([bringer, heir], [heir]);
      expect(answers.map(({ missing }) => missing)).toEqual([[digest], []]);
      expect(await inRegistry('loot/coming', digest)).toBeUndefined();
    });

    it('a layer is one, under what it is called in a classic store, too', async () => {
      const [answer] = await steal([
        claims(`${registry.address}/loot/layer:1`, victim.diffIds as readonly Digest[]),
      ]);
      expect(answer?.missing).toEqual([]);
    });

    const INDEX = 'application/vnd.oci.image.index.v1+json';
    const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
    const platform = (architecture: string) => ({ platform: { os: 'linux', architecture } });

    /** The thief's own image, below an index that has these children besides. */
    const below = async (name: string, ...children: readonly object[]): Promise<MemoryImage> => {
      const own = await testImage({ name, store: 'containerd' });
      const { image, blobs } = remade(own, {
        above: (manifest) => [
          jsonBlob('index', {
            schemaVersion: 2,
            mediaType: INDEX,
            manifests: [{ ...descriptor(MANIFEST, manifest), ...platform('amd64') }, ...children],
          }),
        ],
      });
      return { image: { ...image, root: { ...image.root, mediaType: INDEX } }, blobs };
    };
    const theirs = (mediaType = MANIFEST) => ({
      mediaType,
      digest: victim.manifest as Digest,
      size: victim.manifestBytes,
      ...platform('arm64'),
    });
    const isStolen = async (repository: string) =>
      [
        await inRegistry(repository, victim.manifest, 'manifests'),
        await inRegistry(repository, victim.manifest),
        await inRegistry(repository, victim.config),
      ].some((bytes) => bytes !== undefined);

    it('an index that names a private manifest is loaded, and not pushed', async () => {
      const name = `${registry.address}/loot/index:1`;
      const image = await below(name, theirs());
      // Whatever the offer says that the sender has of it.
      const claim = { ...image, image: { ...image.image, config: victim.config as Digest } };
      // Once as it is loaded, and once more as it is there.
      for (const one of [claim, image]) await steal([one]);
      expect(await engine.docker(['image', 'ls', '--quiet', name])).not.toBe('');
      expect(await isStolen('loot/index')).toBe(false);
      expect(await inRegistry('loot/index', '1', 'manifests')).toBeUndefined();
    });

    it.each([
      'application/octet-stream',
      'application/vnd.oci.image.layer.v1.tar',
      'application/vnd.example.index.v1+json',
    ])('an index that names a private manifest as %s is refused', async (mediaType) => {
      const repository = `loot/type-${mediaType.replaceAll(/[^a-z]/g, '-')}`;
      const name = `${registry.address}/${repository}:1`;
      await steal([await below(name, theirs(mediaType))]);
      expect(await engine.docker(['image', 'ls', '--quiet', name])).toBe('');
      expect(await isStolen(repository)).toBe(false);
    });

    it('a manifest that calls another manifest its layer is refused', async () => {
      const name = `${registry.address}/loot/nested:1`;
      const own = await testImage({ name, store: 'containerd' });
      const inner = blobOf(
        'layer',
        Buffer.from(
          JSON.stringify({
            schemaVersion: 2,
            mediaType: MANIFEST,
            config: descriptor('application/vnd.oci.image.config.v1+json', own.blobs.at(-2) as MemoryBlob),
            layers: [{ ...theirs('application/vnd.oci.image.layer.v1.tar'), platform: undefined }],
          }),
        ),
      );
      const image = remade(own, {
        layers: [inner],
        config: { architecture: 'arm64' },
        manifest: { layers: [descriptor(MANIFEST, inner)] },
      });
      await steal([
        { ...image, image: { ...image.image, platform: { os: 'linux', architecture: 'arm64' } } },
      ]);
      expect(await engine.docker(['image', 'ls', '--quiet', name])).toBe('');
      expect(await isStolen('loot/nested')).toBe(false);
    });

    const CONFIG = 'application/vnd.oci.image.config.v1+json';
    const TAR = 'application/vnd.oci.image.layer.v1.tar';
    const forged = (config: object, ...layers: readonly object[]) =>
      jsonBlob('manifest', { schemaVersion: 2, mediaType: MANIFEST, config, layers });
    const arm64 = (image: MemoryImage): MemoryImage => ({
      ...image,
      image: { ...image.image, platform: { os: 'linux', architecture: 'arm64' } },
    });
    /** Brings documents into the store as layers of an image that is not unpacked: nobody checks what they name. */
    const carry = async (name: string, ...documents: readonly MemoryBlob[]) => {
      const rootfs = { type: 'layers', diff_ids: documents.map(({ digest }) => digest) };
      const own = await testImage({
        name: `${registry.address}/loot/carrier-${name}:1`,
        store: 'containerd',
      });
      const layers = documents.map(({ bytes }) => blobOf('layer', bytes));
      await steal([arm64(remade(own, { layers, config: { architecture: 'arm64', rootfs } }))]);
    };
    const stolenManifest = () => ({ mediaType: TAR, digest: victim.manifest, size: victim.manifestBytes });

    it('a forged manifest that has the config of the sender, and a private manifest for a layer, is not pushed', async () => {
      const name = `${registry.address}/loot/borrowed:1`;
      const own = await testImage({ name, store: 'containerd' });
      // As many layers as the config names.
      const [layer] = own.blobs;
      const layers = [descriptor(TAR, layer as MemoryBlob), stolenManifest()];
      const evil = forged(descriptor(CONFIG, own.blobs.at(-2) as MemoryBlob), ...layers);
      await carry('borrowed', evil);
      const image = await below(name, { ...descriptor(MANIFEST, evil), ...platform('arm64') });
      // Once as it is loaded, and once more as it is there.
      for (let times = 0; times < 2; times++) await steal([image]);
      expect(await engine.docker(['image', 'ls', '--quiet', name])).not.toBe('');
      expect(await isStolen('loot/borrowed')).toBe(false);
    });

    it('a forged manifest that has a private config, and layers of the sender, is not pushed', async () => {
      const name = `${registry.address}/loot/config-of-others:1`;
      const own = await testImage({ name, store: 'containerd' });
      const layer = own.blobs.find(({ kind }) => kind === 'layer') as MemoryBlob;
      const evil = forged(
        { mediaType: CONFIG, digest: victim.config, size: victim.configBytes },
        descriptor(TAR, layer),
      );
      await carry('config-of-others', evil);
      const image = await below(name, { ...descriptor(MANIFEST, evil), ...platform('arm64') });
      for (let times = 0; times < 2; times++) await steal([image]);
      expect(await engine.docker(['image', 'ls', '--quiet', name])).not.toBe('');
      expect(await isStolen('loot/config-of-others')).toBe(false);
    });

    it('a forged manifest that comes as metadata, and counts as a layer, is not pushed', async () => {
      const repository = 'loot/as-a-layer';
      const name = `${registry.address}/${repository}:1`;
      const own = await testImage({ name, store: 'containerd' });
      const evil = forged(descriptor(CONFIG, own.blobs.at(-2) as MemoryBlob), stolenManifest());
      const child = { ...descriptor(MANIFEST, evil), ...platform('arm64') };
      const inner = jsonBlob('index', { schemaVersion: 2, mediaType: INDEX, manifests: [child] });
      await carry('as-a-layer', inner);
      const rootfs = { type: 'layers', diff_ids: [evil.digest] };
      const config = jsonBlob('config', { architecture: 'arm64', os: 'linux', config: {}, rootfs });
      const around = forged(descriptor(CONFIG, config), descriptor(TAR, evil));
      const { image, blobs } = await below(
        name,
        { ...descriptor(MANIFEST, around), ...platform('arm64') },
        descriptor(INDEX, inner),
      );
      const layers = blobs.filter(({ kind }) => kind === 'layer');
      const rest = blobs.filter(({ kind }) => kind !== 'layer');
      await steal([{ image, blobs: [...layers, evil, config, around, ...rest] }]);
      expect(await isStolen(repository)).toBe(false);
    });

    it('an image that is there, compressed, below an index is pushed for whoever has its layers', async () => {
      const name = `${registry.address}/honest/compressed:1`;
      const there = await loadIndexImage(engine, {
        name,
        layers: [{ 'srv/mine': 'compressed' }],
        gzip: true,
      });
      const diffIds = there.diffIds as readonly Digest[];
      const claim = claims(name, diffIds);
      const offer: MemoryImage = {
        ...claim,
        image: {
          ...claim.image,
          id: there.config as Digest,
          root: { ...claim.image.root, digest: there.config as Digest },
          platform: { os: 'linux', architecture: 'amd64' },
          config: there.config as Digest,
        },
      };
      expect(await steal([offer])).toMatchObject([{ action: 'present' }]);
      expect(await registry.digestOf('honest/compressed', '1')).toMatch(/^sha256:/);
    });

    it('an index that is there with an attestation of its own is pushed', async () => {
      const name = `${registry.address}/honest/attested:1`;
      const statement = blobOf('layer', Buffer.from('{"_type":"https://in-toto.io/Statement/v0.1"}'));
      const config = jsonBlob('config', {
        architecture: 'unknown',
        os: 'unknown',
        config: {},
        rootfs: { type: 'layers', diff_ids: [statement.digest] },
      });
      const attestation = jsonBlob('manifest', {
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: descriptor('application/vnd.oci.image.config.v1+json', config),
        layers: [descriptor('application/vnd.in-toto+json', statement)],
      });
      const image = await below(name, {
        ...descriptor(MANIFEST, attestation),
        platform: { os: 'unknown', architecture: 'unknown' },
        annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
      });
      const whole: MemoryImage = {
        image: {
          ...image.image,
          layers: [...(image.image.layers ?? []), { digest: statement.digest, size: statement.bytes.length }],
        },
        blobs: [statement, config, attestation, ...image.blobs],
      };
      for (const tag of [1, 2]) {
        const target = name.replace(/1$/, `${tag}`);
        const names = [{ source: target, target }];
        await steal([{ ...whole, image: { ...whole.image, names } }]);
        expect([tag, await registry.digestOf('honest/attested', `${tag}`)]).toEqual([tag, image.image.id]);
      }
    });
  },
);

for (const flavour of ['20', '28c'] as const)
  describeOn(`images that are there, on ${flavour}`, [await engineSupport(flavour)], () => {
    it('are not had by their id alone: whoever offers one knows its layers, too', async () => {
      await using engine = await startEngine({ flavour });
      await using built = await program(engine);
      const victim = await loadImage(engine, { name: PRIVATE, layers: [{ 'srv/secret': flavour }] });
      const store = flavour === '28c' ? 'containerd' : 'classic';
      const { image } = await testImage({ store, name: 'mine:1' });
      const known = { id: victim.id as Digest, config: victim.config as Digest };
      const claim = { ...image, ...known, root: { ...image.root, digest: known.id } };
      const { config: _, ...withoutConfig } = claim;
      for (const offer of [claim, withoutConfig]) {
        await using receiver = await built.receive(['--once', '--json']);
        const thief = await ScriptedSender.pairBy(receiver.port, receiver.code, { purpose: 'plan' });
        await thief.say({ type: 'offer', items: [wholeOffer({ image: offer, blobs: [] }, 0)], last: true });
        const { items } = await thief.hear('answer');
        expect(items[0]?.action).toBe('send');
        await thief.end();
      }
    });

    it('are not pushed for a sender that asks for it where nobody has allowed that', async () => {
      await using engine = await startEngine({ flavour });
      await using built = await program(engine);
      await using receiver = await built.receive(['--once', '--json']);
      const thief = await ScriptedSender.pairBy(receiver.port, receiver.code, PUSHES);
      expect(await thief.closed()).toBe('4016 refused');
      expect(await receiver.imgmv.exit).toEqual({ code: 16, signal: null });
      expect(receiver.imgmv.stdout).not.toContain('"plan"');
    });
  });

/** Whether the image whose blobs were sent has a result, or is asked for again. */
async function endOf({ control }: ScriptedSender): Promise<'result' | 'again'> {
  for (;;) {
    const message = await control.receive();
    if (!message) throw new Error('the other side ended before it said what became of the image');
    if (message.type === 'result' || message.type === 'again') return message.type;
  }
}

/** With all that a sender may tell of its image. */
function wholeOffer(image: MemoryImage, number: number): object {
  const { config, layers } = image.image;
  return { ...offered(image, number), ...(config && { config }), ...(layers && { layers }) };
}
