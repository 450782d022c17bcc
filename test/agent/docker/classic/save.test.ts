/** The archives that engines save: made by hand after docs/engines.md section 5, and from engines themselves. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blobsOfSave } from '../../../../agent/docker/classic/save.ts';
import { Engine } from '../../../../agent/docker/engine.ts';
import { EngineSource } from '../../../../agent/docker/engine-source.ts';
import type { Digest, Image } from '../../../../agent/model/image.ts';
import { digestOf } from '../../../../agent/oci/metadata.ts';
import { v1Ids } from '../../../../agent/oci/v1-id.ts';
import { Stopwatch } from '../../../../proto/stopwatch.ts';
import { failureOf } from '../../../conformance/conformance.ts';
import { type MemoryImage, testImage } from '../../../memory.ts';
import { engineSupport, type Flavour, type Engine as RigEngine, startEngine } from '../../../rig/engine.ts';
import { type ImageOptions, loadImage } from '../../../rig/images.ts';
import { describeOn } from '../../../rig/suite.ts';

type Entry = readonly [header: string | (Partial<Header> & Pick<Header, 'name'>), body?: Uint8Array | string];

const hex = (digest: string) => digest.slice('sha256:'.length);
const blob = (bytes: Buffer): Entry => [`blobs/sha256/${hex(digestOf(bytes))}`, bytes];
/** As 20.10 names layers: no digest of anything in the archive. */
const v1 = (n: number) => createHash('sha256').update(`v1 ${n}`).digest('hex');

async function tar(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const [header, body] of entries) {
    const full = typeof header === 'string' ? { name: header } : header;
    if (body === undefined) archive.entry(full);
    else archive.entry(full, Buffer.from(body));
  }
  archive.finalize();
  return buffer(archive);
}

interface Seen {
  readonly kind: string;
  readonly named: Digest | undefined;
  readonly digest: Digest;
  readonly compressed: boolean;
}

type Wanted = ReadonlySet<Digest> | undefined;
const all: Wanted = undefined;
const none: Wanted = new Set();

/** Reads an archive given in chunks of `chunkBytes`. */
async function blobsOf(
  image: Image,
  archive: Buffer,
  chunkBytes = 1_000,
  wanted = all,
): Promise<readonly Seen[]> {
  const chunks: Buffer[] = [];
  for (let at = 0; at < archive.length; at += chunkBytes) chunks.push(archive.subarray(at, at + chunkBytes));
  return seenIn(Readable.from(chunks), image, wanted);
}

async function seenIn(stream: Readable, image: Image, wanted: Wanted): Promise<readonly Seen[]> {
  const seen: Seen[] = [];
  const blobs = blobsOfSave(stream, image, new Stopwatch(), wanted);
  for await (const { kind, digest, size, compressed, body } of blobs) {
    const bytes = await buffer(body);
    expect(bytes.length).toBe(size);
    seen.push({ kind, named: digest, digest: digestOf(bytes), compressed: compressed === true });
  }
  return seen;
}

function parts({ blobs }: MemoryImage) {
  const bytesOf = (kind: string) => blobs.filter((blob) => blob.kind === kind).map(({ bytes }) => bytes);
  const [config, manifest] = [bytesOf('config')[0], bytesOf('manifest')[0]];
  if (!config) throw new Error('no config');
  return { layers: bytesOf('layer'), config, manifest };
}

const layerOf = (bytes: Buffer, named: boolean): Seen => ({
  kind: 'layer',
  named: named ? digestOf(bytes) : undefined,
  digest: digestOf(bytes),
  compressed: false,
});
const metadataOf = (kind: string, bytes: Buffer): Seen => ({
  kind,
  named: digestOf(bytes),
  digest: digestOf(bytes),
  compressed: false,
});

