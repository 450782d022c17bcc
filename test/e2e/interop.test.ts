/** What skopeo and podman write is read, and what imgmv writes they take. Debian's, as they come. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ArchiveCatalogue } from '../../agent/archive/archive-catalogue.ts';
import type { ArchiveSource } from '../../agent/archive/archive-source.ts';
import type { ArchiveEndpoint } from '../../agent/archive/endpoint.ts';
import { openArchives } from '../../agent/archive/open-archives.ts';
import { openSink } from '../../agent/archive/open-store.ts';
import { parseEndpoint } from '../../agent/ends/endpoint.ts';
import type { Image } from '../../agent/model/image.ts';
import type { Source } from '../../agent/model/source.ts';
import { move } from '../../agent/move/move.ts';
import { digestOf, manifestFor } from '../../agent/oci/metadata.ts';
import { checkedSource } from '../checked-source.ts';
import { blob, json, rawTar } from '../hostile/raw-tar.ts';
import { type MemoryImage, MemorySource, testImage } from '../memory.ts';
import { run } from '../rig/command.ts';
import { requireRoot } from '../rig/root.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { requirePrograms, supportOf } from '../rig/support.ts';

const { signal } = new AbortController();
const MIB = 2 ** 20;
let scratch: ScratchDirectory;
let web: MemoryImage;

beforeAll(async () => {
  scratch = await scratchDirectory();
  const made = await testImage({
    name: 'team/web:1.0',
    layers: [{ a: 'a' }, { b: { bytes: MIB, seed: 1 } }, { a: 'a' }],
  });
  const seen = new Set<string>();
  // A source gives each blob once.
  web = { ...made, blobs: made.blobs.filter(({ digest }) => !seen.has(digest) && seen.add(digest)) };
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

const at = (name: string) => join(scratch.path, name);

describeOn('skopeo', [await supportOf(() => requirePrograms('skopeo'))], () => {
  const skopeo = (...args: string[]) => run(['skopeo', '--insecure-policy', 'copy', '--quiet', ...args]);
  const NAME = 'docker.io/team/web:1.0';

  // Debian's 1.9.3 reads no docker-archive that is compressed with gzip, its own neither.
  it.each([
    ['docker-archive:ours.tar', ':team/web:1.0'],
    ['docker-archive:ours.tar.zst', ':team/web:1.0'],
    ['oci-archive:ours-oci.tar', `:${NAME}`],
    ['oci-archive:ours-oci.tar.gz', `:${NAME}`],
    ['oci-archive:ours-oci.tar.zst', `:${NAME}`],
    ['oci:ours', `:${NAME}`],
    ['dir:ours-dir', ''],
  ])('takes %s of ours', async (place, name) => {
    const endpoint = placed(place);
    await write(endpoint, new MemorySource([web]));
    const back = `oci:${at(`back-of-${endpoint.kind}-${endpoint.path.length}`)}`;
    await skopeo(`${endpoint.kind}:${endpoint.path}${name}`, back);
    const [image] = await read(parseEndpoint(back) as ArchiveEndpoint);
    expect(image?.diffIds).toEqual(web.image.diffIds);
    // skopeo makes another config on the way from docker's format to that of OCI.
    if (endpoint.kind !== 'docker-archive') expect(image?.config).toBe(web.image.config);
  });

  it('takes layers that are compressed', async () => {
    const compressed = placed('docker-archive:compressed.tar');
    await using source = await gzipSource();
    await write(compressed, source);
    await skopeo(`docker-archive:${compressed.path}`, `oci:${at('back-of-compressed')}`);
    const [image] = await read(parseEndpoint(`oci:${at('back-of-compressed')}`) as ArchiveEndpoint);
    expect(image?.diffIds).toEqual(web.image.diffIds);
  });

  it.each([
    ['docker-archive:theirs.tar', ':team/web:1.0', ['team/web:1.0']],
    ['oci-archive:theirs-oci.tar', `:${NAME}`, ['team/web:1.0']],
    ['oci:theirs', ':1.0', []],
    ['dir:theirs-dir', '', []],
  ])('writes %s, which we read', async (place, name, names) => {
    const ours = placed('docker-archive:for-theirs.tar');
    await write(ours, new MemorySource([web]), true);
    const endpoint = placed(place);
    await skopeo(`docker-archive:${ours.path}`, `${endpoint.kind}:${endpoint.path}${name}`);
    const found = await read(endpoint);
    expect(found).toMatchObject([{ diffIds: web.image.diffIds }]);
    expect(found[0]?.names.map(({ target }) => target)).toEqual(names);
    const tag = name.startsWith(':1') ? { reference: '1.0' } : {};
    expect(await read({ ...endpoint, ...tag })).toHaveLength(1);
  });
});

const podmanSupport = await supportOf(async () => {
  requireRoot();
  await requirePrograms('podman');
});

describeOn('podman', [podmanSupport], () => {
  const podman = (...args: string[]) =>
    run([
      'podman',
      `--root=${at('podman')}`,
      `--runroot=${at('podman-run')}`,
      '--storage-driver=vfs',
      ...args,
    ]);
  beforeAll(() => mkdir(at('podman'), { recursive: true }));

  it.each([
    ['docker-archive:podman.tar', 'docker.io/team/web:1.0'],
    ['docker-archive:podman.tar.zst', 'docker.io/team/web:1.0'],
    ['oci-archive:podman-oci.tar', 'docker.io/team/web:1.0'],
  ])('loads %s of ours', async (place, name) => {
    const endpoint = placed(place);
    await write(endpoint, new MemorySource([web]));
    expect(await podman('load', '--quiet', '--input', endpoint.path)).toContain(`Loaded image: ${name}`);
    expect(`sha256:${(await podman('image', 'inspect', '--format', '{{.Id}}', name)).trim()}`).toBe(
      web.image.config,
    );
    await podman('image', 'rm', name);
  });

  it.each([
    ['docker-archive', 'docker-archive:saved.tar'],
    ['oci-archive', 'oci-archive:saved-oci.tar'],
    ['oci-dir', 'oci:saved'],
    ['docker-dir', 'dir:saved-dir'],
  ])('saves as %s what we read', async (format, place) => {
    const ours = placed('docker-archive:for-podman.tar');
    await write(ours, new MemorySource([web]), true);
    await podman('load', '--quiet', '--input', ours.path);
    const endpoint = placed(place);
    await podman('save', '--quiet', '--format', format, '--output', endpoint.path, 'docker.io/team/web:1.0');
    expect(await read(endpoint)).toMatchObject([{ diffIds: web.image.diffIds }]);
  });
});

/** `place` with its path in the scratch directory. */
function placed(place: string): ArchiveEndpoint {
  const [kind, path = ''] = place.split(':');
  return parseEndpoint(`${kind}:${at(path)}`) as ArchiveEndpoint;
}

