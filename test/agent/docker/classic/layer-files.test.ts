/** A layer as a classic engine keeps it, made here: its tar, the memory of what is read, and files that are another's. */
import { createHash } from 'node:crypto';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LayerFiles } from '../../../../agent/docker/classic/direct/layer-files.ts';
import type { FoundLayer, Layout } from '../../../../agent/docker/classic/direct/layout.ts';
import { layoutOf } from '../../../../agent/docker/classic/direct/layouts.ts';
import { Odd } from '../../../../agent/docker/classic/direct/odd.ts';
import type { Digest } from '../../../../agent/model/image.ts';
import { randomBytes } from '../../../rig/layers.ts';
import { type ScratchDirectory, scratchDirectory } from '../../../rig/scratch.ts';

const MIB = 2 ** 20;
const FILE = randomBytes({ bytes: 3 * MIB, seed: 5 });
const HEAD = Buffer.from('what stands for a header');
const TAR = Buffer.concat([HEAD, FILE]);

const hex = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');

let scratch: ScratchDirectory;
let files: LayerFiles;
let layer: FoundLayer;
const at = (path: string) => join(scratch.path, path);

beforeEach(async () => {
  scratch = await scratchDirectory();
  const diffId: Digest = `sha256:${hex(TAR)}`;
  const config = '{}';
  const facts = `image/overlay2/layerdb/sha256/${hex(TAR)}`;
  for (const directory of [facts, 'image/overlay2/imagedb/content/sha256', 'overlay2/cache/diff/d'])
    await mkdir(at(directory), { recursive: true });
  await writeFile(at(`image/overlay2/imagedb/content/sha256/${hex(config)}`), config);
  for (const [name, text] of [
    ['diff', diffId],
    ['cache-id', 'cache'],
    ['size', `${FILE.length}`],
  ] as const)
    await writeFile(at(`${facts}/${name}`), text);
  const parts = [
    { type: 2, payload: HEAD.toString('base64') },
    { type: 1, name: 'd/file', size: FILE.length },
  ];
  const lines = parts.map((part) => `${JSON.stringify(part)}\n`).join('');
  await writeFile(at(`${facts}/tar-split.json.gz`), gzipSync(lines));
  await writeFile(at('overlay2/cache/diff/d/file'), FILE);
  files = new LayerFiles(scratch.path, layoutOf('docker', 'overlay2') as Layout);
  const found = files.find(`sha256:${hex(config)}`, [{ chainId: diffId, diffId }]);
  layer = found.layers[0] as FoundLayer;
});
afterEach(async () => {
  files[Symbol.dispose]();
  await scratch[Symbol.asyncDispose]();
});

/** What came, and how many buffers it took. */
async function read(reuses: boolean) {
  const [memory, copies] = [new Set<ArrayBufferLike>(), [] as Buffer[]];
  for await (const chunk of files.read(layer)) {
    memory.add(chunk.buffer);
    copies.push(Buffer.from(chunk));
    if (reuses) files.reuse(chunk.buffer as ArrayBuffer);
  }
  return { buffers: memory.size, bytes: Buffer.concat(copies) };
}

it('memory that was given back holds what comes next', async () => {
  const [kept, reused] = [await read(false), await read(true)];
  expect(kept.buffers).toBeGreaterThan(10);
  expect(reused.buffers).toBeLessThan(4);
  for (const { bytes } of [kept, reused]) expect(bytes.equals(TAR)).toBe(true);
});

it('a tar is measured without its files', async () => {
  expect(await files.measure(layer)).toBe(TAR.length);
});

describe('what the engine would read', () => {
  it('is the layer’s own', async () => {
    await expect(files.check(layer)).resolves.toBeUndefined();
  });

  it.each([
    ['a link in place of a file', 'd/file'],
    ['a link in place of a directory', 'd'],
  ])('may be another file: %s', async (_what, path) => {
    await rm(at(`overlay2/cache/diff/${path}`), { recursive: true });
    await symlink('/etc/passwd', at(`overlay2/cache/diff/${path}`));
    await expect(files.check(layer)).rejects.toThrow(Odd);
  });

  it('may be one of the layers below where it is missing', async () => {
    await rm(at('overlay2/cache/diff/d/file'));
    await expect(files.check(layer)).rejects.toThrow(/is not there$/);
  });
});
