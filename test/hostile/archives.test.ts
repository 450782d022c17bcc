/**
 * Archives that are not what they seem (docs/engines.md; THREATS: bombs, duplicates, links, planted names). Each is
 * refused before anything is said to an engine: the one here counts who comes.
 */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ArchiveEndpoint } from '../../agent/archive/endpoint.ts';
import { openArchives } from '../../agent/archive/open-archives.ts';
import { Renaming } from '../../agent/choose/rename.ts';
import { copyImages } from '../../agent/commands/copy.ts';
import { parseEndpoint } from '../../agent/ends/endpoint.ts';
import type { Digest } from '../../agent/model/image.ts';
import { digestOf, manifestFor } from '../../agent/oci/metadata.ts';
import { Compressor } from '../../proto/compression.ts';
import { failureOf } from '../conformance/conformance.ts';
import { type MemoryImage, testImage } from '../memory.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import {
  blob,
  classicEntries,
  classicTar,
  json,
  ociEntries,
  paxHeader,
  type RawEntry,
  rawEntry,
  rawTar,
  zstdZeros,
} from './raw-tar.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

const image = await testImage();
const other = await testImage({ name: 'other:1', layers: [{ other: 'other' }] });
const oci = await testImage({ store: 'containerd' });
const { files, manifest } = classicEntries(image);
const layout = ociEntries(oci);
/** What is put in front of an archive that is good in itself. */
const before = (...parts: readonly (RawEntry | Buffer)[]) => rawTar(...parts, ...files, manifest);
const [layer, topLayer, config] = image.blobs as [
  MemoryImage['blobs'][number],
  MemoryImage['blobs'][number],
  MemoryImage['blobs'][number],
];
/** Of the same size. */
function altered(entry: RawEntry): RawEntry {
  const body = Buffer.from(entry.body ?? '');
  body[body.length - 1] = 0x20;
  return { ...entry, body };
}
const size = (text: string) => Buffer.from(text.padEnd(12, '\0'), 'latin1');

/** A containerd image whose only layer is this blob, and says that it is that. */
function ociWith(bytes: Buffer, mediaType: string, diffId: Digest): Buffer {
  const config = Buffer.from(
    JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [diffId] } }),
  );
  const made = manifestFor(config, [{ digest: digestOf(bytes), size: bytes.length, mediaType }]);
  return ociOf([bytes, config, made], made);
}

function ociOf(blobs: readonly Buffer[], root: Buffer, mediaType = oci.image.root.mediaType): Buffer {
  const descriptor = { mediaType, digest: digestOf(root), size: root.length };
  return rawTar(
    ...blobs.map(blob),
    layout.layout,
    json('index.json', { schemaVersion: 2, manifests: [descriptor] }),
  );
}

function nestedIndexes(depth: number): Buffer {
  const type = 'application/vnd.oci.image.index.v1+json';
  const blobs = oci.blobs.map(({ bytes }) => bytes);
  let child = { ...oci.image.root };
  let root = Buffer.alloc(0);
  for (let at = 0; at < depth; at++) {
    root = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type, manifests: [child] }));
    blobs.push(root);
    child = { mediaType: type, digest: digestOf(root), size: root.length };
  }
  return ociOf(blobs, root, type);
}

const INDEX = 'application/vnd.oci.image.index.v1+json';
const ABSENT = {
  mediaType: 'application/vnd.oci.image.config.v1+json',
  digest: `sha256:${'0'.repeat(64)}`,
  size: 1,
};
/** One manifest that names what is not there, and an index that names it a thousand times. */
const LARGE = Buffer.from(JSON.stringify({ config: ABSENT, layers: [], x: 'x'.repeat(MIB) }));
const NAMED = { ...oci.image.root, digest: digestOf(LARGE), size: LARGE.length };
const WIDE = [Buffer.from(JSON.stringify({ manifests: Array.from({ length: 1_000 }, () => NAMED) }))];

