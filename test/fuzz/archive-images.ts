/**
 * Images of archives, by the documents that describe them and by the tar that holds them. What is read is what its
 * bytes are, and is the same when it is written and read again; all else is refused. docs/archives.md.
 */
import { mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { Archive } from '../../agent/archive/archive.ts';
import type { ArchiveSource } from '../../agent/archive/archive-source.ts';
import { BlobSink } from '../../agent/archive/blob-sink.ts';
import type { ArchiveEndpoint } from '../../agent/archive/endpoint.ts';
import { openArchives } from '../../agent/archive/open-archives.ts';
import { StreamOutput } from '../../agent/archive/output.ts';
import { TarStore } from '../../agent/archive/tar/tar-store.ts';
import type { Digest } from '../../agent/model/image.ts';
import { familiar, parseReference } from '../../agent/model/reference.ts';
import { move } from '../../agent/move/move.ts';
import { digestOf } from '../../agent/oci/metadata.ts';
import { compressionOf, inflated } from '../../agent/streams/compression.ts';
import type { ErrorCode } from '../../proto/errors.ts';
import { checkedSource } from '../checked-source.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import {
  collected,
  filesOf,
  goodSpec,
  heldBy,
  isHonest,
  type LayoutSpec,
  layoutSpec,
} from './archive-layouts.ts';
import { readByAnother } from './archive-tar.ts';
import { cut, cuts, mutated } from './bytes.ts';
import { decodedLater, holds } from './refusal.ts';
import { file, lies, prelude, type TarEntry, tar } from './tar.ts';
import { target } from './target.ts';
import { storedFrames } from './zstd-frames.ts';

const MIB = 1024 * 1024;
const MESSAGE_MAX_CHARACTERS = 2_000;

/** Removed when the process ends, or by the next one. */
const { path: scratch } = await scratchDirectory();
const spools = join(scratch, 'tmp');
mkdirSync(spools);

const { signal } = new AbortController();

/** What an archive from anywhere may be refused with: what is wrong is in it. */
const REFUSALS: readonly ErrorCode[] = ['integrity', 'image-not-found'];

/** Opens it, checks each image against the digests of `heldOf`, and writes and reads it once more. All of it is closed behind that. */
async function holdsForArchive(
  endpoint: ArchiveEndpoint,
  stdin: () => AsyncIterable<Buffer>,
  heldOf: () => Promise<ReadonlySet<string> | undefined>,
): Promise<readonly Digest[] | undefined> {
  const before = openFiles();
  const temporary = process.env.TMPDIR;
  process.env.TMPDIR = spools;
  try {
    return await read(endpoint, stdin, heldOf);
  } finally {
    if (temporary === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = temporary;
    holds(openFiles() === before, `no file stays open:\n${openFiles()}\n${before}`);
    holds(readdirSync(spools).length === 0, 'no file is left');
  }
}

/** Those below our directory. */
function openFiles(): string {
  const open = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return [];
    }
  });
  return open.filter((path) => path.startsWith(scratch)).join();
}

async function read(
  endpoint: ArchiveEndpoint,
  stdin: () => AsyncIterable<Buffer>,
  heldOf: () => Promise<ReadonlySet<string> | undefined>,
): Promise<readonly Digest[] | undefined> {
  const archives = await briefly(() => openArchives(endpoint, { stdin: stdin(), signal }));
  if (!archives) return undefined;
  await using all = new Closing(archives);
  const held = await heldOf();
  const source = await briefly(() => checkedSource(archives, signal));
  if (!source) return undefined;
  const found = await source.images();
  const images = found.map(({ image }) => image);
  if (images.length === 0) return holdsNothing(all.archives);
  for (const { image, blobs } of found) {
    const { diffIds, id, layers = [], names, root } = image;
    const came = new Map<string, string>();
    for await (const blob of blobs(undefined, signal)) {
      const bytes = await collected(blob.body);
      holds(blob.digest === digestOf(bytes) && blob.size === bytes.length, 'a blob is what its digest says');
      holds(held?.has(digestOf(bytes)) ?? true, `a blob is out of the archive: ${blob.kind} ${blob.digest}`);
      holds(!came.has(digestOf(bytes)), 'a blob comes once');
      came.set(digestOf(bytes), blob.kind);
    }
    holds(came.has(root.digest) && [root.digest, image.config].includes(id), 'an image begins with its root');
    for (const { digest } of layers) holds(came.get(digest) === 'layer', 'its layers are there');
    for (const diffId of diffIds)
      holds(held?.has(diffId) ?? true, 'what is in its layers is what its config says');
    for (const { target: name } of names) {
      const parsed = parseReference(name);
      holds(parsed !== undefined && familiar(parsed) === name, 'a name is a name');
    }
  }
  await holdsAgain(
    source,
    images.map(({ id }) => id),
  );
  return images.map(({ id }) => id);
}

