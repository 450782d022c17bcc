/** What the conformance suite does not ask: files that change, blobs that break off, what is shared and picked. */

import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ArchiveCatalogue } from '../../../agent/archive/archive-catalogue.ts';
import type { ArchiveSource } from '../../../agent/archive/archive-source.ts';
import { BlobSink } from '../../../agent/archive/blob-sink.ts';
import type { ArchiveEndpoint } from '../../../agent/archive/endpoint.ts';
import { openArchives } from '../../../agent/archive/open-archives.ts';
import { openSink } from '../../../agent/archive/open-store.ts';
import { StreamOutput } from '../../../agent/archive/output.ts';
import { TarStore } from '../../../agent/archive/tar/tar-store.ts';
import { parseEndpoint } from '../../../agent/ends/endpoint.ts';
import { JoinedSource } from '../../../agent/ends/joined-source.ts';
import type { Blob } from '../../../agent/model/image.ts';
import type { ImageWriter, Planned, Sink } from '../../../agent/model/sink.ts';
import type { Settled } from '../../../agent/move/ledger.ts';
import { move } from '../../../agent/move/move.ts';
import { digestOf } from '../../../agent/oci/metadata.ts';
import { ImgmvError } from '../../../proto/errors.ts';
import { checkedSource } from '../../checked-source.ts';
import { classicTar } from '../../hostile/raw-tar.ts';
import { type MemoryImage, MemorySink, MemorySource, testImage } from '../../memory.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';

const { signal } = new AbortController();
let scratch: ScratchDirectory;
let web: MemoryImage;
let db: MemoryImage;
let at: (name: string) => string;
let tests = 0;

