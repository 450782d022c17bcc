/** Archives and layouts on disk as sources and sinks: what a sink has written is what a source reads. */

import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { EachSink } from '../../agent/archive/each-sink.ts';
import type { ArchiveEndpoint } from '../../agent/archive/endpoint.ts';
import { openArchives } from '../../agent/archive/open-archives.ts';
import { openSink, type WriteOptions } from '../../agent/archive/open-store.ts';
import type { Digest } from '../../agent/model/image.ts';
import type { Sink } from '../../agent/model/sink.ts';
import { move } from '../../agent/move/move.ts';
import type { MetadataBlob } from '../../agent/oci/graph.ts';
import { checkedSource } from '../checked-source.ts';
import { MemorySource } from '../memory.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { conformance } from './conformance.ts';

const { signal } = new AbortController();
const WRITE: WriteOptions = {
  overwrite: false,
  noReplace: false,
  ignoreSpace: false,
  stdout: () => Promise.reject(new Error('nothing goes to standard output')),
  signal,
};
const READ = {
  signal,
  stdin: Readable.from([]),
};
const FILES = [
  { kind: 'docker-archive', ending: '.tar' },
  { kind: 'docker-archive', ending: '.tar.gz' },
  { kind: 'docker-archive', ending: '.tar.zst' },
  { kind: 'oci-archive', ending: '.tar' },
  { kind: 'dir', ending: '' },
  { kind: 'oci', ending: '' },
] as const;

for (const store of ['classic', 'containerd'] as const) {
  for (const { kind, ending } of FILES) {
    // It holds a manifest, and nothing that says for what it was made.
    if (kind === 'dir' && store === 'classic') continue;
    conformance(`${kind}${ending}, ${store}`, async () => {
      const scratch = await scratchDirectory();
      let files = 0;
      /** A layout is one for all; an archive is another one for each sink. */
      const next = () => (kind === 'oci' ? 'layout' : `${++files}${ending}`);
      const at = (name: string): ArchiveEndpoint => ({ kind, path: join(scratch.path, name) });
      return {
        store,
        atomic: kind !== 'oci',
        lasting: kind === 'oci',
        several: kind !== 'dir',
        source: async (images) => {
          const endpoint = at(`source-${++files}${ending}`);
          {
            await using sink = await openSink(endpoint, WRITE);
            await move(new MemorySource(images), sink, MOVE);
          }
          const archives = await openArchives(endpoint, READ);
          const [only] = images;
          // A dir: does not know names.
          if (kind === 'dir' && only) return checkedSource(archives, signal, [only.image]);
          return checkedSource(archives, signal);
        },
        sink: () => openSink(at(next()), WRITE),
        held: async () => {
          const files = (await readdir(scratch.path)).filter((name) => !/^[.]|source/.test(name));
          const names = kind === 'oci' ? await layouts(scratch.path, files) : files;
          return Object.assign({}, ...(await Promise.all(names.map((name) => heldBy(at(name)))))) as Record<
            string,
            Digest
          >;
        },
        [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose](),
      };
    });
  }

  conformance(`one archive per image, ${store}`, async () => {
    const scratch = await scratchDirectory();
    let directories = 0;
    const endpoint = (path: string): ArchiveEndpoint => ({ kind: 'docker-archive', path });
    return {
      store,
      lasting: false,
      sharing: false,
      source: async (images) => {
        const path = join(scratch.path, `source-${++directories}`);
        await using sink: Sink = new EachSink(await made(path), 'tar.zst', WRITE);
        await move(new MemorySource(images), sink, MOVE);
        const archives = await openArchives(endpoint(path), READ);
        return checkedSource(archives, signal);
      },
      sink: async () => new EachSink(await made(join(scratch.path, `${++directories}`)), 'tar', WRITE),
      held: async () => {
        const names = (await readdir(scratch.path)).filter((name) => !name.startsWith('source'));
        const found = await Promise.all(
          names.map(async (name) =>
            (await readdir(join(scratch.path, name))).some((file) => !file.startsWith('.'))
              ? heldBy(endpoint(join(scratch.path, name)))
              : {},
          ),
        );
        return Object.assign({}, ...found) as Record<string, Digest>;
      },
      [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose](),
    };
  });
}

/** A directory is no layout before there is an image in it. */
async function layouts(path: string, names: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(names.map((name) => readdir(join(path, name))));
  return names.filter((_, at) => found[at]?.includes('oci-layout'));
}

const MOVE = { signal, emit: () => {}, wireBytes: () => 0, jobs: 2, retries: 0 };

async function made(path: string): Promise<string> {
  await mkdir(path);
  return path;
}

/** Of the name that test images carry inside; `web:1.0` is that of all that have none else. */
function labelOf(metadata: readonly MetadataBlob[]): string | undefined {
  const config = metadata.find(({ kind }) => kind === 'config')?.bytes.toString() ?? '';
  const { name } = (JSON.parse(config) as { config: { Labels: { name: string } } }).config.Labels;
  return name === 'web:1.0' ? undefined : name;
}

/** Those without a name under `<none>` and their ids. */
async function heldBy(endpoint: ArchiveEndpoint): Promise<Record<string, Digest>> {
  const archives = await openArchives(endpoint, READ);
  try {
    return Object.fromEntries(
      archives.flatMap(({ images }) =>
        images.flatMap(({ image, metadata }) =>
          endpoint.kind === 'dir'
            ? [[labelOf(metadata) ?? `<none> ${image.id}`, image.id] as const]
            : image.names.length > 0
              ? image.names.map(({ target }) => [target, image.id] as const)
              : [[`<none> ${image.id}`, image.id] as const],
        ),
      ),
    );
  } finally {
    for (const archive of archives) await archive[Symbol.asyncDispose]();
  }
}