function holdsNothing(archives: readonly Archive[]): undefined {
  holds(
    archives.every(({ images }) => images.length === 0),
    'what has images gives images',
  );
  return undefined;
}

class Closing implements AsyncDisposable {
  readonly archives: readonly Archive[];

  constructor(archives: readonly Archive[]) {
    this.archives = archives;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const archive of this.archives) await archive[Symbol.asyncDispose]();
  }
}

/** What is refused is refused in few words, however long what is wrong with it is. */
async function briefly<T>(run: () => Promise<T>): Promise<T | undefined> {
  return decodedLater(REFUSALS, async () => {
    try {
      return await run();
    } catch (error) {
      const { length } = (error as Error).message;
      holds(length <= MESSAGE_MAX_CHARACTERS, `a message of ${length} characters is no message`);
      throw error;
    }
  });
}

/** Written into a new archive, images are read again under the ids that they had. */
async function holdsAgain(source: ArchiveSource, ids: readonly Digest[]): Promise<void> {
  for (const kind of ['docker-archive', 'oci-archive'] as const) {
    const written: Uint8Array[] = [];
    const output = new StreamOutput(async (chunk) => void written.push(Uint8Array.from(chunk)), signal);
    await using sink = new BlobSink(new TarStore(output, kind, 'none'), {
      ignoreSpace: true,
      noReplace: false,
    });
    const { outcomes } = await move(source, sink, {
      signal,
      emit: () => {},
      wireBytes: () => 0,
      jobs: 1,
      retries: 0,
    });
    for (const { error, image, status } of outcomes)
      if (status !== 'loaded') {
        const clash = error?.code === 'refused' && /would also be the name of/.test(error.message);
        holds(
          status === 'refused' && clash,
          `what is read is written: ${image.id} ${status}, ${error?.code} ${error?.message}`,
        );
      }
    const loaded = outcomes.filter(({ status }) => status === 'loaded').map(({ image }) => image.id);
    holds(outcomes.length === ids.length, 'all images have an end');
    if (loaded.length === 0) return;
    const archives = await openArchives(
      { kind, path: '-' },
      { stdin: Readable.from([Buffer.concat(written)]), signal },
    );
    await using all = new Closing(archives);
    const again = all.archives.flatMap(({ images }) => images.map(({ image }) => image.id));
    holds(again.join() === loaded.join(), `ids stay: ${again}, want ${loaded}`);
  }
}

