/** Move files: what is made of them, and what is said of those that are not good. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parsePatterns } from '../../agent/choose/pattern.ts';
import { parseRetag } from '../../agent/choose/rename.ts';
import { mergeMove } from '../../cli/move-file/merge.ts';
import { type MoveFile, parseMoveFile, readMoveFile } from '../../cli/move-file.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { BAD, GOOD } from './move-corpus.ts';

const rule = (text: string) => expect.objectContaining({ text });

const origin = { name: 'move.yaml', directory: '/moves', fromStdin: false };
const read = (yaml: string) => parseMoveFile(yaml, origin);

async function refusal(reading: Promise<unknown>): Promise<ImgmvError> {
  const error = await reading.then(
    (value) => expect.fail(`was taken: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ImgmvError)) throw error;
  expect(error.code).toBe('usage');
  return error;
}

describe('what is read', () => {
  it.each(GOOD)('$yaml', async ({ yaml }) => {
    expect(Object.values(await read(yaml))).not.toContain(undefined);
  });

  it('is what the options would be, with every path absolute', async () => {
    const yaml = `
to: host-b
images: web:1.0
from: [docker-archive:x.tar.zst:web:1.0, docker-archive:-, oci:/abs, docker-daemon:web]
all: true
dangling: false
running: true
label: k=v
since: 7d
except: ["*:dev"]
file: lists/images.txt
compose: ../compose.yaml
retag: {"old.reg/*": new.reg/*, a: b}
registry: registry.example
project: team
keep-names: true
then-push: true
report: report.html
code-file: /run/code
context: prod
connect-timeout: 15s
reconnect: 5m
ignore-space: true
max-bytes: 2TiB
jobs: 2
retries: 0
level: 3`;
    expect(await read(yaml)).toEqual({
      to: 'ws://host-b:7373/',
      images: ['web:1.0'],
      from: [
        { kind: 'docker-archive', path: '/moves/x.tar.zst', reference: 'web:1.0' },
        { kind: 'docker-archive', path: '-' },
        { kind: 'oci', path: '/abs' },
        { kind: 'docker-daemon', reference: 'web' },
      ],
      all: true,
      running: true,
      label: [{ key: 'k', value: 'v' }],
      since: expect.any(Date),
      except: [[expect.objectContaining({ kind: 'names', text: '*:dev' })]],
      file: '/moves/lists/images.txt',
      compose: ['/compose.yaml'],
      retag: [rule('old.reg/*=new.reg/*'), rule('a=b')],
      registry: 'registry.example',
      project: 'team',
      keepNames: true,
      thenPush: true,
      report: '/moves/report.html',
      codeFile: '/run/code',
      context: 'prod',
      connectTimeout: 15_000,
      reconnect: 300_000,
      ignoreSpace: true,
      maxBytes: 2 * 2 ** 40,
      jobs: 2,
      retries: 0,
      level: 3,
    });
    expect(await read('as: team/web\ndocker-host: tcp://a:2375')).toEqual({
      as: 'team/web',
      dockerHost: 'tcp://a:2375',
    });
  });

  it('takes the example of docs/move.md', async () => {
    const document = await readFile(fileURLToPath(new URL('../../docs/move.md', import.meta.url)), 'utf8');
    const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(document) ?? [];
    expect(await read(yaml)).toMatchObject({
      to: 'ws://host-b:7400/',
      images: expect.arrayContaining(['web:/^v1\\./']),
    });
  });

  it('shares what an alias repeats', async () => {
    expect(await read('images: &names [web, db]\nexcept: *names')).toEqual({
      images: ['web', 'db'],
      except: [[{ kind: 'exact', text: 'web' }], [{ kind: 'exact', text: 'db' }]],
    });
  });
});

describe('what is refused', () => {
  it.each(BAD)('$yaml', async ({ yaml, says }) => {
    expect((await refusal(read(yaml))).message).toBe(says);
  });

  it('is told at once, in the order of the file', async () => {
    const { message, hint } = await refusal(read('level: 20\nimags: x\nproject: 1\nlevel: 3\nto: a b\n'));
    expect(message.split('\n').map((line) => line.split(' ')[0])).toEqual([
      'move.yaml:1:8:',
      'move.yaml:2:1:',
      'move.yaml:3:1:',
      'move.yaml:3:10:',
      'move.yaml:4:1:',
      'move.yaml:5:5:',
    ]);
    expect(hint).toContain('`imgmv help move`');
  });

  it('is told in twenty lines at most', async () => {
    const { message } = await refusal(read(`images: [${'1, '.repeat(50)}]`));
    const lines = message.split('\n');
    expect(lines).toHaveLength(21);
    expect(lines.at(-1)).toBe('move.yaml: and 30 more');
  });

  it('is shown short', async () => {
    const { message } = await refusal(read(`to: "${'a b\\n'.repeat(5_000)}"\n${'k'.repeat(900)}: 1`));
    expect(message.length).toBeLessThan(500);
    expect(message.split('\n')).toHaveLength(2);
    for (const yaml of [`as: ${'-'.repeat(5_000)}`, `from: ${'a'.repeat(5_000)}`])
      expect((await refusal(read(yaml))).message.length).toBeLessThan(400);
  });

  it.each([
    ['lists in lists', '['.repeat(500_000)],
    ['mappings in mappings', '{a: '.repeat(100_000)],
    [
      'lists in lists, by lines',
      Array.from({ length: 1_000 }, (_, depth) => `${' '.repeat(depth)}-`).join('\n'),
    ],
  ])('%s without end', async (_, yaml) => {
    expect((await refusal(read(yaml))).message).toMatch(/^move\.yaml:[0-9]+:[0-9]+: nested deeper than/);
  });

  it.each([
    ['items', `images: [${'x, '.repeat(300_000)}]`],
    ['faults', '}'.repeat(1_000_000)],
    ['text', `images: "${'\\x'.repeat(500_000)}"`],
  ])('more %s than any move has', async (_, yaml) => {
    expect((await refusal(read(yaml))).message).toMatch(/^move\.yaml:[0-9]+:[0-9]+: there is more here/);
  });

  it('aliases that grow without end, which never do', async () => {
    const lines = Array.from({ length: 30 }, (_, at) => `  - &b${at} [${`*b${at - 1}, `.repeat(9)}]`);
    const { message } = await refusal(read(['images:', '  - &b-1 [x, x]', ...lines].join('\n')));
    expect(message.split('\n')[0]).toBe('move.yaml:2:10: images[1] is a list, expected an image');
  });
});

describe('the file', () => {
  it('is what its paths are relative to', async () => {
    await using scratch = await scratchDirectory();
    const path = join(scratch.path, 'move.yaml');
    await writeFile(path, '\ufeffto: host-b\r\nreport: out/report.html\r\n');
    expect(await readMoveFile(path)).toEqual({
      to: 'ws://host-b:7373/',
      report: join(scratch.path, 'out/report.html'),
    });
  });

  it('is standard input for -, which is then nothing else', async () => {
    const move = (yaml: string) => readMoveFile('-', Readable.from([Buffer.from(yaml)]));
    expect(await move('file: list.txt')).toEqual({ file: join(process.cwd(), 'list.txt') });
    expect((await refusal(move('code-file: "-"'))).message).toBe(
      'standard input:1:12: code-file is standard input, which is this file already',
    );
  });

  it.each([
    [
      'is not there',
      'none.yaml',
      undefined,
      /^cannot read the move file .*none\.yaml: there is no such file$/,
    ],
    ['is a directory', '.', undefined, /^cannot read the move file .*: it is a directory$/],
    [
      'is longer than 1 MiB',
      'long.yaml',
      Buffer.alloc(1024 * 1024 + 1, '#'),
      /long\.yaml is longer than the 1 MiB/,
    ],
    ['is no text', 'move.zst', Buffer.from('28b52ffd', 'hex'), /move\.zst is no move file: it is not UTF-8$/],
  ])('%s', async (_, name, bytes, says) => {
    await using scratch = await scratchDirectory();
    await mkdir(scratch.path, { recursive: true });
    const path = join(scratch.path, name);
    if (bytes) await writeFile(path, bytes);
    expect((await refusal(readMoveFile(path))).message).toMatch(says);
  });

  it('has all of 1 MiB', async () => {
    await using scratch = await scratchDirectory();
    const path = join(scratch.path, 'move.yaml');
    const line = `#${' '.repeat(1_022)}\n`;
    await writeFile(path, `${line.repeat(1_023)}to: host-b\n`.padEnd(1024 * 1024, ' '));
    expect(await readMoveFile(path)).toEqual({ to: 'ws://host-b:7373/' });
  });
});

describe('with options', () => {
  const file: MoveFile = {
    to: 'ws://a:7373/',
    images: ['web'],
    retag: [parseRetag('a=b')],
    level: 3,
    running: true,
    context: 'prod',
  };

  it('those win, and are added to lists', () => {
    const flags: MoveFile = {
      to: 'ws://b:7373/',
      images: ['db'],
      retag: [parseRetag('c=d')],
      except: [parsePatterns('x')],
      jobs: 1,
      all: true,
    };
    expect(mergeMove(file, flags)).toEqual({
      to: 'ws://b:7373/',
      images: ['web', 'db'],
      retag: [rule('c=d'), rule('a=b')],
      except: [[{ kind: 'exact', text: 'x' }]],
      level: 3,
      jobs: 1,
      running: true,
      all: true,
      context: 'prod',
    });
    expect(file.images).toEqual(['web']);
  });

  it('without any, the file is the move; without a file, they are', () => {
    expect(mergeMove(file, {})).toEqual(file);
    expect(mergeMove({}, file)).toEqual(file);
  });

  it('an engine on the command line is the engine, however the file names another one', () => {
    const { context: _, ...rest } = file;
    expect(mergeMove(file, { dockerHost: 'tcp://b:2375' })).toEqual({ ...rest, dockerHost: 'tcp://b:2375' });
  });
});
