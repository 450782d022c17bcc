/** An OCI layout, or a `dir:`, that somebody else has made: no link in it leads anywhere, and nothing in it is waited for. */

import { cp, mkdir, readdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ArchiveEndpoint } from '../../../../agent/archive/endpoint.ts';
import { OciStore } from '../../../../agent/archive/oci-layout/oci-store.ts';
import { openArchives } from '../../../../agent/archive/open-archives.ts';
import { openSink } from '../../../../agent/archive/open-store.ts';
import { parseEndpoint } from '../../../../agent/ends/endpoint.ts';
import type { Settled } from '../../../../agent/move/ledger.ts';
import { move } from '../../../../agent/move/move.ts';
import { type MemoryImage, MemorySource, testImage } from '../../../memory.ts';
import { run } from '../../../rig/command.ts';
import { makeDevice, makesDevices } from '../../../rig/devices.ts';
import { type ScratchDirectory, scratchDirectory } from '../../../rig/scratch.ts';

const { signal } = new AbortController();
let scratch: ScratchDirectory;
let web: MemoryImage;
let other: MemoryImage;
let folder: string;
let tests = 0;

beforeAll(async () => {
  scratch = await scratchDirectory();
  web = await testImage({ store: 'containerd' });
  other = await testImage({ name: 'other:1', store: 'containerd' });
  for (const kind of ['oci', 'dir']) await write(`${kind}:${join(scratch.path, kind)}`, web);
});
beforeEach(async () => {
  folder = join(scratch.path, `${++tests}`);
  await mkdir(join(folder, 'elsewhere'), { recursive: true });
  for (const kind of ['oci', 'dir'])
    await cp(join(scratch.path, kind), join(folder, kind), { recursive: true });
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

const at = (name: string) => join(folder, name);
const place = (text: string) => parseEndpoint(text) as ArchiveEndpoint;

async function write(text: string, image: MemoryImage): Promise<Settled> {
  const options = { overwrite: false, noReplace: false, ignoreSpace: true, stdout: async () => {}, signal };
  await using sink = await openSink(place(text), options);
  const how = { signal, emit: () => {}, wireBytes: () => 0, jobs: 1, retries: 0 };
  return await move(new MemorySource([image]), sink, how);
}

async function read(text: string): Promise<void> {
  const archives = await openArchives(place(text), { signal, stdin: Readable.from([]) });
  for (const archive of archives) await archive[Symbol.asyncDispose]();
}

const refused = (path: string, kind: string) => ({
  code: 'integrity',
  message: expect.stringContaining(`${JSON.stringify(at(path))} is not a ${kind}`),
});

/** Moves it out of the layout, and puts a link to it there: who follows links sees no difference. */
async function linkTo(path: string): Promise<void> {
  await rename(at(path), at('elsewhere/moved'));
  await symlink(at('elsewhere/moved'), at(path));
}

const blob = () => `oci/blobs/sha256/${web.image.id.slice(7)}`;

describe.each<readonly [string, () => string, string]>([
  ['blobs', () => 'oci/blobs', 'directory'],
  ['blobs/sha256', () => 'oci/blobs/sha256', 'directory'],
  ['a blob', blob, 'regular file'],
  ['index.json', () => 'oci/index.json', 'regular file'],
  ['oci-layout', () => 'oci/oci-layout', 'regular file'],
])('a link in place of %s', (_what, path, kind) => {
  it('is not followed by a source', async () => {
    await linkTo(path());
    await expect(read(`oci:${at('oci')}`)).rejects.toMatchObject(refused(path(), kind));
  });

  it('is not followed by a destination, which writes nothing', async () => {
    await linkTo(path());
    const before = await readdir(folder, { recursive: true });
    await expect(write(`oci:${at('oci')}`, other)).rejects.toMatchObject(refused(path(), kind));
    expect(await readdir(folder, { recursive: true })).toEqual(before);
  });
});

it('a link in place of blobs in a layout that has no image yet is not followed', async () => {
  await rm(at('oci/blobs'), { recursive: true });
  await writeFile(at('oci/index.json'), '{"schemaVersion":2,"manifests":[]}');
  await symlink(at('elsewhere'), at('oci/blobs'));
  await expect(write(`oci:${at('oci')}`, other)).rejects.toMatchObject(refused('oci/blobs', 'directory'));
  expect(await readdir(at('elsewhere'))).toEqual([]);
});

it('a link that takes the place of blobs while images are written gets none of them', async () => {
  await using store = await OciStore.open(at('oci'), signal);
  const [, layer, next] = other.blobs;
  if (!layer || !next) throw new Error('an image without layers');
  await store.put(layer.digest, layer.bytes.length, Readable.from([layer.bytes]));
  await rename(at('oci/blobs'), at('oci/before'));
  await symlink(at('elsewhere'), at('oci/blobs'));
  await store.put(next.digest, next.bytes.length, Readable.from([next.bytes]));
  expect(await readdir(at('elsewhere'))).toEqual([]);
});

it.each(['manifest.json', 'version'])('a link in place of %s of a dir: is not followed', async (name) => {
  const path = name === 'version' ? `dir/${web.image.diffIds[0]?.slice(7)}` : `dir/${name}`;
  await linkTo(path);
  await expect(read(`dir:${at('dir')}`)).rejects.toMatchObject(refused(path, 'regular file'));
});

const OTHERS: readonly (readonly [string, (path: string) => Promise<unknown>])[] = [
  ['a fifo', (path) => run(['mkfifo', path])],
  ['a link to /dev/zero', (path) => symlink('/dev/zero', path)],
  ['a directory', (path) => mkdir(path)],
  ...((await makesDevices()) ? [['/dev/zero itself', (path: string) => makeDevice(path, 5)] as const] : []),
];

describe.each(OTHERS)('%s in place of index.json', (_what, make) => {
  it('is refused at once', async () => {
    await rm(at('oci/index.json'));
    await make(at('oci/index.json'));
    const refusal = refused('oci/index.json', 'regular file');
    await expect(OciStore.isThere(at('oci'))).rejects.toMatchObject(refusal);
    await expect(write(`oci:${at('oci')}`, other)).rejects.toMatchObject(refusal);
    await expect(read(`oci:${at('oci')}`)).rejects.toMatchObject(refusal);
  });
});

it('an index.json without an end is refused before it is read', async () => {
  await truncate(at('oci/index.json'), 2 ** 40);
  const refusal = { code: 'integrity', message: expect.stringContaining('has more than 4194304 bytes') };
  await expect(OciStore.isThere(at('oci'))).rejects.toMatchObject(refusal);
  await expect(write(`oci:${at('oci')}`, other)).rejects.toMatchObject(refusal);
});

it('an index.json does not grow beyond what is read again', async () => {
  const index = JSON.parse(await readFile(at('oci/index.json'), 'utf8')) as { manifests: object[] };
  const filled = JSON.stringify({ ...index, x: 'x'.repeat(4 * 2 ** 20 - 500) });
  await writeFile(at('oci/index.json'), filled);
  const { outcomes } = await write(`oci:${at('oci')}`, other);
  expect(outcomes[0]?.error).toMatchObject({
    code: 'refused',
    hint: expect.stringMatching(/another layout/),
  });
  expect(await readFile(at('oci/index.json'), 'utf8')).toBe(filled);
  await read(`oci:${at('oci')}`);
});

it('a link to the layout itself is followed: whoever runs this has named it', async () => {
  await symlink(at('oci'), at('link'));
  expect((await write(`oci:${at('link')}`, other)).exit).toBe(0);
  await read(`oci:${at('link')}`);
  expect(await readdir(at('oci/blobs/sha256'))).toHaveLength(7);
});
