/** A layout that grows: of what is there already only what an image leans on is read, and that is compared with its name. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { ArchiveEndpoint } from '../../../../agent/archive/endpoint.ts';
import { openSink } from '../../../../agent/archive/open-store.ts';
import { parseEndpoint } from '../../../../agent/ends/endpoint.ts';
import { move } from '../../../../agent/move/move.ts';
import { digestOf } from '../../../../agent/oci/metadata.ts';
import { type MemoryImage, MemorySource, testImage } from '../../../memory.ts';
import { type ScratchDirectory, scratchDirectory } from '../../../rig/scratch.ts';

const { signal } = new AbortController();
const BASE = { etc: 'base' };

let scratch: ScratchDirectory;
let folder: string;
let tests = 0;
let base: MemoryImage;

beforeAll(async () => {
  scratch = await scratchDirectory();
  base = await testImage({ name: 'base:1', layers: [BASE], store: 'containerd' });
});
afterAll(() => scratch?.[Symbol.asyncDispose]());
beforeEach(async () => {
  folder = join(scratch.path, `${++tests}`);
  await write(base);
  // As a disk that fails leaves it: as long as it was.
  const layer = blobOf(base);
  await writeFile(join(folder, 'blobs/sha256', layer.digest.slice(7)), Buffer.alloc(layer.bytes.length));
});

function blobOf({ blobs }: MemoryImage) {
  const layer = blobs.find(({ kind }) => kind === 'layer');
  if (!layer) throw new Error('an image without layers');
  return layer;
}

async function write(image: MemoryImage): Promise<readonly string[]> {
  const place = parseEndpoint(`oci:${folder}`) as ArchiveEndpoint;
  const options = { overwrite: false, noReplace: false, ignoreSpace: true, stdout: async () => {}, signal };
  await using sink = await openSink(place, options);
  const how = { signal, emit: () => {}, wireBytes: () => 0, jobs: 1, retries: 0 };
  const { outcomes } = await move(new MemorySource([image]), sink, how);
  return outcomes.map(({ status }) => status);
}

it('an image that shares nothing is added beside a blob that is damaged', async () => {
  const alone = await testImage({ name: 'alone:1', layers: [{ srv: 'alone' }], store: 'containerd' });
  expect(await write(alone)).toEqual(['loaded']);
});

it('an image is added beside what is no image, whose line stays as it was', async () => {
  const [index, artifact] = ['index.json', 'blobs/sha256/'].map((name) => join(folder, name));
  const bytes = Buffer.from('{"schemaVersion":2,"mediaType":"application/vnd.example.nothing","layers":[]}');
  const digest = digestOf(bytes);
  await writeFile(`${artifact}${digest.slice(7)}`, bytes);
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const line = { mediaType, digest, size: bytes.length, artifactType: 'text/x', annotations: { x: 'y' } };
  const read = async () => JSON.parse(await readFile(index as string, 'utf8'));
  const before = await read();
  await writeFile(index as string, JSON.stringify({ ...before, manifests: [line, ...before.manifests] }));
  const alone = await testImage({ name: 'alone:1', layers: [{ srv: 'alone' }], store: 'containerd' });
  expect(await write(alone)).toEqual(['loaded']);
  const { manifests } = await read();
  expect(manifests).toHaveLength(3);
  expect(manifests[0]).toEqual(line);
});

it.each([
  [
    'has it for a layer',
    () => testImage({ name: 'app:1', layers: [BASE, { app: 'it' }], store: 'containerd' }),
  ],
  ['is there, and has it', () => Promise.resolve(base)],
])('an image that %s is not', async (_what, image) => {
  const before = await readdir(folder, { recursive: true });
  const digest = blobOf(base).digest.slice(7);
  await expect(write(await image())).rejects.toMatchObject({
    code: 'integrity',
    message: expect.stringMatching(new RegExp(`^the blob "blobs/sha256/${digest}" has the digest sha256:`)),
  });
  expect((await readdir(folder, { recursive: true })).sort()).toEqual(before.sort());
});