beforeAll(async () => {
  scratch = await scratchDirectory();
  const base = { base: { bytes: 500_000, seed: 1 } };
  web = await testImage({ name: 'web:1.0', layers: [base, { web: 'web' }] });
  db = await testImage({ name: 'db:16', layers: [base, { db: 'db' }] });
});
beforeEach(() => {
  const prefix = `${++tests}-`;
  at = (name) => join(scratch.path, `${prefix}${name}`);
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

const place = (text: string) => parseEndpoint(text) as ArchiveEndpoint;
const open = (text: string) => openArchives(place(text), { signal, stdin: Readable.from([]) });
const into = (source: MemorySource | ArchiveSource | JoinedSource, sink: Sink): Promise<Settled> =>
  move(source, sink, { signal, emit: () => {}, wireBytes: () => 0, jobs: 2, retries: 0 });
const sinkAt = (text: string) =>
  openSink(place(text), {
    overwrite: false,
    noReplace: false,
    ignoreSpace: false,
    stdout: async () => {},
    signal,
  });

/** Gives the first layer that it is asked for other bytes than it says. */
class AlteringSource extends MemorySource {
  #altered = false;

  override async *blobs(...given: Parameters<MemorySource['blobs']>): AsyncGenerator<Blob> {
    for await (const blob of super.blobs(...given)) {
      if (this.#altered || blob.kind !== 'layer') yield blob;
      else {
        this.#altered = true;
        yield { ...blob, body: Readable.from([Buffer.alloc(blob.size)]) };
      }
    }
  }
}

describe('a new archive', () => {
  it.each(['x.tar', 'x.tar.gz', 'x.tar.zst'])(
    'takes a blob back that breaks off, and the images behind it: %s',
    async (file) => {
      const place = `docker-archive:${at(file)}`;
      await using sink = await sinkAt(place);
      const { outcomes, exit } = await into(new AlteringSource([web, db]), sink);
      expect(outcomes.map(({ status, error }) => [status, error?.code])).toEqual([
        ['failed', 'integrity'],
        ['loaded', undefined],
      ]);
      expect(exit).toBe(17);
      const [archive] = await open(place);
      expect(archive?.images.map(({ image }) => image.id)).toEqual([db.image.id]);
      await archive?.[Symbol.asyncDispose]();
    },
  );

  it('on standard output cannot', async () => {
    const written: Uint8Array[] = [];
    const output = new StreamOutput(async (chunk) => void written.push(chunk), signal);
    await using sink = new BlobSink(new TarStore(output, 'docker-archive', 'none'), {
      noReplace: false,
      ignoreSpace: false,
    });
    const { outcomes } = await into(new AlteringSource([web, db]), sink);
    expect(outcomes.map(({ error }) => error?.message)).toEqual([
      expect.stringMatching(/came as/),
      expect.stringMatching(/cannot take it back/),
    ]);
  });

  it('has what two images share once, and a second one is the same byte for byte', async () => {
    for (const file of ['a.tar', 'b.tar']) {
      await using sink = await sinkAt(`docker-archive:${at(file)}`);
      await into(new MemorySource([web, db]), sink);
    }
    const [a, b] = await Promise.all([readFile(at('a.tar')), readFile(at('b.tar'))]);
    expect(a.equals(b)).toBe(true);
    expect(a.length).toBeLessThan(550_000);
  });

  it.each(['docker-archive', 'oci-archive'])(
    'has what is brought twice at once only once: %s',
    async (kind) => {
      // Their manifests alone differ, as those of a layout may: all is shared, and nobody is told what is missing.
      const { image, blobs } = await testImage({ store: 'containerd' });
      const { layers: _, ...silent } = image;
      const manifest = JSON.parse(String(blobs.at(-1)?.bytes)) as object;
      const images = Array.from({ length: 8 }, (_, at): MemoryImage => {
        const bytes = Buffer.from(JSON.stringify({ ...manifest, annotations: { at: `${at}` } }));
        const digest = digestOf(bytes);
        const names = [{ source: `web:${at}`, target: `web:${at}` }];
        return {
          image: { ...silent, id: digest, root: { ...image.root, digest, size: bytes.length }, names },
          blobs: [...blobs.slice(0, -1), { kind: 'manifest', digest, bytes }],
        };
      });
      const place = `${kind}:${at('x.tar')}`;
      {
        await using sink = await sinkAt(place);
        expect((await into(new MemorySource(images), sink)).exit).toBe(0);
      }
      const [archive] = await open(place);
      expect(archive?.images.map((one) => one.image.id)).toEqual(images.map((one) => one.image.id));
      await archive?.[Symbol.asyncDispose]();
    },
  );

  it('is a single member of gzip', async () => {
    await using sink = await sinkAt(`docker-archive:${at('x.tar.gz')}`);
    await into(new MemorySource([web]), sink);
    const tar = gunzipSync(await readFile(at('x.tar.gz')));
    expect(tar.length % 512).toBe(0);
  });

  it('leaves nothing where all images fail', async () => {
    {
      await using sink = await sinkAt(`docker-archive:${at('x.tar')}`);
      expect((await into(new AlteringSource([web]), sink)).exit).toBe(13);
    }
    const left = (await readdir(scratch.path)).filter((name) => name.includes(`${tests}-x.tar`));
    expect(left).toEqual([]);
  });
});

describe.each(['docker-archive', 'oci-archive', 'oci'])('%s', (kind) => {
  it('takes a layer that two bring at once, and keeps it for the image that has come', async () => {
    const layer = web.blobs[0];
    if (!layer) throw new Error('an image without layers');
    const text = `${kind}:${at('x')}`;
    {
      await using sink = await sinkAt(text);
      // Each in a plan of its own, as if nothing else were coming.
      const writer = async ({ image }: MemoryImage): Promise<ImageWriter> =>
        ((await sink.plan([image]))[0] as Planned).open(signal);
      const [first, second] = [await writer(web), await writer(db)];
      const body = (bytes: Buffer) => Readable.from([bytes]);
      const write = (writer: ImageWriter, { kind, digest, bytes }: MemoryImage['blobs'][number]) =>
        writer.write({ kind, digest, size: bytes.length, body: body(bytes) });
      await Promise.all([write(first, layer), write(second, layer)]);
      for (const blob of web.blobs.slice(1)) await write(first, blob);
      await first.commit();
      await second.abort(new ImgmvError('integrity', 'the other one breaks off'));
      await sink.finish?.();
    }
    const [archive] = await open(text);
    expect(archive?.images.map(({ image }) => image.names[0]?.target)).toEqual(['web:1.0']);
    await archive?.[Symbol.asyncDispose]();
  });
});

it.each([false, true])(
  'a layout keeps its names for --no-replace, image there before: %s',
  async (present) => {
    const place: ArchiveEndpoint = { kind: 'oci', path: at('x') };
    const other = await testImage({ name: 'other:1' });
    const write = { overwrite: false, ignoreSpace: false, stdout: async () => {}, signal };
    {
      await using sink = await openSink(place, { ...write, noReplace: true });
      expect((await into(new MemorySource(present ? [web, other] : [web]), sink)).exit).toBe(0);
    }
    const renamed = { ...other, image: { ...other.image, names: web.image.names } };
    await using sink = await openSink(place, { ...write, noReplace: true });
    const { exit, outcomes } = await into(new MemorySource([renamed, db]), sink);
    expect(outcomes.map(({ status }) => status)).toEqual(['refused', 'loaded']);
    expect(outcomes[0]?.error).toMatchObject({
      code: 'refused',
      message: `web:1.0 is ${web.image.id} here, and --no-replace was given`,
    });
    expect(exit).toBe(17);
    await using again = await openSink(place, { ...write, noReplace: true });
    expect((await into(new MemorySource([web]), again)).outcomes[0]?.status).toBe('present');
  },
);

describe('a source', () => {
  it.each([
    ['is cut short', (file: string) => truncate(file, 100_000)],
    [
      'gets other bytes',
      async (file: string) => writeFile(file, Buffer.alloc((await readFile(file)).length)),
    ],
  ])('fails where its file %s after it was checked', async (_how, change) => {
    await writeFile(at('x.tar'), classicTar(web));
    const archives = await open(`docker-archive:${at('x.tar')}`);
    await using source = await checkedSource(archives, signal);
    await change(at('x.tar'));
    const { outcomes } = await into(source, new MemorySink());
    expect(outcomes[0]?.error).toMatchObject({
      code: 'integrity',
      message: expect.stringMatching(/x\.tar has changed since it was checked/),
    });
  });

  it('gives the layers that are wanted, and no others', async () => {
    for (const file of ['x.tar', 'x.tar.zst']) {
      const place = `docker-archive:${at(file)}`;
      await using sink = await sinkAt(place);
      await into(new MemorySource([web, db]), sink);
      const archives = await open(place);
      await using source = await checkedSource(archives, signal, [{ id: db.image.id, names: [] }]);
      const [image] = await source.images();
      if (!image) throw new Error('no image');
      const seen: string[] = [];
      for await (const { digest } of image.blobs(db.image.diffIds.slice(1), signal)) seen.push(digest ?? '');
      expect(seen).toEqual([db.image.diffIds[1], db.image.id]);
    }
  });

  it('is asked by name, id and beginning of an id', async () => {
    await writeFile(at('x.tar'), classicTar(web));
    const archives = await open(`docker-archive:${at('x.tar')}`);
    const catalogue = new ArchiveCatalogue(archives);
    for (const name of ['web:1.0', 'docker.io/library/web:1.0'])
      expect(await catalogue.find(name)).toEqual([{ id: web.image.id, names: ['web:1.0'] }]);
    for (const id of [web.image.id, web.image.id.slice(7, 19)])
      expect(await catalogue.find(id)).toEqual([{ id: web.image.id, names: [] }]);
    expect(await catalogue.find('web')).toEqual([]);
    for (const archive of archives) await archive[Symbol.asyncDispose]();
  });

  it('that joins others has each image once, with the names of both', async () => {
    const again = await testImage({
      name: 'web:1.0',
      layers: [{ base: { bytes: 500_000, seed: 1 } }, { web: 'web' }],
    });
    const renamed = { ...again, image: { ...again.image, names: [{ source: 'x:1', target: 'x:1' }] } };
    await using source = new JoinedSource([new MemorySource([web]), new MemorySource([renamed, db])]);
    const sink = new MemorySink();
    expect((await into(source, sink)).exit).toBe(0);
    expect([...sink.names]).toEqual([
      ['web:1.0', web.image.id],
      ['x:1', web.image.id],
      ['db:16', db.image.id],
    ]);
  });
});

it('a stop is heard while an archive is read', async () => {
  await writeFile(at('x.tar'), classicTar(web));
  const reason = new ImgmvError('sigint', 'stopped by the test');
  const stopped = AbortSignal.abort(reason);
  const stdin = new Readable({ read() {} });
  for (const file of [at('x.tar'), '-'])
    await expect(openArchives(place(`docker-archive:${file}`), { signal: stopped, stdin })).rejects.toThrow(
      reason,
    );
});

it('keeps a name in a layout, however it is spelled', async () => {
  const put = async (name: string, seed: string) => {
    const image = await testImage({
      names: [{ source: 'x:1', target: name }],
      layers: [{ a: seed }],
      store: 'containerd',
    });
    await using sink = await openSink(place(`oci:${at('layout')}`), {
      overwrite: false,
      noReplace: true,
      ignoreSpace: true,
      stdout: async () => {},
      signal,
    });
    return (await into(new MemorySource([image]), sink)).outcomes[0]?.status;
  };
  expect(await put('web:1.0', 'one')).toBe('loaded');
  for (const name of ['web:1.0', 'docker.io/library/web:1.0']) expect(await put(name, name)).toBe('refused');
});