describe('20.10', async () => {
  const image = await testImage({ name: 'web:1.0' });
  const { layers, config } = parts(image);
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = layers;
  const link = (n: number, to: number): Entry => [
    { name: `${v1(n)}/layer.tar`, type: 'symlink', linkname: `../${v1(to)}/layer.tar` },
  ];
  const layer = (n: number, bytes: Buffer): readonly Entry[] => [
    [{ name: `${v1(n)}/`, type: 'directory' }],
    [`${v1(n)}/VERSION`, '1.0'],
    [`${v1(n)}/json`, '{"id":"x"}'],
    [`${v1(n)}/layer.tar`, bytes],
  ];
  const rest: readonly Entry[] = [
    [`${hex(image.image.id)}.json`, config],
    ['manifest.json', '[]'],
    ['repositories', '{}'],
  ];

  it('gives layers without their digests, then the config', async () => {
    const archive = await tar([...layer(1, first), ...layer(2, second), ...rest]);
    expect(await blobsOf(image.image, archive)).toEqual([
      layerOf(first, false),
      layerOf(second, false),
      metadataOf('config', config),
    ]);
  });

  it('in any order, cut anywhere', async () => {
    const archive = await tar([...rest, ...layer(2, second), ...layer(1, first)]);
    const want = [layerOf(second, false), layerOf(first, false), metadataOf('config', config)];
    for (const chunkBytes of [1, 511, 512, 513, archive.length])
      expect(await blobsOf(image.image, archive, chunkBytes)).toEqual(want);
  });

  it('gives a layer once that is a link the second time', async () => {
    const archive = await tar([...layer(1, first), link(3, 1), ...layer(2, second), ...rest]);
    expect(await blobsOf(image.image, archive)).toHaveLength(3);
  });

  it('passes over what is not of the image', async () => {
    const other = await testImage({ name: 'other:1' });
    const extra: readonly Entry[] = [
      [`${hex(other.image.id)}.json`, parts(other).config],
      ['notes.txt', 'x'],
      [{ name: `blobs/sha256/${'0'.repeat(64)}`, type: 'symlink', linkname: '/etc/passwd' }],
      ['../../etc/passwd', 'x'],
    ];
    const archive = await tar([...extra, ...layer(1, first), ...layer(2, second), ...rest]);
    expect(await blobsOf(image.image, archive)).toHaveLength(3);
  });

  it('fails when it ends too soon', async () => {
    const archive = await tar([...layer(1, first), ...layer(2, second), ...rest]);
    for (const at of [archive.indexOf(second) + 10, archive.indexOf(first) + 1])
      await expect(blobsOf(image.image, archive.subarray(0, at))).rejects.toThrow(/Unexpected end of data/);
  });

  it('fails without its config', async () => {
    const archive = await tar([...layer(1, first), ...layer(2, second)]);
    const failure = await failureOf(blobsOf(image.image, archive));
    expect(failure).toMatchObject({
      code: 'engine-refused',
      message: expect.stringContaining(`gave no config ${image.image.id}`),
    });
  });

  it('fails with a config that is another', async () => {
    const archive = await tar([...layer(1, first), [`${hex(image.image.id)}.json`, '{"other":1}']]);
    expect((await failureOf(blobsOf(image.image, archive))).code).toBe('integrity');
  });

  it('fails with what its stream fails with, in a body too', async () => {
    const archive = await tar(layer(1, Buffer.alloc(100_000)));
    const stream = Readable.from(
      (async function* () {
        yield archive.subarray(0, 50_000);
        throw new Error('the engine died');
      })(),
    );
    const read = async () => {
      for await (const { body } of blobsOfSave(stream, image.image, new Stopwatch(), all)) await buffer(body);
    };
    await expect(read()).rejects.toThrow('the engine died');
  });
});

