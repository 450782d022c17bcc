/**
 * A paired sender that may push, and has one platform of an image that the target has for several: what the index here
 * says of the other platforms, and besides, is not the sender's.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import type { Digest } from '../../agent/model/image.ts';
import { type MemoryBlob, type MemoryImage, testImage } from '../memory.ts';
import { blobOf, descriptor, jsonBlob, layersOf, remade } from './lies.ts';
import { ociEntries, rawTar } from './raw-tar.ts';
import {
  below,
  CONFIG,
  childOf,
  claims,
  configOf,
  describeThefts,
  forged,
  INDEX,
  indexOf,
  MANIFEST,
  platform,
  TAR,
} from './thief.ts';

await describeThefts('a paired sender that may push, and has one platform of an image', (at) => {
  /** An image of a classic store as it is offered: a config and diffIDs, and more layers that it is said to have. */
  const claimOf = (
    name: string,
    { digest: config }: MemoryBlob,
    diffIds: readonly Digest[],
    { more = [] as readonly Digest[], architecture = 'amd64' } = {},
  ): MemoryImage => {
    const claim = claims(name, diffIds);
    const layers = [...diffIds, ...more].map((digest) => ({ digest, size: 1_000 }));
    const root = { ...claim.image.root, digest: config };
    const own = { os: 'linux', architecture };
    return { ...claim, image: { ...claim.image, id: config, root, platform: own, config, layers } };
  };

  /** The config of another platform, which only the target has. */
  const privateConfig = (token: string, diffIds: readonly Digest[]) =>
    jsonBlob('config', {
      ...{ architecture: 'arm64', os: 'linux', config: { Env: [`TOKEN=${token}`] } },
      rootfs: { type: 'layers', diff_ids: diffIds },
    });

  const digestsOf = (blobs: readonly MemoryBlob[]) => blobs.map(({ digest }) => digest);

  /** The owner of the target puts it there. */
  const keep = async (image: MemoryImage) => {
    const { exit } = await at.thief.steal([image], { registries: [] });
    expect(exit).toBe(0);
  };

  const ours = (own: readonly MemoryBlob[]) => own;
  const others = (_own: readonly MemoryBlob[], other: readonly MemoryBlob[]) => other;

  it.each([
    ['the same layers', ours, 'amd64'],
    ['the same layers, calling its own by the name of that', ours, 'arm64'],
    ['layers of its own', others, 'amd64'],
    ['layers of its own, calling its own by the name of that', others, 'arm64'],
  ])('does not get the config of another that has %s', async (what, choose, architecture) => {
    const repository = `loot/${what.replaceAll(/[ ,]+/g, '-')}`;
    const own = await testImage({ name: `private/${repository}:1`, store: 'containerd' });
    const layers = layersOf(own);
    const theirs = choose(layers, layersOf(await testImage({ name: 'public/arm:1', store: 'containerd' })));
    const config = privateConfig(what, digestsOf(theirs));
    const manifest = forged(descriptor(CONFIG, config), ...theirs.map((layer) => descriptor(TAR, layer)));
    const { image, blobs } = await below(`private/${repository}:1`, childOf(manifest));
    const all = [...new Map([...layers, ...theirs].map((layer) => [layer.digest, layer])).values()];
    const named = { ...image, layers: all.map(({ digest, bytes }) => ({ digest, size: bytes.length })) };
    const rest = blobs.filter(({ kind }) => kind !== 'layer');
    await keep({ image: named, blobs: [...all, config, manifest, ...rest] });

    const more = digestsOf(theirs).filter((digest) => !digestsOf(layers).includes(digest));
    const claim = claimOf(at.thief.nameIn(repository), configOf(own), digestsOf(layers), {
      more,
      architecture,
    });
    const { items } = await at.thief.steal([claim]);
    expect(items).toMatchObject([{ action: 'present' }]);
    expect(await at.thief.inRegistry(repository, config.digest)).toBeUndefined();
    expect(await at.thief.inRegistry(repository, manifest.digest, 'manifests')).toBeUndefined();
  });

  it('does not get that of one that docker has loaded, with compressed layers', async () => {
    const own = await testImage({ name: 'private/packed:1', store: 'containerd' });
    const plain = layersOf(own);
    const packed = plain.map(({ bytes }) => blobOf('layer', gzipSync(bytes)));
    const layers = packed.map((layer) => descriptor(`${TAR}+gzip`, layer));
    const manifest = forged(descriptor(CONFIG, configOf(own)), ...layers);
    const config = privateConfig('packed', digestsOf(plain));
    const other = forged(descriptor(CONFIG, config), ...layers);
    const index = indexOf({ ...descriptor(MANIFEST, manifest), ...platform('amd64') }, childOf(other));
    const root = { mediaType: INDEX, digest: index.digest, size: index.bytes.length };
    const image = { ...own.image, id: index.digest, root };
    const {
      layout,
      files,
      index: named,
    } = ociEntries(
      { image, blobs: [...packed, configOf(own), config, manifest, other, index] },
      {
        'io.containerd.image.name': 'docker.io/private/packed:1',
        'org.opencontainers.image.ref.name': '1',
      },
    );
    const archive = join(at.thief.built.directory, 'packed.tar');
    await writeFile(archive, rawTar(layout, ...files, named));
    await at.thief.engine.docker(['load', '--input', archive]);

    const claim = claimOf(at.thief.nameIn('loot/packed'), configOf(own), digestsOf(plain));
    expect((await at.thief.steal([claim])).items).toMatchObject([{ action: 'present' }]);
    expect(await at.thief.inRegistry('loot/packed', config.digest)).toBeUndefined();
    expect(await at.thief.inRegistry('loot/packed', other.digest, 'manifests')).toBeUndefined();
  });

  it('gets its own platform, and not what the index notes besides', async () => {
    const own = await testImage({ name: 'private/notes:1', store: 'containerd' });
    const { image, blobs } = remade(own, {
      above: (manifest) => [
        jsonBlob('index', {
          ...{ schemaVersion: 2, mediaType: INDEX, annotations: { note: 'a private note' } },
          manifests: [{ ...descriptor(MANIFEST, manifest), ...platform('amd64') }],
        }),
      ],
    });
    await keep({ image: { ...image, root: { ...image.root, mediaType: INDEX } }, blobs });

    const claim = claimOf(at.thief.nameIn('loot/notes'), configOf(own), digestsOf(layersOf(own)));
    const { exit } = await at.thief.steal([claim]);
    expect(exit).toBe(0);
    const answer = await fetch(`http://${at.thief.registry.address}/v2/loot/notes/manifests/1`, {
      headers: { accept: `${MANIFEST}, ${INDEX}` },
    });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({
      mediaType: MANIFEST,
      config: { digest: configOf(own).digest },
    });
  });
});
