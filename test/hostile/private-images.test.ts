/**
 * A paired sender that may push, and images of the target that are none of its business: what a containerd store holds is
 * not for it to read by way of a registry of its own, however it calls the blobs.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOf } from '../../agent/engine/metadata.ts';
import type { Digest } from '../../agent/image.ts';
import type { MessageOf } from '../../proto/messages.ts';
import type { MemoryImage } from '../memory.ts';
import { type Engine, engineSupport, startEngine } from '../rig/engine.ts';
import { type LoadedImage, loadImage } from '../rig/images.ts';
import { type Registry, registrySupport, startRegistry } from '../rig/registry.ts';
import { describeOn } from '../rig/suite.ts';
import { type Program, program } from './built.ts';
import { ScriptedSender, sendBlobs } from './hosts.ts';
import { jsonBlob } from './lies.ts';

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
      victim = await loadImage(engine, { name: PRIVATE, layers: [{ 'srv/secret': 'TOP SECRET' }], gzip: true });
    });
    afterAll(async () => {
      await built?.[Symbol.asyncDispose]();
      await registry?.[Symbol.asyncDispose]();
      await engine?.[Symbol.asyncDispose]();
    });

    /** An image of a classic store that has these blobs of the target for its layers, and a name in the registry. */
    const claims = (name: string, layers: readonly Digest[]): MemoryImage => {
      const config = jsonBlob('config', {
        // Of another platform, which the engine does not unpack.
        architecture: 'arm64',
        os: 'linux',
        config: {},
        rootfs: { type: 'layers', diff_ids: layers },
        history: layers.map(() => ({ created_by: 'thief' })),
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

    /** Offers it to a receiver that pushes, and sends what there is of it. */
    async function steal(image: MemoryImage): Promise<MessageOf<'answer'>['images'][number] | undefined> {
      await using receiver = await built.receive(['--once', '--json', '--allow-push']);
      const thief = await ScriptedSender.pairBy(receiver.port, receiver.code, PUSHES);
      const { config, layers } = image.image;
      const { images } = await thief.offer([image], { ...(config && { config }), layers });
      const lane = await thief.lane();
      await sendBlobs(lane, 0, image.blobs);
      await thief.hear('result');
      await thief.say({ type: 'finish' });
      await thief.end();
      await receiver.imgmv.exit;
      return images[0];
    }

    const inRegistry = async (repository: string, what: 'blobs', digest: string) => {
      const response = await fetch(`http://${registry.address}/v2/${repository}/${what}/${digest}`);
      return response.ok ? Buffer.from(await response.arrayBuffer()) : undefined;
    };

    it('a plan tells 12 digits of an image that would lose its name', async () => {
      await using receiver = await built.receive(['--once', '--json', '--allow-push']);
      const thief = await ScriptedSender.pairBy(receiver.port, receiver.code, { purpose: 'plan' });
      const { images } = await thief.offer([claims(PRIVATE, [digestOf(Buffer.from('anything'))])]);
      expect(victim.id).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(images[0]?.refs[0]?.replaces).toBe(victim.id.slice('sha256:'.length).slice(0, 12));
      await thief.end();
    });

    it.each([
      ['root', (image: LoadedImage) => image.manifest],
      ['config', (image: LoadedImage) => image.config],
    ])('the %s of a private image is no layer, even to who knows its digest', async (kind, pick) => {
      const digest = pick(victim) as Digest;
      const answer = await steal(claims(`${registry.address}/loot/${kind}:1`, [digest]));
      expect({ missing: answer?.missing, stolen: await inRegistry(`loot/${kind}`, 'blobs', digest) }).toEqual({
        missing: [digest],
        stolen: undefined,
      });
    });
  },
);