/** Documents that lie, in a tar that is good, or in a directory. */
const documents = target<LayoutSpec & { stdin: boolean }>({
  name: 'archive/documents',
  share: 2,
  input: fc.tuple(layoutSpec, fc.nat(3)).map(([spec, n]) => ({ ...spec, stdin: n === 0 })),
  allowance: () => 64 * MIB,
  check: async (spec) => {
    const files = filesOf(spec);
    const place = join(scratch, 'x');
    const honest = isHonest(spec);
    try {
      if (spec.shape === 'dir' || (spec.shape === 'oci' && !spec.stdin)) {
        for (const [name, bytes] of files) {
          mkdirSync(dirname(join(place, name)), { recursive: true });
          writeFileSync(join(place, name), bytes);
        }
        mkdirSync(place, { recursive: true });
        const ids = await holdsForArchive(
          { kind: spec.shape, path: place },
          () => Readable.from([]),
          async () => heldBy(files),
        );
        return holds(!honest || ids !== undefined, 'what is good is read');
      }
      const bytes = tar(files.filter(([name]) => name.length <= 100).map(([name, body]) => file(name, body)));
      writeFileSync(place, bytes);
      const kind = spec.shape === 'oci' ? 'oci-archive' : 'docker-archive';
      const path = spec.stdin ? '-' : place;
      const ids = await holdsForArchive(
        { kind, path },
        () => Readable.from(cut(bytes, [5_000])),
        async () => heldBy(files),
      );
      holds(!honest || ids !== undefined, 'what is good is read');
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  },
});

/** Good documents in a tar that lies, and may be compressed. */
interface Whole {
  readonly bytes: Buffer;
  readonly stdin: boolean;
  readonly cutAt: readonly number[];
  readonly honest: boolean;
}

type Lie = readonly [
  kind: number,
  at: number,
  lie: { readonly type: string; readonly size: number },
  before: TarEntry,
];

const wholes: fc.Arbitrary<Whole> = fc
  .record({
    spec: goodSpec,
    told: fc.array(fc.tuple(fc.nat(6), fc.nat(20), lies, prelude), { maxLength: 2 }),
    packed: fc.constantFrom<number>(0, 0, 1, 2),
    ends: fc.nat(9).map((n) => n > 0),
    stdin: fc.nat(2).map((n) => n === 0),
    cutAt: cuts,
  })
  .map(({ spec, told, packed, ends, stdin, cutAt }) => {
    const plain = tar(
      told.reduce(
        lied,
        filesOf(spec).map(([name, body]) => file(name, body)),
      ),
      ends,
    );
    const bytes =
      packed === 0
        ? plain
        : packed === 1
          ? gzipSync(plain, { level: 1 })
          : storedFrames(cut(plain, [100_000]));
    return { bytes, stdin, cutAt, honest: told.length === 0 && ends };
  });

function lied(entries: readonly TarEntry[], [kind, at, lie, before]: Lie): readonly TarEntry[] {
  const all = [...entries];
  const where = at % Math.max(1, all.length);
  const entry = all[where] ?? file('x', Buffer.alloc(0));
  if (kind === 0) all.splice(where, 1);
  else if (kind === 1) all.push(...all.splice(where, 1));
  else if (kind === 2) all.push(entry);
  else if (kind === 3) all[where] = { ...entry, ...lie };
  else if (kind === 4) all[where] = { ...entry, type: '2', body: Buffer.alloc(0), link: all[0]?.name ?? '' };
  else if (kind === 5) all[where] = { ...entry, body: entry.body.subarray(0, at * 40) };
  else all.splice(where, 0, before);
  return all;
}

const tars = target<Whole>({
  name: 'archive/whole',
  share: 2,
  input: fc.oneof(
    { weight: 3, arbitrary: wholes },
    {
      weight: 1,
      arbitrary: wholes.chain((one) =>
        mutated(fc.constant(one.bytes)).map((bytes) => ({
          ...one,
          bytes,
          honest: one.honest && bytes.equals(one.bytes),
        })),
      ),
    },
  ),
  allowance: () => 64 * MIB,
  check: async ({ bytes, stdin, cutAt, honest }) => {
    const place = join(scratch, 'x');
    writeFileSync(place, bytes);
    try {
      const least = Math.ceil(bytes.length / PIECES_MAX);
      const pieces = cut(
        bytes,
        cutAt.map((length) => Math.max(length, least)),
      );
      const path = stdin ? '-' : place;
      const ids = await holdsForArchive(
        { kind: 'docker-archive', path },
        () => Readable.from(pieces),
        () => heldIn(bytes),
      );
      if (honest) holds(ids !== undefined, 'what is good is read');
    } finally {
      rmSync(place);
    }
  },
});

/** More take their time. */
const PIECES_MAX = 1_000;

/** Digests of what another reader finds in a tar; undefined where it finds none. It may wait for ever for bad ones. */
async function heldIn(bytes: Buffer): Promise<ReadonlySet<string> | undefined> {
  try {
    const compression = compressionOf(bytes);
    const plain = compression === 'none' ? bytes : await collected(inflated(compression, [bytes] as never));
    const files = await readByAnother(plain);
    return heldBy(files.map(({ name, body }) => [name, body]));
  } catch {
    return undefined;
  }
}

export const archiveImageTargets = [documents, tars];