/** Good, but for one blob that has other bytes than its name says. */
function ociWithout({ digest }: { digest: Digest }, body: Buffer): Buffer {
  const name = `blobs/sha256/${digest.slice(7)}`;
  const others = layout.files.filter((one) => one.name !== name);
  return rawTar(...others, { name, body }, layout.layout, layout.index);
}

const text = (entry: RawEntry) => String(entry.body);
/** A containerd image with this config. */
function ociWithConfig(change: (config: string) => string): Buffer {
  const bytes = Buffer.from(change(String(config.bytes)));
  const layers = [layer, topLayer];
  const made = manifestFor(
    bytes,
    layers.map((one) => ({ digest: one.digest, size: one.bytes.length })),
  );
  return ociOf([...layers.map((one) => one.bytes), bytes, made], made);
}

const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar';
const gzipBomb = gzipSync(Buffer.alloc(80 * MIB));
const good = classicTar(image);
const smallWindow = await buffer(new Compressor().compress(chunksOf(good), () => 3));

const CASES: readonly (readonly [what: string, archive: Buffer, says: RegExp])[] = [
  ['two manifests', before(altered(manifest)), /"manifest\.json" appears twice with different content/],
  ['a manifest of another size', before({ ...manifest, body: '[]' }), /appears twice/],
  ['two manifests, compressed', gzipSync(before(altered(manifest))), /appears twice/],
  [
    'a second manifest as ./manifest.json',
    before({ ...altered(manifest), name: './manifest.json' }),
    /appears twice/,
  ],
  [
    'a manifest that is a link, too',
    before({ name: 'manifest.json', type: '2', linkName: 'x' }),
    /appears twice/,
  ],
  [
    'a manifest as ./x/../manifest.json',
    before({ ...manifest, name: './x/../manifest.json' }),
    /leads out of the archive/,
  ],
  ['two layers of one name', before(altered(files[0] as RawEntry)), /layer\.tar" appears twice/],
  [
    'a hard link to what comes later',
    before({ name: 'x', type: '1', linkName: 'manifest.json' }),
    /"x" is a hard link to "manifest\.json", which does not come before it/,
  ],
  ['a hard link to itself', before({ name: 'x', type: '1', linkName: './x' }), /not come before it/],
  [
    'a hard link out of the archive',
    before({ name: 'x', type: '1', linkName: '../x' }),
    /leads out of the archive/,
  ],
  [
    'an absolute hard link',
    before({ name: 'x', type: '1', linkName: '/etc/passwd' }),
    /leads out of the archive/,
  ],
  ['a character device', before({ name: 'x', type: '3' }), /"x" is a device/],
  ['a block device', before({ name: 'x', type: '4' }), /"x" is a device/],
  ['a fifo', before({ name: 'x', type: '6' }), /"x" is a fifo/],
  ['an unknown type', before({ name: 'x', type: 'V' }), /unknown type 0x56/],
  [
    'an absolute path',
    before({ name: '/etc/passwd', body: 'x' }),
    /"\/etc\/passwd" leads out of the archive/,
  ],
  ['a path upwards', before({ name: '../x', body: 'x' }), /leads out of the archive/],
  [
    'a link out of the archive',
    before({ name: 'x', type: '2', linkName: '../../etc' }),
    /leads out of the archive/,
  ],
  ['an absolute link', before({ name: 'x', type: '2', linkName: '/etc/passwd' }), /leads out of the archive/],
  ['a link with a body', before({ name: 'x', type: '2', linkName: 'y', body: 'x' }), /has 1 byte$/],
  [
    'a layer that links to itself',
    rawTar(
      ...files.filter(({ name }) => !String(name).startsWith(layer.digest.slice(7))),
      { name: `${layer.digest.slice(7)}/layer.tar`, type: '2', linkName: 'layer.tar' },
      manifest,
    ),
    /which is missing/,
  ],
  [
    'a link in an OCI layout',
    rawTar(...layout.files, { name: 'x', type: '2', linkName: 'index.json' }, layout.layout, layout.index),
    /"x" is a link/,
  ],
  ['a sparse file of GNU', before({ name: 'x', type: 'S' }), /"x" is a sparse file/],
  ['a sparse file in pax', before(paxHeader([['GNU.sparse.major', '1']]), { name: 'x' }), /a sparse file/],
  ['two sizes', before(paxHeader([['size', '3']]), { name: 'x', body: 'four' }), /two sizes, 4 and 3/],
  ['a size in pax alone', before(paxHeader([['size', '512']]), { name: 'x' }), /two sizes, 0 and 512/],
  ['a size for all', before(paxHeader([['size', '4']], 'g'), { name: 'x', body: 'four' }), /all entries one/],
  ['a negative size in pax', before(paxHeader([['size', '-1']]), { name: 'x' }), /the size "-1"/],
  ['a size that is no number', before(paxHeader([['size', '1e3']]), { name: 'x' }), /the size "1e3"/],
  [
    'one key twice',
    before(
      paxHeader([
        ['path', 'a'],
        ['path', 'b'],
      ]),
      { name: 'x' },
    ),
    /says path twice/,
  ],
  [
    'two names before one entry',
    before(paxHeader([['path', 'a']]), paxHeader([['path', 'b']]), { name: 'x' }),
    /its name twice/,
  ],
  ['a damaged pax header', before({ name: 'p', type: 'x', body: '99 path=x\n' }), /pax header is damaged/],
  ['a huge extended header', before({ name: 'p', type: 'x', body: Buffer.alloc(MIB) }), /header of 1048576/],
  ['a huge size', rawTar({ name: 'x', size: size('77777777777') }), /cut short|has 8589934591 bytes/],
  [
    'a size beyond all numbers',
    rawTar({ name: 'x', size: Buffer.from([0x80, ...new Array<number>(11).fill(0xff)]) }),
    /holds the number 0x80ff/,
  ],
  ['a negative size', rawTar({ name: 'x', size: Buffer.alloc(12, 0xff) }), /holds the number 0xff/],
  ['a size that is no octal', rawTar({ name: 'x', size: size('-0000000001') }), /holds the number/],
  [
    'a header that was altered',
    Buffer.concat([Buffer.from('?'), good.subarray(1)]),
    /a tar header is not valid/,
  ],
  ['an end inside a header', good.subarray(0, 100), /cut short: it ends inside a header/],
  ['an end inside a file', good.subarray(0, 700), /cut short: it ends inside "/],
  ['an archive behind the end', Buffer.concat([good, good]), /another tar follows the end of the tar/],
  [
    'something behind the gzip',
    Buffer.concat([gzipSync(good), Buffer.alloc(100_000), Buffer.from('x')]),
    /more bytes follow the end of the compressed data/,
  ],
  ['a gzip that is cut short', gzipSync(good).subarray(0, -9), /gzip is damaged/],
  ['a name that is not UTF-8', before({ name: Buffer.from([0x66, 0xff, 0xfe]) }), /not UTF-8: 0x66fffe/],
  ['an overlong UTF-8 name', before({ name: Buffer.from([0xc0, 0xae, 0xc0, 0xae]) }), /not UTF-8/],
  [
    'a manifest of 64 MiB',
    rawTar(...files, { name: 'manifest.json', body: Buffer.alloc(64 * MIB, '[') }),
    /"manifest\.json" should be metadata, but is 67108864 bytes/,
  ],
  [
    'more metadata than is kept in memory',
    before(
      ...Array.from({ length: 17 }, (_, n) => ({ name: `${n}.json`, body: Buffer.alloc(4 * MIB, '[') })),
    ),
    /more than 67108864 bytes of metadata/,
  ],
  ['a manifest that is no JSON', rawTar(...files, { name: 'manifest.json', body: '[' }), /is not JSON/],
  ['a manifest of another form', rawTar(...files, json('manifest.json', [{}])), /is not in its format: 0\./],
  ['no manifest', rawTar(...files), /not an image archive/],
  [
    'a large config that is named 9,000 times',
    rawTar(
      {
        name: 'x.json',
        body: JSON.stringify({
          ...JSON.parse(String(config.bytes)),
          rootfs: { type: 'layers' },
          x: 'x'.repeat(MIB),
        }),
      },
      json(
        'manifest.json',
        Array.from({ length: 9_000 }, () => ({ Config: 'x.json' })),
      ),
    ),
    /counting what they share/,
  ],
  [
    'indexes over one large manifest that is not whole',
    ociOf([LARGE, ...WIDE], WIDE.at(-1) as Buffer, INDEX),
    /no manifest of the image \S+ is complete/,
  ],
  [
    'a key twice in manifest.json',
    rawTar(...files, { ...manifest, body: text(manifest).replace('{', '{"Layers":[],') }),
    /manifest\.json has the key "Layers" twice/,
  ],
  [
    'a key of manifest.json in another case',
    rawTar(...files, { ...manifest, body: text(manifest).replace('{', '{"layers":[],') }),
    /manifest\.json has the key "layers", which some readers take for "Layers"/,
  ],
  [
    'a name twice in repositories',
    before({ name: 'repositories', body: '{"web":{"1.0":"a"},"web":{"1.0":"b"}}' }),
    /repositories has the key "web" twice/,
  ],
  [
    'a key twice in oci-layout',
    rawTar(
      ...layout.files,
      { name: 'oci-layout', body: '{"imageLayoutVersion":"2.0","imageLayoutVersion":"1.0.0"}' },
      layout.index,
    ),
    /oci-layout has the key "imageLayoutVersion" twice/,
  ],
  [
    'a key of index.json in another case',
    rawTar(...layout.files, layout.layout, {
      ...layout.index,
      body: text(layout.index).replace('{', '{"Manifests":[],'),
    }),
    /index\.json has the key "Manifests"/,
  ],
  [
    'a digest twice in a descriptor of index.json',
    rawTar(...layout.files, layout.layout, {
      ...layout.index,
      body: text(layout.index).replace('"digest"', `"digest":"sha256:${'0'.repeat(64)}","digest"`),
    }),
    /index\.json has the key "digest" twice/,
  ],
  [
    'a config with OS beside os',
    ociWithConfig((config) => config.replace('{', '{"OS":"windows",')),
    /a config has the key "OS", which some readers take for "os"/,
  ],
  [
    'a config with Os in place of os',
    ociWithConfig((config) => config.replace('"os"', '"Os"')),
    /a config has the key "Os", which some readers take for "os"/,
  ],
  [
    'a config with two lists of layers',
    ociWithConfig((config) => config.replace('"diff_ids"', '"diff_ids":[],"diff_ids"')),
    /a config has the key "diff_ids" twice/,
  ],
  ['an empty file', Buffer.alloc(0), /it is empty/],
  ['only zeros', Buffer.alloc(10_240), /not an image archive/],
  ['a text', Buffer.from('hello\n'.repeat(1_000)), /a tar header is not valid/],
  ['bzip2', Buffer.concat([Buffer.from('BZh91AY'), Buffer.alloc(600)]), /bzip2, which imgmv does not read/],
  ['gzip inside gzip', gzipSync(gzipSync(good)), /gzip inside gzip/],
  ['a gzip bomb', gzipBomb, /more than 67108864 bytes follow the end/],
  ['a zstd bomb of 33 kB', zstdZeros(GIB), /more than 67108864 bytes follow the end/],
  [
    'a file of a terabyte, of which there is nothing',
    gzipSync(rawEntry({ name: 'x', size: Buffer.from([0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]) })),
    /inflates to more than 75497472 bytes in all/,
  ],
  ['a zstd window of 2 GiB', zstdZeros(MIB, 31), /zstd with a window of 2147483648 bytes/],
  ['a zstd window of 256 MiB', zstdZeros(MIB, 28), /zstd with a window of 268435456 bytes/],
  [
    'a large zstd window behind a small one',
    Buffer.concat([smallWindow, zstdZeros(MIB, 24)]),
    /zstd is damaged, or not what imgmv reads/,
  ],
  ['an end inside what zstd skips', Buffer.from('502a4d18ff00000001', 'hex'), /end inside a zstd frame/],
  ['nothing but what zstd skips', Buffer.from('502a4d180100000001', 'hex'), /it is empty inside zstd/],
  [
    'a layer that is a gzip bomb',
    ociWith(gzipBomb, `${OCI_LAYER}+gzip`, layer.digest),
    /layer .* inflates to more than 75497472 bytes in all/,
  ],
  [
    'a layer that is a zstd bomb',
    ociWith(zstdZeros(GIB), `${OCI_LAYER}+zstd`, layer.digest),
    /layer .* inflates to more than 75497472 bytes in all/,
  ],
  [
    'a layer with a window of 2 GiB',
    ociWith(zstdZeros(MIB, 31), `${OCI_LAYER}+zstd`, layer.digest),
    /layer .* zstd with a window of 2147483648 bytes/,
  ],
  [
    'a layer of gzip inside gzip',
    ociWith(gzipSync(gzipSync(layer.bytes)), `${OCI_LAYER}+gzip`, layer.digest),
    /but its config says sha256:/,
  ],
  [
    'a layer whose diffID is of another one',
    ociWith(gzipSync(layer.bytes), `${OCI_LAYER}+gzip`, topLayer.digest),
    /but its config says sha256:/,
  ],
  [
    'layers in another order',
    rawTar(
      ...files,
      json('manifest.json', [
        {
          Config: `${image.image.id.slice(7)}.json`,
          RepoTags: null,
          Layers: image.image.diffIds.map((diffId) => `${diffId.slice(7)}/layer.tar`).reverse(),
        },
      ]),
    ),
    /layer 1, .* but its config says/,
  ],
  [
    'a layer too few',
    rawTar(
      ...files,
      json('manifest.json', [{ Config: `${image.image.id.slice(7)}.json`, RepoTags: null, Layers: [] }]),
    ),
    /names 2 layers, and manifest\.json 0/,
  ],
  [
    'a layer that is not there',
    rawTar(...files.slice(1), manifest),
    /manifest\.json names ".*layer\.tar", which is missing/,
  ],
  [
    'a config under the digest of another one',
    rawTar(
      ...files.slice(0, 2),
      { name: `${image.image.id.slice(7)}.json`, body: Buffer.concat([config.bytes, Buffer.from(' ')]) },
      manifest,
    ),
    /\.json" is sha256:/,
  ],
  [
    'a blob under the digest of another one',
    ociWithout(layer, Buffer.from(layer.bytes).fill(1, 600, 700)),
    /the blob "blobs\/sha256\/.*" is sha256:.*, want sha256:/,
  ],
  [
    'a blob of an OCI layout missing',
    rawTar(...layout.files.slice(1), layout.layout, layout.index),
    /lacks the blob/,
  ],
  [
    'another size than the blob has',
    rawTar(
      ...layout.files,
      layout.layout,
      json('index.json', { schemaVersion: 2, manifests: [{ ...oci.image.root, size: 5 }] }),
    ),
    /want sha256:.* of 5/,
  ],
  ['indexes without an end', nestedIndexes(20), /indexes are nested more than/],
  [
    'another image in manifest.json than in index.json',
    rawTar(
      ...layout.files,
      ...classicEntries(other).files,
      layout.layout,
      layout.index,
      classicEntries(other).manifest,
    ),
    /manifest\.json and index\.json differ/,
  ],
  [
    'a name that is none',
    rawTar(...files, classicEntries(image, ['Bad Name!']).manifest),
    /"Bad Name!", which is not valid/,
  ],
  [
    'a digest for a name',
    rawTar(...files, classicEntries(image, ['sha256:abc']).manifest),
    /which is not valid/,
  ],
  [
    'a name that is none in an annotation',
    rawTar(
      ...layout.files,
      layout.layout,
      ociEntries(oci, { 'io.containerd.image.name': 'docker.io/library/-x:1' }).index,
    ),
    /which is not valid/,
  ],
];

describe('an archive with', () => {
  let scratch: ScratchDirectory;
  let server: Server;
  let visitors = 0;
  let socket: string;

  beforeAll(async () => {
    scratch = await scratchDirectory();
    socket = join(scratch.path, 'docker.sock');
    server = createServer((connection) => {
      visitors++;
      connection.destroy();
    }).listen(socket);
    await once(server, 'listening');
  });
  afterAll(async () => {
    server?.close();
    await scratch?.[Symbol.asyncDispose]();
  });

  const { signal } = new AbortController();
  const copy = (from: string, stdin: AsyncIterable<Buffer> = Readable.from([])) =>
    copyImages({
      from: [parseEndpoint(from) as ArchiveEndpoint],
      selection: { patterns: [], labels: [], except: [] },
      naming: { renaming: new Renaming({ retag: [], keepNames: false }) },
      destination: {
        kind: 'docker-daemon',
        reference: '',
        engine: { dockerHost: `unix://${socket}`, env: {} },
      },
      push: false,
      jobs: 2,
      retries: 0,
      noReplace: false,
      overwrite: false,
      ignoreSpace: false,
      direct: true,
      maxBytes: 72 * MIB,
      stdin,
      stdout: async () => {},
      signal,
      emit: () => {},
    });

  it.each(CASES)('%s', async (_what, archive, says) => {
    const file = join(scratch.path, 'hostile.tar');
    await writeFile(file, archive);
    const failure = await failureOf(copy(`docker-archive:${file}`));
    expect(failure).toMatchObject({ code: 'integrity', exit: 13, message: expect.stringMatching(says) });
    expect(failure.message).toMatch(/hostile\.tar is not a good archive/);
    const piped = await failureOf(copy('docker-archive:-', chunksOf(archive)));
    expect(piped.message).toBe(failure.message.replace(file, 'standard input'));
    expect(visitors).toBe(0);
  });

  it('nothing wrong reaches the engine', async () => {
    const file = join(scratch.path, 'good.tar');
    await writeFile(file, good);
    expect((await failureOf(copy(`docker-archive:${file}`))).code).toBe('engine-unavailable');
    expect(visitors).toBeGreaterThan(0);
  });

  it('names that were not asked for does not plant them', async () => {
    const file = join(scratch.path, 'planted.tar');
    const tags = ['web:1.0', 'alpine:latest', 'registry.example/x:1'];
    await writeFile(file, rawTar(...files, classicEntries(image, tags).manifest));
    const [archive] = await openArchives(parseEndpoint(`docker-archive:${file}`) as never, {
      signal,
      stdin: Readable.from([]),
    });
    expect(archive?.images[0]?.image.names.map(({ target }) => target)).toEqual(tags);
    await archive?.[Symbol.asyncDispose]();
  });

  it('126 layers is read, and 501 are too many', async () => {
    for (const [count, message] of [
      [126, undefined],
      [501, /is not in its format/],
    ] as const) {
      const many = await testImage({
        layers: Array.from({ length: count }, (_, at) => ({ [`f${at}`]: `${at}` })),
      });
      const file = join(scratch.path, `${count}.tar`);
      await writeFile(file, classicTar(many));
      const opening = openArchives(parseEndpoint(`docker-archive:${file}`) as never, {
        signal,
        stdin: Readable.from([]),
      });
      if (message) expect((await failureOf(opening)).message).toMatch(message);
      else
        for (const archive of await opening) {
          expect(archive.images[0]?.image.diffIds).toHaveLength(126);
          await archive[Symbol.asyncDispose]();
        }
    }
  });
});

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 50_001) yield bytes.subarray(at, at + 50_001);
}