async function write(endpoint: ArchiveEndpoint, source: Source, overwrite = false): Promise<void> {
  const options = { overwrite, noReplace: false, ignoreSpace: false, stdout: async () => {}, signal };
  await using sink = await openSink(endpoint, options);
  const { outcomes } = await move(source, sink, {
    signal,
    emit: () => {},
    wireBytes: () => 0,
    jobs: 2,
    retries: 0,
  });
  for (const { error } of outcomes) if (error) throw error;
}

async function read(endpoint: ArchiveEndpoint): Promise<readonly Image[]> {
  const archives = await openArchives(endpoint, { signal, stdin: Readable.from([]) });
  const { reference } = endpoint;
  const meant = reference === undefined ? undefined : await new ArchiveCatalogue(archives).find(reference);
  await using source = await checkedSource(
    archives,
    signal,
    meant?.map(({ id, names }) => ({ id, names: names.map((name) => ({ source: name, target: name })) })),
  );
  return (await source.images()).map(({ image }) => image);
}

/** The same image, as a containerd store has it that pulled it. */
async function gzipSource(): Promise<ArchiveSource> {
  const config = web.blobs.find(({ kind }) => kind === 'config')?.bytes ?? Buffer.alloc(0);
  const compressed = new Map(
    web.blobs.filter(({ kind }) => kind === 'layer').map(({ digest, bytes }) => [digest, gzipSync(bytes)]),
  );
  const layers = web.image.diffIds.map((diffId) => compressed.get(diffId) ?? Buffer.alloc(0));
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip';
  const manifest = manifestFor(
    config,
    layers.map((bytes) => ({ digest: digestOf(bytes), size: bytes.length, mediaType })),
  );
  const root = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: digestOf(manifest),
    size: manifest.length,
  };
  await writeFile(
    at('gzip.tar'),
    rawTar(
      ...[config, manifest, ...compressed.values()].map(blob),
      json('oci-layout', { imageLayoutVersion: '1.0.0' }),
      json('index.json', { schemaVersion: 2, manifests: [root] }),
    ),
  );
  const archives = await openArchives(placed('oci-archive:gzip.tar'), { signal, stdin: Readable.from([]) });
  return checkedSource(archives, signal);
}
