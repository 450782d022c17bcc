/** Archives as the world makes them, which docker loads, and imgmv as well. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ArchiveEndpoint } from '../../../agent/archive/endpoint.ts';
import { openArchives } from '../../../agent/archive/open-archives.ts';
import { parseEndpoint } from '../../../agent/ends/endpoint.ts';
import { digestOf, manifestFor } from '../../../agent/oci/metadata.ts';
import { Compressor } from '../../../proto/compression.ts';
import { checkedSource } from '../../checked-source.ts';
import {
  blob,
  classicEntries,
  classicTar,
  json,
  paxHeader,
  type RawEntry,
  rawTar,
} from '../../hostile/raw-tar.ts';
import { type MemoryImage, testImage } from '../../memory.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';

const { signal } = new AbortController();
let scratch: ScratchDirectory;
let web: MemoryImage;
let files: readonly RawEntry[];
let manifest: RawEntry;
let tests = 0;

beforeAll(async () => {
  scratch = await scratchDirectory();
  web = await testImage();
  ({ files, manifest } = classicEntries(web));
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

const zstd = (bytes: Buffer) => buffer(new Compressor().compress(Readable.from([bytes]), () => 3));
const skipped = (bytes: number) => {
  const head = Buffer.from('502a4d1800000000', 'hex');
  head.writeUInt32LE(bytes, 4);
  return Buffer.concat([head, Buffer.alloc(bytes, 7)]);
};
/** A frame of no bytes, but with a window of 128 MiB: the frames behind it may have as much. */
const largeWindow = () => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (27 - 10) << 3, 0x01, 0x00, 0x00]);

async function opened(bytes: Buffer, piped: boolean) {
  const path = join(scratch.path, `${++tests}`);
  await writeFile(path, bytes);
  const place = piped ? 'docker-archive:-' : `docker-archive:${path}`;
  return openArchives(parseEndpoint(place) as ArchiveEndpoint, { signal, stdin: Readable.from([bytes]) });
}

/** Each blob of the image as its source gives it. */
async function expectWhole(bytes: Buffer, piped: boolean): Promise<void> {
  await using source = await checkedSource(await opened(bytes, piped), signal);
  const [image, ...others] = await source.images();
  if (!image) throw new Error('there is no image in it');
  expect([image.image.id, others]).toEqual([web.image.id, []]);
  const read: string[] = [];
  for await (const { body } of image.blobs(undefined, signal)) read.push(digestOf(await buffer(body)));
  expect(read.sort()).toEqual(web.blobs.map(({ digest }) => digest as string).sort());
}

/** AppleDouble, in front of what it belongs to. */
const appleDouble = (entry: RawEntry): readonly (RawEntry | Buffer)[] => {
  const name = String(entry.name).replace(/[^/]+$/, '._$&');
  return [
    { name, body: Buffer.from('00051607000200004d6163204f532058', 'hex') },
    paxHeader([['mtime', '1.5']]),
    entry,
  ];
};

const CASES: readonly (readonly [string, () => Buffer | Promise<Buffer>])[] = [
  ['files of AppleDouble', () => rawTar(...[...files, manifest].flatMap(appleDouble))],
  ['all of it twice', () => rawTar(...files, manifest, ...files, manifest)],
  ['all of it twice, compressed', () => gzipSync(rawTar(...files, manifest, ...files, manifest))],
  [
    'a layer that is a hard link',
    () => {
      const layer = files[0] as RawEntry;
      return rawTar(
        { ...layer, name: 'first' },
        { name: layer.name, type: '1', linkName: 'first' },
        ...files.slice(1),
        manifest,
      );
    },
  ],
  ['no end', () => classicTar(web).subarray(0, -1_024)],
  ['something behind its end', () => Buffer.concat([classicTar(web), Buffer.from('-- \nsent from my host')])],
  ['zstd frames one behind the other', async () => Buffer.concat(await Promise.all(halves().map(zstd)))],
  ['a skippable frame in front', async () => Buffer.concat([skipped(4), await zstd(classicTar(web))])],
  [
    'skippable frames between others, as pzstd has them',
    async () =>
      Buffer.concat(
        (await Promise.all(halves().map(zstd))).flatMap((frame) => [skipped(4), frame, skipped(100_000)]),
      ),
  ],
  ['a zstd window of 128 MiB', async () => Buffer.concat([largeWindow(), await zstd(classicTar(web))])],
];

function halves(): readonly Buffer[] {
  const tar = classicTar(web);
  return [tar.subarray(0, 3_000), tar.subarray(3_000)];
}

describe.each([false, true])('an archive, on standard input: %s, with', (piped) => {
  it.each(CASES)('%s', async (_what, made) => {
    await expectWhole(await made(), piped);
  });
});

