/** What goes wrong with archives on the command line: status, words, and what is left behind. */
import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { classicTar } from '../hostile/raw-tar.ts';
import { type MemoryImage, testImage } from '../memory.ts';
import { run } from '../rig/command.ts';
import { IMGMV, runImgmv } from '../rig/imgmv.ts';
import { requireRoot } from '../rig/root.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { describeOn } from '../rig/suite.ts';
import { supportOf } from '../rig/support.ts';
import { expectEnd, expectOpen } from './scene.ts';

const MIB = 2 ** 20;
let scratch: ScratchDirectory;
let big: MemoryImage;
let files = 0;
/** A directory for each test. */
let folder: string;

beforeAll(async () => {
  scratch = await scratchDirectory();
  big = await testImage({ name: 'big:1', layers: [{ a: { bytes: 40 * MIB, seed: 1 } }, { b: 'b' }] });
  await writeFile(join(scratch.path, 'big.tar'), classicTar(big));
});
beforeEach(async () => {
  folder = join(scratch.path, `${++files}`);
  await mkdir(folder);
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

const imgmv = `${process.execPath} ${IMGMV}`;
const at = (name: string) => join(folder, name);
const bigTar = () => `docker-archive:${join(scratch.path, 'big.tar')}`;

it.each<[string, string[], number, RegExp]>([
  ['a source that is no place', ['web:1.0', 'oci:x'], 2, /"web:1\.0" is not a place for images/],
  ['no destination', ['docker-archive:x.tar'], 2, /a source and a destination/],
  ['a file that is not there', ['docker-archive:missing.tar', 'oci:x'], 10, /no such file: missing\.tar/],
  ['a layout that is not there', ['oci:missing', 'oci:x'], 10, /no such directory: missing/],
  ['a directory without archives', ['docker-archive:.', 'oci:x'], 10, /no archive in \./],
  ['a compression that is not made', ['docker-archive:-', 'docker-archive:x.tar.xz'], 2, /makes no \.xz/],
  [
    'an empty standard input',
    ['docker-archive:-', 'oci:x'],
    13,
    /standard input is not a good archive: it is empty/,
  ],
  [
    'a format for a file',
    ['docker-archive:-', 'oci:x', '--format', 'tar'],
    2,
    /--format is of the files of --each/,
  ],
  ['a stream that is a directory', ['oci:-', 'dir:x'], 2, /oci: is a directory, but - is a stream/],
  [
    '--overwrite for a layout',
    ['docker-archive:a', 'oci:x', '--overwrite'],
    2,
    /--overwrite replaces a file, and an oci: layout grows/,
  ],
  [
    '--overwrite for an engine',
    ['docker-archive:a', 'docker-daemon:', '--overwrite'],
    2,
    /--overwrite replaces a file, and an engine has none/,
  ],
  ...['docker-archive:x.tar', 'oci-archive:x.tar', 'dir:x'].map(
    (place): [string, string[], number, RegExp] => [
      `--no-replace for ${place}`,
      ['docker-archive:a', place, '--no-replace'],
      2,
      /--no-replace keeps names in an engine or an oci: layout/,
    ],
  ),
  [
    '--no-replace for --each',
    ['docker-archive:a', '--each', 'x', '--no-replace'],
    2,
    /--no-replace keeps names in an engine or an oci: layout/,
  ],
  ['json on the archive', ['docker-archive:a', 'docker-archive:-', '--json'], 2, /both want standard output/],
])('%s', async (_what, args, exit, says) => {
  await using imgmv = runImgmv(['copy', ...args], { cwd: folder });
  await expectEnd(imgmv, exit, says);
  expect(await readdir(folder)).toEqual([]);
});

it('an image that is not in the archive', async () => {
  await using imgmv = runImgmv(['copy', `${bigTar()}:web:1.0`, `oci:${at('x')}`]);
  await expectEnd(imgmv, 10, /no such image in .*big\.tar: "web:1\.0"\n\s+there are big:1/);
  expect(await readdir(folder)).toEqual([]);
});

it('a file that exists stays as it is, and is replaced by --overwrite', async () => {
  await writeFile(at('x.tar'), 'mine');
  await using imgmv = runImgmv(['copy', bigTar(), `docker-archive:${at('x.tar')}`]);
  await expectEnd(imgmv, 2, /x\.tar exists already\n\s+--overwrite replaces it/);
  expect(await readFile(at('x.tar'), 'utf8')).toBe('mine');
  await using again = runImgmv(['copy', bigTar(), `docker-archive:${at('x.tar')}`, '--overwrite']);
  await expectEnd(again, 0, /written big:1/);
  expect(await readdir(folder)).toEqual(['x.tar']);
});

it.each(['docker-archive:x.tar', 'docker-archive:x.tar.zst', 'oci:x', 'dir:x'])(
  'a stop leaves nothing of %s',
  async (place) => {
    // It comes so slowly that there is something to be stopped.
    const trickle = `head -c ${20 * MIB} ${join(scratch.path, 'big.tar')}; sleep 600`;
    const feeder = spawn('sh', ['-c', trickle], { stdio: ['ignore', 'pipe', 'ignore'] });
    const [kind, name = ''] = place.split(':');
    const imgmv = spawn(
      process.execPath,
      [
        new URL('../../dist/imgmv.js', import.meta.url).pathname,
        'copy',
        'docker-archive:-',
        `${kind}:${at(name)}`,
      ],
      { stdio: [feeder.stdout, 'ignore', 'ignore'], env: { ...process.env, TMPDIR: folder } },
    );
    const ended = new Promise((resolve) => imgmv.once('close', resolve));
    while ((await readdir(folder)).length === 0) await sleep(20);
    await sleep(200);
    imgmv.kill('SIGTERM');
    expect(await ended).toBe(143);
    feeder.kill('SIGKILL');
    expect(await readdir(folder)).toEqual([]);
  },
);

it.each([
  ['has no writer', ''],
  ['has a writer that is silent', 'head -c 1000000 "$1" >&3; '],
])('a stop is heard while a fifo %s', async (_what, write) => {
  await run(['mkfifo', at('fifo')]);
  const script = `exec 3>"$2"; ${write}sleep 600`;
  const feeder =
    write &&
    spawn('sh', ['-c', script, 'sh', join(scratch.path, 'big.tar'), at('fifo')], { stdio: 'ignore' });
  await using imgmv = runImgmv(['copy', `docker-archive:${at('fifo')}`, `oci:${at('x')}`]);
  await expectOpen(imgmv, at('fifo'));
  await sleep(500);
  imgmv.kill('SIGTERM');
  // The writer, if there is one, outlives this test: nothing else ends it.
  await expectEnd(imgmv, 143, /stopped by SIGTERM/);
  if (feeder) feeder.kill('SIGKILL');
  expect(await readdir(folder)).toEqual(['fifo']);
});

it('a fifo is read to its end, and so is what comes late', async () => {
  await run(['mkfifo', at('fifo')]);
  await using imgmv = runImgmv(['copy', `docker-archive:${at('fifo')}`, `oci:${at('x')}`]);
  await expectOpen(imgmv, at('fifo'));
  await run(['sh', '-c', `cat ${join(scratch.path, 'big.tar')} > ${at('fifo')}`]);
  await expectEnd(imgmv, 0, /written big:1/);
});

it('a reader of standard output that ends too soon is told of', async () => {
  const piped = `${imgmv} copy ${bigTar()} docker-archive:- | head -c 1000000 >/dev/null; exit "\${PIPESTATUS[0]}"`;
  await expect(run(['bash', '-c', piped])).rejects.toThrow(
    /status 16: .*failed big:1: cannot write to standard output: .*the command that reads it ended too soon/s,
  );
});

it('a reader of standard output that reads no more does not hold up a stop', async () => {
  const copy = spawn(process.execPath, [IMGMV, 'copy', bigTar(), 'docker-archive:-'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise((resolve) => copy.once('exit', resolve));
  await new Promise((resolve) =>
    copy.stderr.on('data', (said: Buffer) => said.includes('in 2 layers') && resolve(undefined)),
  );
  await sleep(500);
  copy.kill('SIGTERM');
  expect(await ended).toBe(143);
  copy.stdout.destroy();
});

it('memory stays as it is, however large the archive', async () => {
  const huge = await testImage({ name: 'huge:1', layers: [{ a: { bytes: 300 * MIB, seed: 2 } }] });
  await writeFile(at('huge.tar'), classicTar(huge));
  const command = `cat ${at('huge.tar')} | /usr/bin/time -f 'peak %M' ${imgmv} copy docker-archive:- docker-archive:- | { sleep 1; sha256sum; }`;
  const script = spawn('sh', ['-c', command], { stdio: ['ignore', 'ignore', 'pipe'] });
  const said = await text(script.stderr);
  const peakMiB = Number(/peak (\d+)/.exec(said)?.[1]) / 1024;
  expect(peakMiB, said).toBeGreaterThan(10);
  expect(peakMiB, said).toBeLessThan(200);
}, 120_000);

it('layers that are there are not read twice into a layout, and the second copy finds the image', async () => {
  await using first = runImgmv(['copy', bigTar(), `oci:${at('x')}`, '--json']);
  expect(await first.waitFor('image')).toMatchObject({ status: 'loaded', layersSent: 2 });
  await first.exit;
  await using second = runImgmv(['copy', bigTar(), `oci:${at('x')}:again:2`, '--json']);
  expect(await second.waitFor('image')).toMatchObject({ status: 'present', layersSent: 0 });
  expect((await second.exit).code).toBe(0);
  await using third = runImgmv(['copy', `oci:${at('x')}:again:2`, `docker-archive:${at('y.tar')}`, '--json']);
  expect(await third.waitFor('image')).toMatchObject({
    refs: [{ target: 'again:2' }],
    targetId: big.image.id,
  });
});

const mounts = await supportOf(async () => requireRoot());
describeOn('a disk that is full', [mounts], () => {
  it.each([
    ['while it is planned', [], 16, /refused big:1: it needs 42 MB under .* free/],
    ['while it is written', ['--ignore-space'], 16, /failed big:1: no room for .* it was full after/],
  ])('%s', async (_when, flags, exit, says) => {
    await run(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder]);
    try {
      for (const place of ['docker-archive:x.tar', 'oci:x', 'dir:x']) {
        const [kind, name = ''] = place.split(':');
        await using imgmv = runImgmv(['copy', bigTar(), `${kind}:${at(name)}`, ...flags]);
        await expectEnd(imgmv, exit, says);
        expect(await readdir(folder)).toEqual([]);
      }
    } finally {
      await run(['umount', folder]);
    }
  });

  it('for what comes on standard input', async () => {
    await run(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder]);
    try {
      const command = `TMPDIR=${folder} ${imgmv} copy docker-archive:- oci:${scratch.path}/unused < ${join(scratch.path, 'big.tar')}`;
      await expect(
        run(['sh', '-c', `cat | ${command}`], { input: await readFile(join(scratch.path, 'big.tar')) }),
      ).rejects.toThrow(/status 16: .*no room for standard input under .*set TMPDIR to another directory/s);
    } finally {
      await run(['umount', folder]);
    }
  });
});
