/** What is read of an archive, how often, and what bounds that: layers that nobody wants are not looked at. */

import { randomBytes } from 'node:crypto';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ArchiveSource } from '../../../agent/archive/archive-source.ts';
import type { ArchiveEndpoint } from '../../../agent/archive/endpoint.ts';
import { INFLATED_MAX_BYTES } from '../../../agent/archive/limits.ts';
import { openArchives } from '../../../agent/archive/open-archives.ts';
import { openSink } from '../../../agent/archive/open-store.ts';
import { InflatedTar } from '../../../agent/archive/tar/inflated-tar.ts';
import { Places } from '../../../agent/archive/tar/places.ts';
import { parseEndpoint } from '../../../agent/ends/endpoint.ts';
import type { Settled } from '../../../agent/move/ledger.ts';
import { move } from '../../../agent/move/move.ts';
import { digestOf, manifestFor } from '../../../agent/oci/metadata.ts';
import { ReadingMeter } from '../../../agent/streams/reading-meter.ts';
import { checkedSource } from '../../checked-source.ts';
import { blob, classicEntries, json, type RawEntry, rawTar } from '../../hostile/raw-tar.ts';
import { type MemoryImage, testImage } from '../../memory.ts';
import { run } from '../../rig/command.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';

const MIB = 2 ** 20;
const { signal } = new AbortController();
const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip';

let scratch: ScratchDirectory;
let web: MemoryImage;
let db: MemoryImage;
let folder: string;

