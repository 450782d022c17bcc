/**
 * A paired sender that may push, and images of the target that are none of its business: what a containerd store holds is
 * not for it to read by way of a registry of its own, however it calls the blobs.
 */
import { expect, it } from 'vitest';
import type { Digest } from '../../agent/model/image.ts';
import { digestOf } from '../../agent/oci/metadata.ts';
import { type MemoryBlob, type MemoryImage, testImage } from '../memory.ts';
import { engineSupport, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage, loadIndexImage } from '../rig/images.ts';
import { describeOn } from '../rig/suite.ts';
import { program } from './built.ts';
import { ScriptedSender } from './hosts.ts';
import { blobOf, descriptor, jsonBlob, layersOf, remade } from './lies.ts';
import {
  arm64,
  below,
  CONFIG,
  childOf,
  claims,
  describeThefts,
  forged,
  INDEX,
  indexOf,
  MANIFEST,
  PRIVATE,
  PUSHES,
  TAR,
  wholeOffer,
} from './thief.ts';

await describeThefts('a paired sender that may push, and private images of a containerd store', (at) => {
  it('a plan tells 12 digits of an image that would lose its name, and so does what is said of it', async () => {
    const claim = claims(PRIVATE, [digestOf(Buffer.from('anything'))]);
    const { built, victim } = at.thief;
    for (const args of [[], ['--no-replace']]) {
      await using receiver = await built.receive(['--once', '--json', ...args]);
      const sender = await ScriptedSender.pairBy(receiver.port, receiver.code, { purpose: 'plan' });
      const { items } = await sender.offer([claim]);
      expect(victim.id).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(JSON.stringify(items)).not.toContain(victim.id.slice('sha256:'.length));
      expect(items[0]?.names[0]?.replaces).toBe(victim.id.slice('sha256:'.length).slice(0, 12));
      // The receiver's own user sees it in full.
      expect(await receiver.imgmv.waitFor('plan')).toMatchObject({
        images: [{ refs: [{ replaces: victim.id }] }],
      });
      await sender.end();
    }
  });

  it.each([
    ['root', (image: LoadedImage) => image.manifest],
    ['config', (image: LoadedImage) => image.config],
  ])('the %s of a private image is no layer, even to who knows its digest', async (kind, pick) => {
    const digest = pick(at.thief.victim) as Digest;
    const { items } = await at.thief.steal([claims(at.thief.nameIn(`loot/${kind}`), [digest])]);
    expect({
      missing: items[0]?.missing,
      stolen: await at.thief.inRegistry(`loot/${kind}`, digest),
    }).toEqual({ missing: [digest], stolen: undefined });
  });

  it('nor is it one that an image before was to bring, and did not', async () => {
    const digest = at.thief.victim.manifest as Digest;
    const claim = (number: number) =>
      claims(`${at.thief.registry.address}/loot/coming:${number}`, [digest], number);
    const [bringer, heir] = [claim(1), claim(2)];
    const { items } = await at.thief.steal([bringer, heir], { sent: [heir] });
    expect(items.map(({ missing }) => missing)).toEqual([[digest], []]);
    expect(await at.thief.inRegistry('loot/coming', digest)).toBeUndefined();
  });

  it('a layer is one, under what it is called in a classic store, too', async () => {
    const layers = at.thief.victim.diffIds as readonly Digest[];
    const { items } = await at.thief.steal([claims(at.thief.nameIn('loot/layer'), layers)]);
    expect(items[0]?.missing).toEqual([]);
  });

  it('an index that names a private manifest is loaded, and not pushed', async () => {
    const name = at.thief.nameIn('loot/index');
    const image = await below(name, at.thief.theirs());
    // Whatever the offer says that the sender has of it.
    const claim = { ...image, image: { ...image.image, config: at.thief.victim.config as Digest } };
    // Once as it is loaded, and once more as it is there.
    for (const one of [claim, image]) await at.thief.steal([one]);
    expect(await at.thief.engine.docker(['image', 'ls', '--quiet', name])).not.toBe('');
    expect(await at.thief.isStolen('loot/index')).toBe(false);
    expect(await at.thief.inRegistry('loot/index', '1', 'manifests')).toBeUndefined();
  });

  it.each([
    'application/octet-stream',
    'application/vnd.oci.image.layer.v1.tar',
    'application/vnd.example.index.v1+json',
  ])('an index that names a private manifest as %s is refused', async (mediaType) => {
    const repository = `loot/type-${mediaType.replaceAll(/[^a-z]/g, '-')}`;
    const name = at.thief.nameIn(repository);
    await at.thief.steal([await below(name, at.thief.theirs(mediaType))]);
    expect(await at.thief.engine.docker(['image', 'ls', '--quiet', name])).toBe('');
    expect(await at.thief.isStolen(repository)).toBe(false);
  });

  it('a manifest that calls another manifest its layer is refused', async () => {
    const name = at.thief.nameIn('loot/nested');
    const own = await testImage({ name, store: 'containerd' });
    const inner = blobOf('layer', at.thief.forgedFor(own).bytes);
    const image = remade(own, {
      layers: [inner],
      config: { architecture: 'arm64' },
      manifest: { layers: [descriptor(MANIFEST, inner)] },
    });
    await at.thief.steal([arm64(image)]);
    expect(await at.thief.engine.docker(['image', 'ls', '--quiet', name])).toBe('');
    expect(await at.thief.isStolen('loot/nested')).toBe(false);
  });

  it('a forged manifest that has the config of the sender, and a private manifest for a layer, is not pushed', async () => {
    const name = at.thief.nameIn('loot/borrowed');
    const own = await testImage({ name, store: 'containerd' });
    // As many layers as the config names.
    const evil = at.thief.forgedFor(own, own.blobs[0] as MemoryBlob);
    await at.thief.carry(evil);
    const image = await below(name, childOf(evil));
    // Once as it is loaded, and once more as it is there.
    for (let times = 0; times < 2; times++) await at.thief.steal([image]);
    expect(await at.thief.engine.docker(['image', 'ls', '--quiet', name])).not.toBe('');
    expect(await at.thief.isStolen('loot/borrowed')).toBe(false);
  });

  it('a forged manifest that has a private config, and layers of the sender, is not pushed', async () => {
    const name = at.thief.nameIn('loot/config-of-others');
    const own = await testImage({ name, store: 'containerd' });
    const [layer] = layersOf(own);
    const { config: digest, configBytes: size } = at.thief.victim;
    const evil = forged({ mediaType: CONFIG, digest, size }, descriptor(TAR, layer as MemoryBlob));
    await at.thief.carry(evil);
    const image = await below(name, childOf(evil));
    for (let times = 0; times < 2; times++) await at.thief.steal([image]);
    expect(await at.thief.engine.docker(['image', 'ls', '--quiet', name])).not.toBe('');
    expect(await at.thief.isStolen('loot/config-of-others')).toBe(false);
  });

  it('a forged manifest that comes as metadata, and counts as a layer, is not pushed', async () => {
    const repository = 'loot/as-a-layer';
    const name = at.thief.nameIn(repository);
    const own = await testImage({ name, store: 'containerd' });
    const evil = at.thief.forgedFor(own);
    const inner = indexOf(childOf(evil));
    await at.thief.carry(inner);
    const rootfs = { type: 'layers', diff_ids: [evil.digest] };
    const config = jsonBlob('config', { architecture: 'arm64', os: 'linux', config: {}, rootfs });
    const around = forged(descriptor(CONFIG, config), descriptor(TAR, evil));
    const { image, blobs } = await below(name, childOf(around), descriptor(INDEX, inner));
    const layers = blobs.filter(({ kind }) => kind === 'layer');
    const rest = blobs.filter(({ kind }) => kind !== 'layer');
    await at.thief.steal([{ image, blobs: [...layers, evil, config, around, ...rest] }]);
    expect(await at.thief.isStolen(repository)).toBe(false);
  });

  it('an image that is there, compressed, below an index is pushed for whoever has its layers', async () => {
    const name = at.thief.nameIn('honest/compressed');
    const there = await loadIndexImage(at.thief.engine, {
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
    expect((await at.thief.steal([offer])).items).toMatchObject([{ action: 'present' }]);
    expect(await at.thief.registry.digestOf('honest/compressed', '1')).toMatch(/^sha256:/);
  });

  it('an index that is there with an attestation of its own is pushed', async () => {
    const name = at.thief.nameIn('honest/attested');
    const statement = blobOf('layer', Buffer.from('{"_type":"https://in-toto.io/Statement/v0.1"}'));
    const config = jsonBlob('config', {
      architecture: 'unknown',
      os: 'unknown',
      config: {},
      rootfs: { type: 'layers', diff_ids: [statement.digest] },
    });
    const attestation = forged(
      descriptor(CONFIG, config),
      descriptor('application/vnd.in-toto+json', statement),
    );
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
      await at.thief.steal([{ ...whole, image: { ...whole.image, names } }]);
      expect([tag, await at.thief.registry.digestOf('honest/attested', `${tag}`)]).toEqual([
        tag,
        image.image.id,
      ]);
    }
  });
});

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
