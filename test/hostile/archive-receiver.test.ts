/** A sender that knows the code and lies, to a receiver that writes an archive. evil-sender.test.ts has all its lies. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, test, vi } from 'vitest';
import { EachSink } from '../../agent/archive/each-sink.ts';
import type { ArchiveEndpoint } from '../../agent/archive/endpoint.ts';
import { openArchives } from '../../agent/archive/open-archives.ts';
import { openSink, type WriteOptions } from '../../agent/archive/open-store.ts';
import type { Store } from '../../agent/model/image.ts';
import { digestOf, manifestFor } from '../../agent/oci/metadata.ts';
import { type MemoryImage, testImage } from '../memory.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { receiver, ScriptedSender, sendBlobs, statuses } from './hosts.ts';

vi.mock(import('../../proto/code.ts'), async (original) => ({
  ...(await original()),
  ...(await import('../proto/cheap-stretching.ts')),
}));

const { signal } = new AbortController();
const WRITE: WriteOptions = {
  overwrite: false,
  noReplace: false,
  ignoreSpace: false,
  stdout: async () => {},
  signal,
};

type Lie = (image: MemoryImage, other: MemoryImage) => MemoryImage['blobs'];
const LIES: readonly (readonly [string, Lie])[] = [
  ['a layer more than offered', ({ blobs }, other) => [...other.blobs.slice(1, 2), ...blobs]],
  ['a layer in place of another', ({ blobs }, other) => [...other.blobs.slice(1, 2), ...blobs.slice(1)]],
  ['a layer twice', ({ blobs }) => [...blobs.slice(0, 1), ...blobs]],
  ['a layer too few', ({ blobs }) => blobs.slice(1)],
  ['no config', ({ blobs }) => blobs.slice(0, -1)],
  [
    'a layer that is not what it says',
    ({ blobs: [first, ...rest] }) =>
      first ? [{ ...first, bytes: Buffer.from(first.bytes).fill(1) }, ...rest] : [],
  ],
];

/** The image with another config, to which all else fits. */
async function withConfig(store: Store, change: (config: string) => string): Promise<MemoryImage> {
  const { image, blobs } = await testImage({ name: 'bad:1', store });
  const layers = blobs.filter(({ kind }) => kind === 'layer');
  const text = String(blobs.find(({ kind }) => kind === 'config')?.bytes);
  const config = Buffer.from(change(text));
  const manifest = manifestFor(
    config,
    layers.map(({ digest, bytes }) => ({ digest, size: bytes.length })),
  );
  const metadata = [
    { kind: 'config', digest: digestOf(config), bytes: config },
    { kind: 'manifest', digest: digestOf(manifest), bytes: manifest },
  ] as const;
  const [root] = metadata.slice(store === 'classic' ? 0 : 1);
  if (!root) throw new Error('an image without a root');
  const { digest, bytes } = root;
  return {
    image: {
      ...image,
      id: digest,
      config: metadata[0].digest,
      root: { ...image.root, digest, size: bytes.length },
    },
    blobs: [...layers, ...metadata.slice(0, store === 'classic' ? 1 : 2)],
  };
}

describe.each(['classic', 'containerd'] as const)(
  'a config of a %s store that two readers differ on',
  (store) => {
    test.each<readonly [string, (config: string) => string]>([
      ['has a key twice', (config) => config.replace('{', '{"os":"windows",')],
      ['has a key in another case', (config) => config.replace('{', '{"OS":"windows",')],
      [
        'has what runs in another case',
        (config) => config.replace('"Labels"', '"entrypoint":["/x"],"Labels"'),
      ],
    ])('%s: fails the image, and only that', async (_how, change) => {
      await using scratch = await scratchDirectory();
      await using sink = await openSink({ kind: 'oci', path: join(scratch.path, 'x') }, WRITE);
      await using host = await receiver(sink);
      const evil = await ScriptedSender.pair(host);
      const [bad, good] = [await withConfig(store, change), await testImage({ name: 'good:1', store })];
      await evil.offer([bad, good]);
      const lane = await evil.lane();
      await sendBlobs(lane, 0, bad.blobs);
      expect(await evil.hear('result')).toMatchObject({
        item: 0,
        status: 'failed',
        error: { message: expect.stringMatching(/^a config has the key /) },
      });
      await sendBlobs(lane, 1, good.blobs);
      expect(await evil.hear('result')).toMatchObject({ item: 1, status: 'loaded' });
      await evil.say({ type: 'finish' });
      await Promise.all([evil.end(), lane.end()]);
      expect(statuses(await host.run)).toEqual(['failed integrity', 'loaded']);
    });
  },
);

for (const kind of ['docker-archive', 'oci', 'each'] as const)
  test.each(LIES)(`${kind}: %s fails the image, and only that`, async (_name, lie) => {
    await using scratch = await scratchDirectory();
    const path = kind === 'each' ? scratch.path : join(scratch.path, 'x.tar');
    const place: ArchiveEndpoint = { kind: kind === 'oci' ? kind : 'docker-archive', path };
    {
      await using sink = kind === 'each' ? new EachSink(path, 'tar', WRITE) : await openSink(place, WRITE);
      await using host = await receiver(sink);
      const evil = await ScriptedSender.pair(host);
      const [bad, good] = [await testImage({ name: 'bad:1' }), await testImage({ name: 'good:1' })];
      await evil.offer([bad, good]);
      const lane = await evil.lane();
      await sendBlobs(lane, 0, lie(bad, good));
      expect(await evil.hear('result')).toMatchObject({ item: 0, status: 'failed' });
      await sendBlobs(lane, 1, good.blobs);
      expect(await evil.hear('result')).toMatchObject({ item: 1, status: 'loaded' });
      await evil.say({ type: 'finish' });
      await Promise.all([evil.end(), lane.end()]);
      expect(statuses(await host.run)).toEqual(['failed integrity', 'loaded']);
    }
    const archives = await openArchives(place, { signal, stdin: Readable.from([]) });
    expect(archives.flatMap(({ images }) => images.map(({ image }) => image.names[0]?.target))).toEqual([
      'good:1',
    ]);
    for (const archive of archives) await archive[Symbol.asyncDispose]();
    expect(await readdir(scratch.path)).toHaveLength(1);
  });
