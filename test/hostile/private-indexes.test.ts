/**
 * A paired sender that may push, and indexes that name what the sender did not bring: whatever of that lies in the store
 * when the engine pushes, it pushes with the rest.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Digest } from '../../agent/model/image.ts';
import { startEngineRelay } from '../e2e/engine-relay.ts';
import { type MemoryBlob, testImage } from '../memory.ts';
import { inFrontOf } from './front.ts';
import { blobOf, descriptor, jsonBlob, remade } from './lies.ts';
import {
  below,
  CONFIG,
  carrierOf,
  childOf,
  claims,
  configOf,
  describeThefts,
  forged,
  INDEX,
  indexOf,
  MANIFEST,
  PRIVATE,
  platform,
  rootedIn,
  TAR,
  type Theft,
} from './thief.ts';

/** A manifest that nobody has. */
const ABSENT = jsonBlob('manifest', { schemaVersion: 2, what: 'nobody has it' });
const OTHER_KIND = 'application/octet-stream';

await describeThefts('a paired sender that may push, and indexes that name more than it brings', (at) => {
  /** The image is loaded, and the receiver says that it did not push it. */
  const expectKept = ({ exit, pushed }: Theft, name: string) => {
    expect(pushed.find(({ ref }) => ref === name)).toMatchObject({
      digest: null,
      error: {
        code: 'push-failed',
        message: expect.stringMatching(/was not pushed: its index names parts that did not come with it/),
      },
    });
    expect(exit).toBe(17);
  };
  const isInRegistry = async (repository: string) =>
    (await at.thief.registry.digestOf(repository, '1')) !== undefined ||
    (await at.thief.isStolen(repository));

  /** Steals it twice: once as it comes, and once more as it is there. */
  const expectKeptTwice = async (repository: string, child: object) => {
    const name = at.thief.nameIn(repository);
    const image = await below(name, child);
    for (const action of ['send', 'present']) {
      const theft = await at.thief.steal([image]);
      expect(theft.items).toMatchObject([{ action }]);
      expectKept(theft, name);
    }
    expect(await isInRegistry(repository)).toBe(false);
  };

  it('an index below an index, which came as a layer and names a private image, is not pushed', async () => {
    const { config, configBytes } = at.thief.victim;
    const inner = indexOf(at.thief.theirs(OTHER_KIND), {
      mediaType: OTHER_KIND,
      digest: config,
      size: configBytes,
    });
    await at.thief.carry(inner);
    await expectKeptTwice('loot/nested-index', descriptor(INDEX, inner));
  });

  it('an index whose index below is on neither host is not pushed, and not said to be', async () => {
    await expectKeptTwice('loot/absent-index', descriptor(INDEX, indexOf()));
  });

  it.each([
    [
      'a private config',
      async () => {
        const plain = await testImage({ name: 'private/plain:1', store: 'containerd' });
        const image = remade(plain, { config: { config: undefined, author: 'SECRET OF THE CONFIG' } });
        await at.thief.steal([image], { registries: [] });
        return { child: descriptor(INDEX, configOf(image)), secret: 'SECRET OF THE CONFIG' };
      },
    ],
    [
      'a private index',
      async () => {
        const image = await below('private/index:1');
        await at.thief.steal([image], { registries: [] });
        const [manifest, index] = image.blobs.slice(-2) as [MemoryBlob, MemoryBlob];
        return { child: descriptor(INDEX, index), secret: manifest.digest };
      },
    ],
  ])('a registry hears nothing of %s that an index calls an index', async (kind, put) => {
    const { child, secret } = await put();
    await using front = await inFrontOf(at.thief.registry, 'pass');
    const name = `${front.address}/loot/${kind.replaceAll(' ', '-')}:1`;
    const theft = await at.thief.steal([await below(name, child)], { registries: [front.address] });
    expectKept(theft, name);
    expect(front.heard).not.toContain(secret);
  });

  it('a forged manifest that becomes whole while its push waits for another is not pushed', async () => {
    const name = at.thief.nameIn('loot/late');
    const late = blobOf('layer', Buffer.from('it comes late'));
    const evil = at.thief.forgedFor(await testImage({ name, store: 'containerd' }), late);
    await at.thief.carry(evil);
    await using front = await inFrontOf(at.thief.registry, 'hold');
    const images = [
      await testImage({ name: `${front.address}/loot/slow:1`, store: 'containerd' }),
      await below(name, childOf(evil)),
      await carrierOf(at.thief.nameIn('loot/late-layer'), late),
    ];
    const theft = await at.thief.steal(images, {
      registries: [front.address, at.thief.registry.address],
      behind: async (number) => {
        if (number === 0) await front.asked;
        if (number === 2) front.turn('pass');
      },
    });
    expectKept(theft, name);
    expect(await isInRegistry('loot/late')).toBe(false);
  });

  it('a manifest that comes between two tries of a push, by another session, is not pushed', async () => {
    await using front = await inFrontOf(at.thief.registry, 'hold');
    const name = `${front.address}/loot/tries:1`;
    const evil = at.thief.forgedFor(await testImage({ name, store: 'containerd' }));
    const theft = await at.thief.steal([await below(name, childOf(evil))], {
      registries: [front.address],
      behind: async (_number, receiver) => {
        // The first try has begun: it may push what is there.
        await front.asked;
        await at.thief.carry(evil);
        front.turn('fail');
        expect(await receiver.waitFor('retrying')).toMatchObject({ phase: 'push' });
        front.turn('pass');
      },
    });
    expectKept(theft, name);
    expect(await isInRegistry('loot/tries')).toBe(false);
  });

  it('a manifest that comes as a push begins, for a platform in the sender’s own spelling, is not pushed', async () => {
    const name = at.thief.nameIn('loot/spelled');
    const own = await testImage({ name, store: 'containerd' });
    const evil = at.thief.forgedFor(own);
    const { image, blobs } = remade(own, {
      above: (manifest) => [
        indexOf(
          { ...descriptor(MANIFEST, manifest), ...platform('of nobody') },
          { ...descriptor(MANIFEST, evil), ...platform('amd64') },
        ),
      ],
    });
    // The engine takes it for amd64.
    const offer = { ...image, root: { ...image.root, mediaType: INDEX }, ...platform('x86_64') };
    const socket = {
      socketPath: at.thief.engine.socketPath,
      path: join(at.thief.built.directory, 'relay.sock'),
    };
    await using relay = await startEngineRelay({ ...socket, holdAt: '/push?' });
    const theft = await at.thief.steal([{ image: offer, blobs }], {
      args: ['--docker-host', relay.dockerHost],
      behind: async (_number, receiver) => {
        // The engine has not begun to look at what it is to push.
        await Promise.race([relay.held, receiver.waitFor('image')]);
        await at.thief.carry(evil);
        relay.release();
      },
    });
    expectKept(theft, name);
    expect(await isInRegistry('loot/spelled')).toBe(false);
  });

  it.each([
    ['as a layer', (evil: MemoryBlob) => carrierOf(at.thief.nameIn('loot/bringer'), evil)],
    ['as its root', async (evil: MemoryBlob) => rootedIn(await carrierOf('bringer:1'), evil)],
  ])('a manifest that another image of the session may bring %s is not pushed', async (way, bringer) => {
    const repository = `loot/may-come-${way.replaceAll(' ', '-')}`;
    const name = at.thief.nameIn(repository);
    const evil = at.thief.forgedFor(await testImage({ name, store: 'containerd' }));
    const images = [await below(name, childOf(evil)), await bringer(evil)];
    const theft = await at.thief.steal(images, {
      // The second one comes when it has been decided about the first.
      behind: async (number, receiver) => number === 0 && receiver.waitFor('image'),
    });
    expectKept(theft, name);
    expect(await isInRegistry(repository)).toBe(false);
  });

  /** Has an image in the list whose index names a forged manifest that calls this digest a layer; then claims that. */
  const promote = async (kind: string, digest: Digest) => {
    const own = await testImage({ name: `promoter-${kind}:1`, store: 'containerd' });
    const evil = forged(descriptor(CONFIG, configOf(own)), { mediaType: TAR, digest, size: 1_000 });
    await at.thief.carry(evil);
    await at.thief.steal([await below(`promoter-${kind}:1`, childOf(evil))], { registries: [] });
    const repository = `loot/promoted-${kind}`;
    const { items } = await at.thief.steal([claims(at.thief.nameIn(repository), [digest])]);
    return { missing: items[0]?.missing, stolen: await at.thief.inRegistry(repository, digest) };
  };

  it('the steps of a build, which no list shows, are no layers where a manifest calls them so', async () => {
    const directory = `${at.thief.built.directory}/context`;
    await mkdir(directory);
    await writeFile(`${directory}/Dockerfile`, `FROM ${PRIVATE}\nENV SECRET=hunter2\nENV SECRET=\n`);
    const list = async (...args: string[]) =>
      new Set((await at.thief.engine.docker(['image', 'ls', '-q', '--no-trunc', ...args])).split(/\s+/));
    await at.thief.engine.docker(['build', '-t', 'private/built:1', directory]);
    const shown = await list();
    const [step] = [...(await list('-a'))].filter((id) => !shown.has(id)) as Digest[];
    if (!step) throw new Error('the engine shows no steps of a build');
    expect(await promote('step', step)).toEqual({ missing: [step], stolen: undefined });
  });

  it('of an index whose other platforms are on neither host, the one that came is pushed, with a warning', async () => {
    const name = at.thief.nameIn('honest/one-platform');
    const image = await below(name, { ...descriptor(MANIFEST, ABSENT), ...platform('arm64') });
    const manifest = image.blobs.find(({ kind }) => kind === 'manifest')?.digest as Digest;
    // Once as it comes, and once more as it is there.
    for (const action of ['send', 'present']) {
      const { items, exit, pushed } = await at.thief.steal([image]);
      expect(items).toMatchObject([{ action }]);
      expect(pushed).toMatchObject([
        { ref: name, digest: manifest, warning: expect.stringContaining('one platform'), error: null },
      ]);
      expect(exit).toBe(0);
      expect(await at.thief.registry.digestOf('honest/one-platform', '1')).toBe(manifest);
    }
  });

  it('a name that another session moves while its push waits in line is not pushed', async () => {
    await using front = await inFrontOf(at.thief.registry, 'hold');
    const name = at.thief.nameIn('loot/line');
    const images = [
      await testImage({ name: `${front.address}/loot/slow:1`, store: 'containerd' }),
      await testImage({ name, store: 'containerd' }),
    ];
    const evil = await below(name, at.thief.theirs());
    await at.thief.steal(images, {
      registries: [front.address, at.thief.registry.address],
      behind: async (number) => {
        if (number === 0) return void (await front.asked);
        // A receiver that pushes nothing at all.
        await at.thief.steal([evil], { registries: [] });
        front.turn('pass');
      },
    });
    expect(await at.thief.isStolen('loot/line')).toBe(false);
  });

  it('a name that another session moves before its push is tried again is not pushed', async () => {
    await using front = await inFrontOf(at.thief.registry, 'hold');
    const name = `${front.address}/loot/moved:1`;
    const clean = await testImage({ name, store: 'containerd' });
    const evil = await below(name, at.thief.theirs());
    await at.thief.steal([clean], {
      registries: [front.address],
      behind: async (_n, receiver) => {
        await front.asked;
        // A receiver that pushes nothing at all.
        await at.thief.steal([evil], { registries: [] });
        front.turn('fail');
        await receiver.waitFor('retrying');
        front.turn('pass');
      },
    });
    expect(await at.thief.isStolen('loot/moved')).toBe(false);
  });
});