describe('20.10, by the ids of its layers', async () => {
  const specs = ['a', 'b', 'c'].map((name) => ({ [name]: `${name}\n`.repeat(1_000) }));
  const image = await testImage({ name: 'web:1.0', layers: specs });
  const { layers, config } = parts(image);
  const [first = config, second = config, third = config] = layers;
  const ids = [...v1Ids(image.image.diffIds).keys()];
  const [firstId = '', secondId = ''] = ids;
  const layer = (id: string, bytes: Buffer, parent?: string): readonly Entry[] => [
    [`${id}/json`, JSON.stringify({ id, parent })],
    [`${id}/layer.tar`, bytes],
  ];
  const rest: readonly Entry[] = [[`${hex(image.image.id)}.json`, config]];
  const top = layer(v1(3), third, secondId);
  const below = [...layer(secondId, second, firstId), ...layer(firstId, first)];

  it('names all of them, the top one as the child of the one below, first or last', async () => {
    const named = layers.map((bytes) => layerOf(bytes, true));
    for (const entries of [
      [...top, ...below],
      [...below, ...top],
    ]) {
      const seen = await blobsOf(image.image, await tar([...entries, ...rest]));
      expect(seen.slice(0, -1)).toEqual(expect.arrayContaining(named));
      expect(seen).toHaveLength(4);
    }
  });

  it('passes over what is not wanted', async () => {
    const archive = await tar([...top, ...below, ...rest]);
    const without = (bytes: Buffer) =>
      blobsOf(
        image.image,
        archive,
        1_000,
        new Set(image.image.diffIds.filter((id) => id !== digestOf(bytes))),
      );
    const named = (bytes: Buffer) => layerOf(bytes, true);
    const end = metadataOf('config', config);
    expect(await without(third)).toEqual([named(second), named(first), end]);
    expect(await without(second)).toEqual([named(third), named(first), end]);
    expect(await without(first)).toEqual([named(third), named(second), end]);
    expect(await blobsOf(image.image, archive, 1_000, none)).toEqual([end]);
  });

  it('does not take for the top layer what does not say so', async () => {
    const strange = [
      layer(v1(3), third),
      layer(v1(3), third, firstId),
      layer(v1(3), third, v1(2)),
      [[`${v1(3)}/layer.tar`, third]],
      [
        [`${v1(3)}/json`, 'null'],
        [`${v1(3)}/layer.tar`, third],
      ],
    ] as const satisfies readonly (readonly Entry[])[];
    for (const entries of strange) {
      const seen = await blobsOf(image.image, await tar([...below, ...entries, ...rest]), 1_000, none);
      expect(seen).toEqual([layerOf(third, false), metadataOf('config', config)]);
    }
  });

  it('learns the time zone of the daemon from the first layer below the top', async () => {
    const zone = '1969-12-31T19:00:00-05:00';
    const [one = '', two = ''] = v1Ids(image.image.diffIds, zone).keys();
    const made = (id: string, bytes: Buffer, created: string, parent?: string): readonly Entry[] => [
      [`${id}/json`, JSON.stringify({ id, parent, created })],
      [`${id}/layer.tar`, bytes],
    ];
    const lower = [...made(two, second, zone, one), ...made(one, first, zone)];
    const upper = made(v1(3), third, '2024-05-01T10:00:00Z', two);
    for (const entries of [
      [...upper, ...lower],
      [...lower, ...upper],
    ]) {
      const seen = await blobsOf(image.image, await tar([...entries, ...rest]), 1_000, none);
      expect(seen).toEqual([metadataOf('config', config)]);
    }
    // An image that says itself that it was made at the epoch: its top layer is known by its parent alone.
    const old = made(v1(3), third, '1970-01-01T00:00:00Z', two);
    const early = await blobsOf(image.image, await tar([...old, ...lower, ...rest]), 1_000, none);
    expect(early).toEqual([layerOf(third, false), metadataOf('config', config)]);
    const late = await blobsOf(image.image, await tar([...lower, ...old, ...rest]), 1_000, none);
    expect(late).toEqual([metadataOf('config', config)]);
  });

  it('names the sole layer whatever its id', async () => {
    const { image: sole, ...more } = await testImage({ name: 'sole:1', layers: [{ a: 'a\n' }] });
    const { layers: only, config: soleConfig } = parts({ image: sole, ...more });
    const archive = await tar([...layer(v1(1), only[0] ?? config), [`${hex(sole.id)}.json`, soleConfig]]);
    expect((await blobsOf(sole, archive))[0]).toEqual(layerOf(only[0] ?? config, true));
    expect(await blobsOf(sole, archive, 1_000, none)).toEqual([metadataOf('config', soleConfig)]);
  });

  it('fails when it ends in what is not wanted', async () => {
    const archive = await tar([...below, ...top, ...rest]);
    const cut = archive.subarray(0, archive.indexOf(third) + 100);
    await expect(blobsOf(image.image, cut, 1_000, none)).rejects.toThrow(/Unexpected end of data/);
  });
});

