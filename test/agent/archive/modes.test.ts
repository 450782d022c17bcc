/** What images are written into is its owner's business, whatever the umask allows. */

import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, readdir, readlink, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Spool } from '../../../agent/archive/spool.ts';
import { parseEndpoint, type SinkEndpoint } from '../../../agent/ends/endpoint.ts';
import type { Sink } from '../../../agent/model/sink.ts';
import { move } from '../../../agent/move/move.ts';
import { type MemoryImage, MemorySource, testImage } from '../../memory.ts';
import { quietEnd } from '../../quiet-end.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';

const { signal } = new AbortController();
let scratch: ScratchDirectory;
let web: MemoryImage;
let folder: string;
let umask: number;

beforeAll(async () => {
  scratch = await scratchDirectory();
  web = await testImage({ store: 'containerd' });
  umask = process.umask(0);
});
beforeEach(async () => {
  folder = join(scratch.path, randomBytes(6).toString('hex'));
  await mkdir(folder);
});
afterAll(async () => {
  process.umask(umask);
  await scratch?.[Symbol.asyncDispose]();
});

const at = (name: string) => join(folder, name);
const into = (text: string): SinkEndpoint => parseEndpoint(text) as never;

/** `meanwhile` is called when all of an image is written and nothing is in its place. */
async function copyTo(
  destination: SinkEndpoint,
  { overwrite = false, meanwhile = async () => {} } = {},
): Promise<void> {
  await using sink = await quietEnd(destination, { overwrite, ignoreSpace: true, signal }).open(false);
  const watched: Sink = {
    facts: sink.facts,
    plan: async (images) =>
      (await sink.plan(images)).map(({ answer, open }) => ({
        answer,
        open: async (until) => {
          const writer = await open(until);
          const commit = async () => {
            await meanwhile();
            return writer.commit();
          };
          return { ...writer, commit };
        },
      })),
    retrying: async () => {},
    finish: () => sink.finish(),
    waits: () => sink.waits(),
    [Symbol.asyncDispose]: async () => {},
  };
  const how = { signal, emit: () => {}, wireBytes: () => 0, jobs: 1, retries: 0 };
  expect((await move(new MemorySource([web]), watched, how)).exit).toBe(0);
}

/** Of all that is in the folder. */
async function modes(): Promise<readonly string[]> {
  const names = await readdir(folder, { recursive: true });
  const found = await Promise.all(names.map((name) => lstat(at(name))));
  return found.map((one) => `${one.isDirectory() ? 'd' : '-'}${(one.mode & 0o7777).toString(8)}`);
}

describe.each<readonly [string, () => SinkEndpoint]>([
  ['docker-archive:', () => into(`docker-archive:${at('x.tar')}`)],
  ['docker-archive: of gzip', () => into(`docker-archive:${at('x.tar.gz')}`)],
  ['oci-archive:', () => into(`oci-archive:${at('x.tar')}`)],
  ['oci:', () => into(`oci:${at('a/b/x')}`)],
  ['dir:', () => into(`dir:${at('a/b/x')}`)],
  ['--each', () => ({ kind: 'each', path: at('a/b'), format: 'tar.zst' })],
])('%s', (_kind, destination) => {
  it('is for its owner, while it is written and afterwards', async () => {
    const seen: string[] = [];
    await copyTo(destination(), { meanwhile: async () => void seen.push(...(await modes())) });
    expect(seen).toContain('-600');
    for (const mode of [...seen, ...(await modes())]) expect(mode).toMatch(/^(-600|d700)$/);
  });
});

describe('a directory that was there keeps its mode:', () => {
  const MODE = 0o750;
  it.each<readonly [string, () => SinkEndpoint, boolean]>([
    ['that of a file', () => into(`docker-archive:${at('x/x.tar')}`), false],
    ['an empty one for a layout', () => into(`oci:${at('x')}`), false],
    ['a layout', () => into(`oci:${at('x')}`), true],
    ['an empty one for a dir:', () => into(`dir:${at('x')}`), false],
    ['a dir: that is replaced', () => into(`dir:${at('x')}`), true],
    ['that of --each', () => ({ kind: 'each', path: at('x'), format: 'tar' }), false],
  ])('%s', async (_which, destination, filled) => {
    await mkdir(at('x'));
    if (filled) await copyTo(destination());
    await chmod(at('x'), MODE);
    await copyTo(destination(), { overwrite: true });
    expect((await stat(at('x'))).mode & 0o7777).toBe(MODE);
    expect((await stat(dirname(at('x')))).mode & 0o777).toBe(0o777);
  });
});

it('a file without a name is for its owner, too', async () => {
  await using spool = await Spool.open('what comes');
  await spool.write(Buffer.from('x'));
  const found = await Promise.all(
    (await readdir('/proc/self/fd')).map(async (fd) => {
      const path = await readlink(`/proc/self/fd/${fd}`).catch(() => '');
      return path.includes(`imgmv-${process.pid}-`) ? (await stat(`/proc/self/fd/${fd}`)).mode & 0o777 : [];
    }),
  );
  expect(found.flat()).toEqual([0o600]);
});