beforeAll(async () => {
  scratch = await scratchDirectory();
  web = await testImage({ name: 'web:1.0', layers: [{ web: { bytes: 2 * MIB, seed: 1 } }] });
  db = await testImage({ name: 'db:16', layers: [{ db: { bytes: 3 * MIB, seed: 2 } }, { x: 'x' }] });
});
beforeEach(async () => {
  folder = join(scratch.path, randomBytes(6).toString('hex'));
  await mkdir(folder);
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

const at = (name: string) => join(folder, name);
const layersOf = ({ blobs }: MemoryImage) => blobs.filter(({ kind }) => kind === 'layer');
const sum = (sizes: readonly number[]) => sizes.reduce((all, size) => all + size, 0);
const layerBytes = (image: MemoryImage) => sum(layersOf(image).map(({ bytes }) => bytes.length));

/** An OCI layout of these images, each layer as gzip; `damaged` is one whose layers are not what they should be. */
function ociTar(images: readonly MemoryImage[], damaged?: MemoryImage): Buffer {
  const blobs = new Map<string, Buffer>();
  const manifests = images.map((image) => {
    const layers = layersOf(image).map(({ bytes }) => gzipSync(bytes));
    const config = image.blobs.find(({ kind }) => kind === 'config')?.bytes ?? Buffer.alloc(0);
    const manifest = manifestFor(
      config,
      layers.map((bytes) => ({ digest: digestOf(bytes), size: bytes.length, mediaType: GZIP })),
    );
    for (const bytes of [...layers, config, manifest]) blobs.set(digestOf(bytes), bytes);
    return {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: digestOf(manifest),
      size: manifest.length,
      annotations: { 'io.containerd.image.name': `docker.io/library/${image.image.names[0]?.target}` },
    };
  });
  const bad = damaged ? layersOf(damaged).map(({ bytes }) => gzipSync(bytes)) : [];
  const entries = [...blobs.values()].map((bytes): RawEntry => {
    const isBad = bad.some((one) => one.equals(bytes));
    // Only the trailer differs, so that it has to be read to its end.
    return isBad ? { ...blob(bytes), body: Buffer.from(bytes).fill(1, bytes.length - 8) } : blob(bytes);
  });
  return rawTar(
    ...entries,
    json('oci-layout', { imageLayoutVersion: '1.0.0' }),
    json('index.json', { schemaVersion: 2, manifests }),
  );
}

/** Layers in the order of `images`, one of each in turn, as `docker save` may sort them. */
function mixedTar(...images: readonly MemoryImage[]): Buffer {
  const all = images.map((image) => classicEntries(image));
  const files = all.flatMap((one) => one.files);
  const turns = files.toSorted((a, b) => String(a.name).slice(1).localeCompare(String(b.name).slice(1)));
  const entries = all.flatMap((one) => JSON.parse(String(one.manifest.body)) as object[]);
  return rawTar(...turns, json('manifest.json', entries));
}

interface Opened {
  readonly meter: ReadingMeter;
  readonly archives: Awaited<ReturnType<typeof openArchives>>;
  /** The images with these names, checked, or all. */
  readonly source: (...names: string[]) => Promise<ArchiveSource>;
  [Symbol.asyncDispose](): Promise<void>;
}

async function open(text: string, options: { bytes?: Buffer; maxBytes?: number } = {}): Promise<Opened> {
  const meter = new ReadingMeter();
  const { bytes = Buffer.alloc(0), ...bounds } = options;
  const stdin = Readable.from([bytes]);
  const archives = await openArchives(parseEndpoint(text) as ArchiveEndpoint, {
    signal,
    stdin,
    meter,
    ...bounds,
  });
  return {
    meter,
    archives,
    source: (...names) => {
      const images = archives.flatMap((archive) => archive.images.map(({ image }) => image));
      const meant = images.filter((image) => image.names.some(({ target }) => names.includes(target)));
      return checkedSource(archives, signal, names.length === 0 ? images : meant);
    },
    async [Symbol.asyncDispose]() {
      for (const archive of archives) await archive[Symbol.asyncDispose]();
    },
  };
}

/** Into a layout, which takes them as they are. */
async function taken(source: ArchiveSource): Promise<Settled> {
  const place: ArchiveEndpoint = { kind: 'oci', path: at(randomBytes(6).toString('hex')) };
  const write = { overwrite: false, noReplace: false, ignoreSpace: true, stdout: async () => {}, signal };
  await using sink = await openSink(place, write);
  return await move(source, sink, { signal, emit: () => {}, wireBytes: () => 0, jobs: 2, retries: 0 });
}

const statuses = ({ outcomes }: Settled) => outcomes.map(({ status }) => status);

describe('layers of images that were not chosen', () => {
  it.each([false, true])('are neither read nor decompressed, on standard input: %s', async (piped) => {
    const bytes = ociTar([web, db], db);
    await writeFile(at('x.tar'), bytes);
    const place = piped ? 'oci-archive:-' : `oci-archive:${at('x.tar')}`;
    await using good = await open(place, { bytes });
    expect(good.archives[0]?.images.map(({ image }) => image.names[0]?.target)).toEqual(['web:1.0', 'db:16']);
    expect(good.meter.inflated).toBe(0);
    const source = await good.source('web:1.0');
    expect(good.meter.inflated).toBe(layerBytes(web));
    expect(statuses(await taken(source))).toEqual(['loaded']);
    // Sent as they are: nothing is decompressed for that.
    expect(good.meter.inflated).toBe(layerBytes(web));
    await using all = await open(place, { bytes });
    await expect(all.source()).rejects.toMatchObject({
      code: 'integrity',
      message: expect.stringMatching(/is not a good archive: the layer "blobs\/sha256\/.*gzip is damaged/),
    });
  });

  it('of a file are passed over: as good as nothing of it is read', async () => {
    await writeFile(at('x.tar'), ociTar([web, db]));
    const before = await bytesRead();
    await using opened = await open(`oci-archive:${at('x.tar')}`);
    expect(opened.archives[0]?.images).toHaveLength(2);
    expect((await bytesRead()) - before).toBeLessThan(2 * MIB);
  });

  it('are not checked again where two images share them', async () => {
    const second = { ...web, image: { ...web.image, names: [{ source: 'again:1', target: 'again:1' }] } };
    await writeFile(at('x.tar'), ociTar([web, second]));
    await using opened = await open(`oci-archive:${at('x.tar')}`);
    await opened.source();
    expect(opened.meter.inflated).toBe(layerBytes(web));
  });
});

/** By this process, of files and all else. */
async function bytesRead(): Promise<number> {
  return Number(/rchar: (\d+)/.exec(await readFile('/proc/self/io', 'utf8'))?.[1]);
}

describe('an image of an archive', () => {
  it('is no source before it has been checked', async () => {
    await writeFile(at('x.tar'), ociTar([web]));
    await using opened = await open(`oci-archive:${at('x.tar')}`);
    const meant = opened.archives[0]?.images.map(({ image }) => image) ?? [];
    expect(() => new ArchiveSource(opened.archives, meant)).toThrow(/has not been checked/);
  });

  it('has the sizes of its layers when it has been', async () => {
    const entries = classicEntries(web);
    const files = entries.files.map(({ name, body }) =>
      String(name).endsWith('.tar') ? { name, body: gzipSync(body as Buffer) } : { name, body: body ?? '' },
    );
    await writeFile(at('x.tar'), rawTar(...files, entries.manifest));
    await using opened = await open(`docker-archive:${at('x.tar')}`);
    const [image] = await (await opened.source()).images();
    expect(image?.image).toMatchObject({
      bytes: layerBytes(web),
      layers: layersOf(web).map(({ digest, bytes }) => ({ digest, size: bytes.length })),
    });
  });
});

describe('an archive that is compressed as a whole', () => {
  it('is decompressed twice, in whatever order its images are: once to see them, once to send them', async () => {
    const plain = mixedTar(web, db, await testImage({ name: 'c:1', layers: [{ c: 'c' }, { d: 'd' }] }));
    await writeFile(at('x.tar.gz'), gzipSync(plain, { level: 1 }));
    await using opened = await open(`docker-archive:${at('x.tar.gz')}`);
    const source = await opened.source();
    expect(opened.meter.inflated).toBe(plain.length);
    expect(statuses(await taken(source))).toEqual(['loaded', 'loaded', 'loaded']);
    // A third pass would count.
    expect(opened.meter.inflated).toBe(plain.length);
  });

  it('and whose layers are, too, is decompressed twice, and each of these once', async () => {
    const inner = ociTar([web, db]);
    await writeFile(at('x.tar.gz'), gzipSync(inner, { level: 1 }));
    await using opened = await open(`oci-archive:${at('x.tar.gz')}`);
    const source = await opened.source();
    expect(statuses(await taken(source))).toEqual(['loaded', 'loaded']);
    expect(opened.meter.inflated).toBe(inner.length + layerBytes(web) + layerBytes(db));
  });

  it.each([
    ['where there is no room to keep what is to come', '/proc'],
    ['where there is no place to keep it', '/nowhere'],
  ])('counts what more passes decompress, %s', async (_where, directory) => {
    const inner = ociTar([web, db]);
    await writeFile(at('x.tar.gz'), gzipSync(inner, { level: 1 }));
    const { TMPDIR } = process.env;
    process.env.TMPDIR = directory;
    try {
      await using opened = await open(`oci-archive:${at('x.tar.gz')}`);
      const source = await opened.source();
      const checked = opened.meter.inflated;
      expect(statuses(await taken(source))).toEqual(['loaded', 'loaded']);
      expect(opened.meter.inflated).toBeGreaterThan(checked);
      expect(opened.meter.inflated).toBeLessThanOrEqual(checked + 2 * inner.length);
      await using bounded = await open(`oci-archive:${at('x.tar.gz')}`, { maxBytes: checked });
      const { outcomes } = await taken(await bounded.source());
      expect(outcomes[0]?.error).toMatchObject({
        message: expect.stringMatching(/^it inflates to more than/),
      });
    } finally {
      if (TMPDIR === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = TMPDIR;
    }
  });
});

describe('entries of what is decompressed', () => {
  const SIZE = 1_000;
  const NAMES = ['a', 'b', 'c', 'd'];
  const whole = Buffer.concat(NAMES.map((name) => Buffer.alloc(SIZE, name)));
  const places = NAMES.map((name, n) => ({ name, offset: n * SIZE, size: SIZE }));

  function scripted() {
    const passes: boolean[] = [];
    const tar = new InflatedTar(new Places(places), async function* (counts) {
      passes.push(counts);
      for (let from = 0; from < whole.length; from += 300) yield whole.subarray(from, from + 300);
    });
    const read = async (...names: string[]) => {
      const got: string[] = [];
      for await (const { name, body } of tar.read(new Set(names), signal)) {
        const parts: Buffer[] = [];
        for await (const part of body) parts.push(part);
        expect(Buffer.concat(parts).equals(Buffer.alloc(SIZE, name))).toBe(true);
        got.push(name);
      }
      return got.join('');
    };
    return { passes, tar, read };
  }
  const times = (...names: string[]) => {
    const counts = new Map<string, number>();
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
    return counts;
  };

  it('are given in the order in which they are stored, and read on', async () => {
    const { passes, read, tar } = scripted();
    await using _ = tar;
    expect([await read('b', 'a'), await read('d')]).toEqual(['ab', 'd']);
    expect(passes).toEqual([false]);
  });

  it('that come before their time are kept, and so are those that are wanted again', async () => {
    const { passes, read, tar } = scripted();
    await using _ = tar;
    tar.willRead(times('d', 'a', 'b', 'b', 'c'));
    expect([await read('d'), await read('a', 'b'), await read('b', 'c')]).toEqual(['d', 'ab', 'bc']);
    expect(passes).toEqual([false]);
  });

  it('that nobody had said would be read cost another pass, which counts', async () => {
    const { passes, read, tar } = scripted();
    await using _ = tar;
    expect([await read('c'), await read('a'), await read('a')]).toEqual(['c', 'a', 'a']);
    expect(passes).toEqual([false, true, true]);
  });

  it('may be left in the middle', async () => {
    const { passes, read, tar } = scripted();
    await using _ = tar;
    for await (const { body } of tar.read(new Set(['a', 'b']), signal)) {
      for await (const part of body) {
        expect(part.length).toBeGreaterThan(0);
        break;
      }
      break;
    }
    expect(await read('c', 'd')).toBe('cd');
    expect(passes).toEqual([false]);
  });

  it('are read by two at once', async () => {
    const { read, tar } = scripted();
    await using _ = tar;
    tar.willRead(times('a', 'b', 'b', 'c', 'd', 'd'));
    expect(await Promise.all([read('b', 'd'), read('a', 'b', 'c', 'd')])).toEqual(['bd', 'abcd']);
  });
});

describe('what an archive inflates to', () => {
  it('is bounded at a TiB', () => {
    expect(INFLATED_MAX_BYTES).toBe(2 ** 40);
  });

  const refusal = (bound: number) => ({
    code: 'integrity',
    message: expect.stringContaining(`inflates to more than ${bound} bytes in all`),
    hint: expect.stringContaining('--max-bytes'),
  });

  it('counts the layers that are chosen, together', async () => {
    await writeFile(at('x.tar'), ociTar([web, db]));
    const place = `oci-archive:${at('x.tar')}`;
    const enough = layerBytes(db);
    await using fits = await open(place, { maxBytes: enough });
    await fits.source('db:16');
    await using short = await open(place, { maxBytes: enough - 1 });
    await expect(short.source('db:16')).rejects.toMatchObject(refusal(enough - 1));
    await using both = await open(place, { maxBytes: enough });
    await expect(both.source()).rejects.toMatchObject(refusal(enough));
  });

  it.each(['oci', 'dir'])('counts those of %s:', async (kind) => {
    const name = kind === 'oci' ? 'blobs/sha256/' : '';
    await mkdir(at(`x/${name}`), { recursive: true });
    const tarred = at('x.tar');
    await writeFile(tarred, ociTar([web]));
    await run(['tar', '-xf', tarred, '-C', at('x')]);
    if (kind === 'dir')
      await run([
        'sh',
        '-c',
        'cd "$1" && mv blobs/sha256/* . && rm -r blobs && cp "$(grep -l layers --include="*" -r . | xargs grep -l schemaVersion | grep -v index)" manifest.json',
        'sh',
        at('x'),
      ]);
    await using opened = await open(`${kind}:${at('x')}`, { maxBytes: layerBytes(web) - 1 });
    await expect(opened.source()).rejects.toMatchObject(refusal(layerBytes(web) - 1));
  });

  it('counts what is compressed as a whole while it is looked through', async () => {
    const tar = rawTar({ name: 'zeros', body: Buffer.alloc(20 * MIB) }, json('manifest.json', []));
    await writeFile(at('x.tar.gz'), gzipSync(tar));
    await using fits = await open(`docker-archive:${at('x.tar.gz')}`, { maxBytes: tar.length });
    expect(fits.meter).toMatchObject({ inflated: tar.length, phase: 'index' });
    expect(fits.meter.bytes).toBe(fits.meter.total);
    await expect(
      open(`docker-archive:${at('x.tar.gz')}`, { maxBytes: tar.length - 1 }),
    ).rejects.toMatchObject(refusal(tar.length - 1));
  });
});

describe('of a directory of archives', () => {
  it.each<readonly [string, (path: string) => Promise<unknown>]>([
    ['a link', (path) => symlink(at('elsewhere'), path)],
    ['a link to /dev/zero', (path) => symlink('/dev/zero', path)],
    ['a fifo', (path) => run(['mkfifo', path])],
    ['a directory', (path) => mkdir(path)],
  ])('%s is not read, nor waited for', async (_what, make) => {
    await mkdir(at('x'));
    await writeFile(at('elsewhere'), ociTar([web]));
    await writeFile(at('x/a.tar'), ociTar([web]));
    await make(at('x/b.tar'));
    await expect(open(`docker-archive:${at('x')}`)).rejects.toMatchObject({
      code: 'usage',
      message: `${at('x/b.tar')} is not a regular file`,
    });
  });

  it('a link that is named by itself is followed', async () => {
    await writeFile(at('elsewhere'), ociTar([web]));
    await symlink(at('elsewhere'), at('b.tar'));
    await using opened = await open(`docker-archive:${at('b.tar')}`);
    expect(opened.archives[0]?.images).toHaveLength(1);
  });
});