describe('26 and newer, classic', async () => {
  const image = await testImage({ name: 'web:1.0' });
  const { layers, config } = parts(image);

  it('gives layers with their digests, sorted or not, then the config', async () => {
    const manifest = Buffer.from('{"schemaVersion":2}');
    const blobs = [...layers, config, manifest]
      .map(blob)
      .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
    const folders: readonly Entry[] = [
      [{ name: 'blobs/', type: 'directory' }],
      [{ name: 'blobs/sha256/', type: 'directory' }],
    ];
    const rest: readonly Entry[] = [
      ['index.json', '{}'],
      ['manifest.json', '[]'],
      ['oci-layout', '{}'],
      ['repositories', '{}'],
    ];
    const seen = await blobsOf(image.image, await tar([...folders, ...blobs, ...rest]));
    expect(seen.slice(-1)).toEqual([metadataOf('config', config)]);
    expect(seen).toHaveLength(3);
    expect(seen).toEqual(expect.arrayContaining(layers.map((bytes) => layerOf(bytes, true))));
  });
});

describe('podman', async () => {
  const image = await testImage({ name: 'web:1.0' });
  const { layers, config } = parts(image);

  it('gives <diffid>.tar in the order of the image, links for those that come twice', async () => {
    const entries = layers.map((bytes): Entry => [`${hex(digestOf(bytes))}.tar`, bytes]);
    const link: Entry = [
      {
        name: `${'a'.repeat(64)}/layer.tar`,
        type: 'symlink',
        linkname: `../${hex(digestOf(layers[0] ?? config))}.tar`,
      },
    ];
    const archive = await tar([
      ...entries,
      link,
      [`${hex(image.image.id)}.json`, config],
      ['manifest.json', '[]'],
    ]);
    const seen = await blobsOf(image.image, archive);
    expect(seen).toEqual([...layers.map((bytes) => layerOf(bytes, true)), metadataOf('config', config)]);
    expect(await blobsOf(image.image, archive, 1_000, none)).toEqual([metadataOf('config', config)]);
  });

  it('gives a layer without a digest whose name is none of the image', async () => {
    const [bytes = config] = layers;
    const strange: Entry = [`${'b'.repeat(64)}.tar`, bytes];
    const archive = await tar([strange, [`${hex(image.image.id)}.json`, config]]);
    const seen = await blobsOf(image.image, archive, 1_000, none);
    expect(seen[0]).toEqual(layerOf(bytes, false));
  });
});

describe('28, containerd store', async () => {
  const image = await testImage({ name: 'web:1.0', store: 'containerd' });
  const { layers, config, manifest = Buffer.alloc(0) } = parts(image);
  const OCI = 'application/vnd.oci.image';
  const describeBlob = (mediaType: string, bytes: Buffer) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));

  it('gives the manifest behind what it names', async () => {
    const archive = await tar([manifest, config, ...layers].map(blob));
    const seen = await blobsOf(image.image, archive);
    expect(seen.slice(-2)).toEqual([metadataOf('config', config), metadataOf('manifest', manifest)]);
    expect(seen).toHaveLength(4);
  });

  it('gives compressed layers as they are stored, and says that they are', async () => {
    const stored = layers.map((bytes) => gzipSync(bytes));
    const layerType = `${OCI}.layer.v1.tar+gzip`;
    const gzipped = json({
      schemaVersion: 2,
      config: describeBlob(`${OCI}.config.v1+json`, config),
      layers: stored.map((bytes) => describeBlob(layerType, bytes)),
    });
    const root = describeBlob(`${OCI}.manifest.v1+json`, gzipped);
    const seen = await blobsOf(
      { ...image.image, id: root.digest, root },
      await tar([...stored, config, gzipped].map(blob)),
    );
    const found = seen.filter(({ kind }) => kind === 'layer');
    expect(found.map(({ named }) => named)).toEqual(stored.map(digestOf));
    expect(seen.slice(-2)).toEqual([metadataOf('config', config), metadataOf('manifest', gzipped)]);
  });

  it('gives an index with its attestation, whose layer is small JSON, and without what is absent', async () => {
    const statement = json({ _type: 'https://in-toto.io/Statement/v0.1', subject: [] });
    const attestationConfig = json({
      architecture: 'unknown',
      os: 'unknown',
      rootfs: { type: 'layers', diff_ids: [] },
    });
    const attestation = json({
      config: describeBlob(`${OCI}.config.v1+json`, attestationConfig),
      layers: [describeBlob('application/vnd.in-toto+json', statement)],
    });
    const manifestType = `${OCI}.manifest.v1+json`;
    const index = json({
      schemaVersion: 2,
      manifests: [
        describeBlob(manifestType, manifest),
        describeBlob(manifestType, Buffer.from('absent')),
        describeBlob(manifestType, attestation),
      ],
    });
    const root = describeBlob(`${OCI}.index.v1+json`, index);
    const blobs = [attestation, index, statement, manifest, config, attestationConfig, ...layers].map(blob);
    const seen = await blobsOf(
      { ...image.image, id: root.digest, root },
      await tar([...blobs, ['index.json', '{}']]),
    );
    expect(seen.slice(0, 2)).toEqual(layers.map((bytes) => layerOf(bytes, true)));
    expect(seen.slice(2)).toEqual([
      layerOf(statement, true),
      metadataOf('config', config),
      metadataOf('manifest', manifest),
      metadataOf('config', attestationConfig),
      metadataOf('manifest', attestation),
      metadataOf('index', index),
    ]);
  });

  it('fails without its root: the tiny tar of an incomplete image', async () => {
    const failure = await failureOf(
      blobsOf(
        image.image,
        await tar([
          ['oci-layout', '{}'],
          ['index.json', '{}'],
        ]),
      ),
    );
    expect(failure).toMatchObject({
      code: 'engine-refused',
      message: expect.stringContaining('gave no manifest'),
    });
  });
});

