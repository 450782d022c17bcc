/** Tars that are good, in all forms that tools write; test/hostile/archives.test.ts has those that are not. */

import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { ENTRIES_MAX, ENTRY_NAMES_MAX_BYTES } from '../../../../agent/archive/limits.ts';
import { tarEntries } from '../../../../agent/archive/tar/tar-entries.ts';
import { decodeTarHeader, encodeTarHeader } from '../../../../agent/archive/tar/tar-header.ts';
import { END, paxHeader, rawEntry, rawTar } from '../../../hostile/raw-tar.ts';
import { run } from '../../../rig/command.ts';
import { scratchDirectory } from '../../../rig/scratch.ts';

const LONG = `${'d'.repeat(90)}/${'e'.repeat(90)}/${'f'.repeat(120)}`;

async function read(tar: Buffer, chunkBytes = 700): Promise<readonly unknown[]> {
  const seen: unknown[] = [];
  for await (const { name, link, size, body } of tarEntries(chunksOf(tar, chunkBytes)))
    seen.push(link === undefined ? [name, (await buffer(body)).toString()] : [name, { link, size }]);
  return seen;
}

async function* chunksOf(bytes: Buffer, chunkBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

describe('tar entries', () => {
  it.each([1, 511, 512, 513, 100_000])('come in chunks of %i bytes', async (chunkBytes) => {
    const tar = rawTar({ name: './a', body: 'x'.repeat(600) }, { name: 'b/', type: '5' }, { name: 'b/c' });
    expect(await read(tar, chunkBytes)).toEqual([
      ['a', 'x'.repeat(600)],
      ['b/c', ''],
    ]);
  });

  it('have long names, in pax and in the form of GNU', async () => {
    const name = Buffer.from(`${LONG}\0`);
    const tar = rawTar(
      paxHeader([
        ['path', LONG],
        ['mtime', '1.5'],
      ]),
      { name: 'short', body: 'pax' },
      { name: '././@LongLink', type: 'L', body: name.subarray(1) },
      { name: 'short', body: 'gnu' },
    );
    expect(await read(tar)).toEqual([
      [LONG, 'pax'],
      [LONG.slice(1), 'gnu'],
    ]);
  });

  it('may have their size in pax, too, and one comment for all', async () => {
    const tar = rawTar(
      paxHeader([['comment', 'made by git']], 'g'),
      paxHeader([['size', '4']]),
      { name: 'a', body: 'four' },
      // A size of GNU's base-256 form.
      { name: 'b', body: 'five!', size: Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]) },
    );
    expect(await read(tar)).toEqual([
      ['a', 'four'],
      ['b', 'five!'],
    ]);
  });

  it('are links that stay inside', async () => {
    const tar = rawTar(
      { name: 'x/layer.tar', type: '2', linkName: '../y/layer.tar' },
      { name: 'y/layer.tar' },
    );
    expect(await read(tar)).toEqual([
      ['x/layer.tar', { link: 'y/layer.tar', size: 0 }],
      ['y/layer.tar', ''],
    ]);
  });

  it('are hard links to what is in front of them', async () => {
    const tar = rawTar(
      { name: 'y/layer.tar', body: 'y' },
      { name: 'x/layer.tar', type: '1', linkName: './y/layer.tar' },
    );
    expect(await read(tar)).toEqual([
      ['y/layer.tar', 'y'],
      ['x/layer.tar', { link: 'y/layer.tar', size: 0 }],
    ]);
  });

  it('say whether there was one of this name before', async () => {
    const tar = rawTar({ name: 'a', body: '1' }, { name: 'b' }, { name: './a', body: '2' });
    const seen: unknown[] = [];
    for await (const { name, again } of tarEntries(chunksOf(tar, 700))) seen.push([name, again]);
    expect(seen).toEqual([
      ['a', false],
      ['b', false],
      ['a', true],
    ]);
  });

  it('may have values in pax that are no text, as macOS writes them', async () => {
    const value = Buffer.from([1, 2, 0, 0x9c, 0xe3, 0x0a, 0x80, 0xff]).toString('latin1');
    const record = Buffer.from(
      `49 SCHILY.xattr.com.apple.provenance=${value}\n`.replace('49', '50'),
      'latin1',
    );
    record.write(String(record.length), 0);
    const tar = rawTar(
      { name: 'PaxHeader/a', type: 'x', body: Buffer.concat([record, Buffer.from('10 path=b\n')]) },
      { name: 'a', body: 'x' },
    );
    expect(await read(tar)).toEqual([['b', 'x']]);
  });

  it.each<readonly [string, (header: Buffer) => void]>([
    ['Ant, which leaves out the version', (header) => header.fill(0, 263, 265)],
    ['Unix version 7, which has no magic', (header) => header.fill(0, 257, 265)],
    ['those that take bytes for signed numbers', (header) => header.writeUInt8(0xe9, 330)],
  ])('of %s', async (what, change) => {
    const entry = rawEntry({ name: 'a', body: 'x' });
    change(entry);
    entry.write('        ', 148);
    let sum = 0;
    for (let at = 0; at < 512; at++)
      sum += what.includes('signed') ? entry.readInt8(at) : entry.readUInt8(at);
    entry.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    expect(await read(rawTar(entry))).toEqual([['a', 'x']]);
  });

  const whole = rawTar({ name: 'a', body: 'x'.repeat(600) }, { name: 'b', body: 'y' });
  it.each([
    ['without its end', whole.subarray(0, whole.length - 1_024)],
    ['with half of its end', whole.subarray(0, whole.length - 512)],
    ['without what fills the last block', whole.subarray(0, whole.length - 1_024 - 511)],
    ['with something behind its end', Buffer.concat([whole, Buffer.from('something')])],
    [
      'with something a while behind its end',
      Buffer.concat([whole, Buffer.alloc(10_240), Buffer.alloc(5_000, 'x')]),
    ],
  ])('of a tar %s', async (_what, tar) => {
    expect(await read(tar)).toEqual([
      ['a', 'x'.repeat(600)],
      ['b', 'y'],
    ]);
  });

  it('need not be read', async () => {
    const names: string[] = [];
    const tar = rawTar({ name: 'a', body: 'x'.repeat(5_000) }, { name: 'b', body: 'y' });
    for await (const { name, body } of tarEntries(chunksOf(tar, 300))) {
      names.push(name);
      if (name === 'a') await body.next();
    }
    expect(names).toEqual(['a', 'b']);
  });

  it.each(['gnu', 'pax', 'ustar'])('of GNU tar, --format=%s', async (format) => {
    await using scratch = await scratchDirectory();
    const name = format === 'ustar' ? 'short' : LONG.replaceAll('/', '-').slice(0, 200);
    await mkdir(join(scratch.path, 'in'));
    await writeFile(join(scratch.path, 'in', name), 'body');
    await symlink(name, join(scratch.path, 'in', 'link'));
    const file = join(scratch.path, 'x.tar');
    await run(['tar', `--format=${format}`, '-C', join(scratch.path, 'in'), '-cf', file, '.']);
    expect(new Map((await read(await readFile(file))) as [string, unknown][])).toEqual(
      new Map<string, unknown>([
        [name, 'body'],
        ['link', { link: name, size: 0 }],
      ]),
    );
  });

  it('of tar-stream', async () => {
    const archive = pack();
    archive.entry({ name: LONG }, 'long');
    archive.entry({ name: 'größe' }, 'utf-8');
    archive.finalize();
    expect(await read(await buffer(archive))).toEqual([
      [LONG, 'long'],
      ['größe', 'utf-8'],
    ]);
  });

  it('are not without end', async () => {
    const many = async function* () {
      const entry = Buffer.concat(Array.from({ length: 100 }, () => rawEntry({ name: 'd', type: '5' })));
      for (let at = 0; at <= ENTRIES_MAX; at += 100) yield entry;
      yield END;
    };
    await expect(
      (async () => {
        for await (const _ of tarEntries(many()));
      })(),
    ).rejects.toThrow(`more than ${ENTRIES_MAX} entries`);
  });
});

it.each([
  ['names', (name: string) => [paxHeader([['path', name]]), rawEntry({ name: 'x' })]],
  [
    'what links lead to',
    (name: string) => [
      paxHeader([['linkpath', name]]),
      rawEntry({ name: name.slice(-8), type: '2', linkName: 'x' }),
    ],
  ],
] as const)('%s are not without end', async (_what, entry) => {
  let made = 0;
  const many = async function* () {
    for (; made < 60_000; made++)
      yield Buffer.concat(entry(`${'d'.repeat(4_000)}/${`${made}`.padStart(8, '0')}`));
    yield END;
  };
  await expect(
    (async () => {
      for await (const _ of tarEntries(many()));
    })(),
  ).rejects.toMatchObject({
    code: 'integrity',
    message: `more than ${ENTRY_NAMES_MAX_BYTES} bytes of names`,
  });
  expect(made).toBeLessThan(4_300);
});

it.each([0, 5, 0o77777777777, 0o77777777777 + 1, 2 ** 40])(
  'a header of %i bytes can be read again',
  (size) => {
    expect(decodeTarHeader(encodeTarHeader('blobs/x', size))).toEqual({
      name: 'blobs/x',
      type: '0',
      size,
      linkName: '',
    });
  },
);
