/** What may be where an archive is to go, before it is made and when it is whole: nothing of somebody else is lost. */

import { lstat, mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EachSink, type Format } from '../../../agent/archive/each-sink.ts';
import type { ArchiveEndpoint } from '../../../agent/archive/endpoint.ts';
import { openSink, type WriteOptions } from '../../../agent/archive/open-store.ts';
import { parseEndpoint } from '../../../agent/ends/endpoint.ts';
import type { Sink } from '../../../agent/model/sink.ts';
import type { Settled } from '../../../agent/move/ledger.ts';
import { move } from '../../../agent/move/move.ts';
import { answersOf } from '../../conformance/conformance.ts';
import { type MemoryImage, MemorySource, testImage } from '../../memory.ts';
import { run } from '../../rig/command.ts';
import { makeDevice, makesDevices } from '../../rig/devices.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';

const { signal } = new AbortController();
const WRITE: WriteOptions = {
  overwrite: false,
  noReplace: false,
  ignoreSpace: false,
  stdout: async () => {},
  signal,
};
const REPLACE: WriteOptions = { ...WRITE, overwrite: true };

let scratch: ScratchDirectory;
let web: MemoryImage;
let folder: string;
let tests = 0;

beforeAll(async () => {
  scratch = await scratchDirectory();
  web = await testImage({ store: 'containerd' });
});
beforeEach(async () => {
  folder = join(scratch.path, `${++tests}`);
  await mkdir(folder);
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

const at = (name: string) => join(folder, name);
const place = (text: string) => parseEndpoint(text) as ArchiveEndpoint;
const into = (sink: Sink, beforeFinish: () => Promise<void> = async () => {}): Promise<Settled> => {
  const finishing: Sink = {
    facts: sink.facts,
    plan: (images) => sink.plan(images),
    retrying: async () => {},
    waits: () => sink.waits(),
    [Symbol.asyncDispose]: async () => {},
    finish: async () => {
      await beforeFinish();
      await sink.finish();
    },
  };
  const source = new MemorySource([web]);
  return move(source, finishing, { signal, emit: () => {}, wireBytes: () => 0, jobs: 1, retries: 0 });
};

const device = (path: string) => makeDevice(path, 3);
const OTHERS: readonly (readonly [string, (path: string) => Promise<unknown>])[] = [
  ['a fifo', (path) => run(['mkfifo', path])],
  ['a symbolic link', (path) => symlink('nowhere', path)],
  ['a directory', (path) => mkdir(path)],
  ...((await makesDevices()) ? [['a device', device] as const] : []),
];

describe.each(OTHERS)('%s', (kind, make) => {
  const refusal = {
    code: 'usage',
    message: expect.stringContaining(`x.tar is ${kind}, not a regular file`),
  };

  it.each([false, true])('is no file for an archive, overwrite: %s', async (overwrite) => {
    await make(at('x.tar'));
    await expect(
      openSink(place(`docker-archive:${at('x.tar')}`), { ...WRITE, overwrite }),
    ).rejects.toMatchObject(refusal);
    expect(await readdir(folder)).toEqual(['x.tar']);
  });

  it.each([false, true])('that appears meanwhile stays, overwrite: %s', async (overwrite) => {
    {
      await using sink = await openSink(place(`docker-archive:${at('x.tar')}`), { ...WRITE, overwrite });
      await make(at('x.tar'));
      const before = await lstat(at('x.tar'));
      const { outcomes } = await into(sink);
      expect(outcomes[0]?.error).toMatchObject(refusal);
      expect((await lstat(at('x.tar'))).ino).toBe(before.ino);
    }
    expect(await readdir(folder)).toEqual(['x.tar']);
  });

  it('is no file of --each', async () => {
    await make(at('web_1.0.tar'));
    await using sink = new EachSink(folder, 'tar', REPLACE);
    const { outcomes } = await into(sink);
    expect(outcomes[0]?.error?.message).toContain(`web_1.0.tar is ${kind}`);
  });
});

it('a link is not followed, and stays', async () => {
  await writeFile(at('target'), 'mine');
  await symlink('target', at('x.tar'));
  await expect(openSink(place(`docker-archive:${at('x.tar')}`), REPLACE)).rejects.toThrow('a symbolic link');
  expect(await readlink(at('x.tar'))).toBe('target');
  expect(await readFile(at('target'), 'utf8')).toBe('mine');
});

it('--each refuses in the plan what there is no room for, and takes what there is', async () => {
  const layers = (web.image.layers ?? []).map((layer) => ({ ...layer, size: 2 ** 50 }));
  const huge = { ...web.image, names: [{ source: 'huge:1', target: 'huge:1' }], layers };
  const actions = async (format: Format, ignoreSpace: boolean) => {
    await using sink: Sink = new EachSink(folder, format, { ...WRITE, ignoreSpace });
    return answersOf(sink, huge, web.image);
  };
  expect(await actions('tar', false)).toMatchObject([
    { action: 'refuse', reason: expect.stringMatching(/^it needs .* MB are free; --ignore-space tries/) },
    { action: 'send' },
  ]);
  expect(await actions('tar', true)).toMatchObject([{ action: 'send' }, { action: 'send' }]);
  // What compression makes of it is not known.
  expect(await actions('tar.zst', false)).toMatchObject([{ action: 'send' }, { action: 'send' }]);
});

it('--each makes no file of two images, whichever of them is tried again', async () => {
  const named = async (name: string) => (await testImage({ name })).image;
  const [one, other] = [await named('a/b:1'), await named('a_b:1')];
  await using sink: Sink = new EachSink(folder, 'tar', REPLACE);
  expect(await answersOf(sink, one, other)).toMatchObject([{ action: 'send' }, { action: 'refuse' }]);
  expect(await answersOf(sink, other)).toMatchObject([
    { action: 'refuse', reason: expect.stringMatching(/^a_b_1.tar is also the file of a.b:1/) },
  ]);
  expect(await answersOf(sink, one)).toMatchObject([{ action: 'send' }]);
});

describe('a dir:', () => {
  const dir = (overwrite = false) => openSink(place(`dir:${at('x')}`), { ...WRITE, overwrite });
  const exists = { code: 'usage', message: expect.stringContaining('x exists already') };

  it.each([
    ['nothing', async () => {}],
    ['an empty directory', () => mkdir(at('x'))],
  ])('takes the place of %s', async (_what, make) => {
    await make();
    {
      await using sink = await dir();
      expect((await into(sink)).exit).toBe(0);
    }
    expect(await readdir(folder)).toEqual(['x']);
    expect(await readdir(at('x'))).toContain('manifest.json');
  });

  it.each([false, true])('leaves what appears meanwhile, overwrite: %s', async (overwrite) => {
    {
      await using sink = await dir(overwrite);
      await mkdir(at('x'));
      await writeFile(at('x/mine'), 'mine');
      expect((await into(sink)).outcomes[0]?.error).toMatchObject(exists);
    }
    expect(await readdir(folder)).toEqual(['x']);
    expect(await readFile(at('x/mine'), 'utf8')).toBe('mine');
  });

  it('replaces another one, with its signatures', async () => {
    {
      await using first = await dir();
      await into(first);
    }
    await writeFile(at('x/signature-1'), 'signed');
    await expect(dir()).rejects.toMatchObject({ ...exists, hint: '--overwrite replaces it' });
    {
      await using sink = await dir(true);
      expect((await into(sink)).exit).toBe(0);
    }
    expect(await readdir(folder)).toEqual(['x']);
    expect(await readdir(at('x'))).not.toContain('signature-1');
  });

  it.each([
    ['a file', () => writeFile(at('x/notes.txt'), 'mine')],
    ['a directory', () => mkdir(at('x/version'))],
  ])('does not replace one that holds %s of somebody else', async (_what, add) => {
    await mkdir(at('x'));
    for (const name of ['version', 'manifest.json']) await writeFile(at(`x/${name}`), '');
    if (_what === 'a directory') await rm(at('x/version'));
    await add();
    const before = await readdir(at('x'));
    await expect(dir(true)).rejects.toMatchObject(exists);
    expect(await readdir(at('x'))).toEqual(before);
  });

  it('gets something of somebody else before it is replaced, and stays', async () => {
    {
      await using first = await dir();
      await into(first);
    }
    {
      await using sink = await dir(true);
      await writeFile(at('x/mine'), 'mine');
      expect((await into(sink)).outcomes[0]?.error).toMatchObject(exists);
    }
    expect(await readdir(folder)).toEqual(['x']);
    expect(await readdir(at('x'))).toEqual(expect.arrayContaining(['mine', 'manifest.json', 'version']));
  });

  it('puts the old one back where the new one cannot take its place', async () => {
    {
      await using first = await dir();
      await into(first);
    }
    const before = await readdir(at('x'));
    {
      await using sink = await dir(true);
      await into(sink, async () => {
        for (const name of await readdir(folder))
          if (name.startsWith('.')) await rm(at(name), { recursive: true });
      });
    }
    expect(await readdir(folder)).toEqual(['x']);
    expect(await readdir(at('x'))).toEqual(before);
  });
});