const shared = { 'srv/shared': 'shared\n' };
/** Larger than metadata can be, or what a containerd store keeps small. */
const LAYERS = [
  { 'etc/base': 'base\n' },
  shared,
  { 'srv/large': { bytes: 5 * 2 ** 20, seed: 1 } },
  shared,
  { 'srv/top': { bytes: 100_000, seed: 2 } },
] as const;
const SAVED: readonly (ImageOptions & { readonly flavours: readonly Flavour[] })[] = [
  { name: 'five:1', layers: LAYERS, flavours: ['20', '28', '28c'] },
  { name: 'again:1', layers: [...LAYERS, shared], flavours: ['20', '28'] },
  { name: 'sole:1', layers: [shared], flavours: ['20', '28', '28c'] },
  { name: 'zipped:1', layers: LAYERS, gzip: true, flavours: ['28c'] },
];

for (const flavour of ['20', '28', '28c'] as const) {
  describeOn(
    `engine ${flavour}`,
    [await engineSupport(flavour)],
    () => {
      let rig: RigEngine;
      let engine: Engine;

      beforeAll(async () => {
        rig = await startEngine({ flavour });
        engine = await Engine.connect({ dockerHost: rig.dockerHost, env: {} });
      });
      afterAll(() => rig?.[Symbol.asyncDispose]());

      for (const options of SAVED.filter(({ flavours }) => flavours.includes(flavour))) {
        it(`${options.name}: gives the layers that are wanted and no other, with their digests`, async () => {
          const { id, layers } = await loadImage(rig, options);
          const digests = [...new Set(layers.map(({ digest }) => digest as Digest))].sort();
          const [from] = await new EngineSource(engine, {
            meant: [{ id: id as Digest, names: [] }],
            ignoreSpace: false,
            direct: false,
            leftOut: () => {},
          }).images();
          if (!from) throw new Error(`${options.name} is not there`);
          const { image } = from;
          const rest: string[] = [];
          for (const unwanted of [[], digests, ...digests.map((digest) => [digest])]) {
            const stream = await engine.save(image.id, AbortSignal.timeout(20_000));
            const seen = await seenIn(
              stream,
              image,
              new Set(digests.filter((digest) => !unwanted.includes(digest))),
            );
            expect(stream.destroyed).toBe(true);
            const given = seen.filter(({ kind }) => kind === 'layer');
            expect(given.map(({ named }) => named)).toEqual(given.map(({ digest }) => digest));
            expect(given.map(({ digest }) => digest).sort()).toEqual(
              digests.filter((digest) => !unwanted.includes(digest)),
            );
            rest.push(seen.flatMap(({ kind, digest }) => (kind === 'layer' ? [] : [digest])).join());
          }
          // The same metadata each time, the root last.
          expect(new Set(rest).size).toBe(1);
          expect(rest[0]).toMatch(new RegExp(`${image.root.digest}$`));
        });
      }
    },
    { required: flavour === '20' },
  );
}