it.each([
  ['is taken under its own digest', '+encrypted', undefined],
  ['has to hold what the config says where nobody calls it encrypted', '+gzip', /but its config says/],
] as const)('a layer that is encrypted %s', async (_what, ending, says) => {
  const layer = Buffer.from('ciphertext');
  const rootfs = { type: 'layers', diff_ids: [digestOf(Buffer.from('plain'))] };
  const config = Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs }));
  const mediaType = `application/vnd.oci.image.layer.v1.tar${ending}`;
  const made = manifestFor(config, [{ digest: digestOf(layer), size: layer.length, mediaType }]);
  const root = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: digestOf(made),
    size: made.length,
  };
  const tar = rawTar(
    ...[layer, config, made].map(blob),
    json('oci-layout', { imageLayoutVersion: '1.0.0' }),
    json('index.json', { schemaVersion: 2, manifests: [root] }),
  );
  const archives = await opened(tar, false);
  try {
    const opening = checkedSource(archives, signal);
    if (says) await expect(opening).rejects.toThrow(says);
    else expect((await (await opening).images()).map(({ image }) => image.id)).toEqual([root.digest]);
  } finally {
    for (const archive of archives) await archive[Symbol.asyncDispose]();
  }
});

describe('a large zstd window', () => {
  it('is had by one archive at a time, and given back by those that stand still', async () => {
    const bytes = Buffer.concat([largeWindow(), await zstd(classicTar(web))]);
    const sources = [];
    for (let at = 0; at < 3; at++) sources.push(await checkedSource(await opened(bytes, false), signal));
    try {
      // All of them stand in the middle, one after the other.
      for (let round = 0; round < 2; round++)
        for (const source of sources) {
          const [image] = await source.images();
          if (!image) throw new Error('there is no image in it');
          for await (const { body } of image.blobs([web.image.diffIds[round] as never], signal))
            expect((await buffer(body)).length).toBeGreaterThan(0);
        }
    } finally {
      for (const source of sources) await source[Symbol.asyncDispose]();
    }
  });

  it('is waited for while another archive is read, and costs its memory once', async () => {
    const bytes = Buffer.concat([largeWindow(), await zstd(classicTar(web))]);
    const [one, other] = await Promise.all(
      [1, 2].map(async () => checkedSource(await opened(bytes, false), signal)),
    );
    if (!one || !other) throw new Error('there should be two');
    const [[first], [second]] = await Promise.all([one.images(), other.images()]);
    if (!first || !second) throw new Error('there is no image in it');
    const reading = first.blobs(undefined, signal)[Symbol.asyncIterator]() as AsyncGenerator<Blob>;
    await reading.next();
    let came = false;
    const waiting = second.blobs(undefined, signal)[Symbol.asyncIterator]() as AsyncGenerator<Blob>;
    const next = waiting.next().then(() => {
      came = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(came).toBe(false);
    await reading.return(undefined);
    await next;
    await waiting.return(undefined);
    await one[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  });

  it('may be inside another one', async () => {
    const layer = Buffer.concat([largeWindow(), await zstd(Buffer.from('layer'))]);
    const config = {
      os: 'linux',
      architecture: 'amd64',
      rootfs: { type: 'layers', diff_ids: [digestOf(Buffer.from('layer'))] },
    };
    const tar = rawTar(
      { name: 'layer', body: layer },
      { name: 'config', body: JSON.stringify(config) },
      {
        name: 'manifest.json',
        body: JSON.stringify([{ Config: 'config', RepoTags: ['x:1'], Layers: ['layer'] }]),
      },
    );
    await using source = await checkedSource(
      await opened(Buffer.concat([largeWindow(), await zstd(tar)]), false),
      signal,
    );
    const [image] = await source.images();
    if (!image) throw new Error('there is no image in it');
    for await (const { kind, body } of image.blobs(undefined, signal))
      if (kind === 'layer') expect(String(await buffer(body))).toBe('layer');
  });
});

it('layers in another order than the config says are called that', async () => {
  const { image, blobs } = await testImage({ store: 'containerd', layers: [{ a: 'a' }, { b: 'b' }] });
  const bytesOf = (kind: string) => blobs.filter((one) => one.kind === kind).map(({ bytes }) => bytes);
  const written = JSON.parse(`${bytesOf('manifest')[0]}`);
  const turned = Buffer.from(JSON.stringify({ ...written, layers: written.layers.toReversed() }));
  const root = { mediaType: image.root.mediaType, digest: digestOf(turned), size: turned.length };
  const parts = [...bytesOf('layer'), ...bytesOf('config'), turned].map(blob);
  const archive = rawTar(
    ...parts,
    json('oci-layout', { imageLayoutVersion: '1.0.0' }),
    json('index.json', { schemaVersion: 2, manifests: [root] }),
  );
  await expect(checkedSource(await opened(archive, false), signal)).rejects.toMatchObject({
    code: 'integrity',
    hint: expect.stringContaining('another order'),
  });
});
