/** What bounds the reading of archives, and what shows that it goes on, with the program that users install. */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { generateCode } from '../../proto/code.ts';
import { classicTar, json, rawTar, zstdZeros } from '../hostile/raw-tar.ts';
import { testImage } from '../memory.ts';
import { run } from '../rig/command.ts';
import { IMGMV, type JsonEvent, runImgmv, toldBy } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { expectEnd } from './scene.ts';

const MIB = 2 ** 20;
const LAYER_BYTES = 20 * MIB;
const LAYERS = 5;

let scratch: ScratchDirectory;
let folder: string;
let tests = 0;

beforeAll(async () => {
  scratch = await scratchDirectory();
  await writeFile(join(scratch.path, 'bomb.tar'), bomb());
  const zeros = rawTar({ name: 'zeros', body: Buffer.alloc(20 * MIB) }, json('manifest.json', []));
  await writeFile(join(scratch.path, 'zeros.tar.gz'), gzipSync(zeros));
  await writeFile(join(scratch.path, 'web.tar'), classicTar(await testImage()));
});
beforeEach(async () => {
  folder = join(scratch.path, `${++tests}`);
  await mkdir(folder);
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

/** Each of its layers is within what one may become; together they are 100 MiB in a few kilobytes. */
function bomb(): Buffer {
  const layer = zstdZeros(LAYER_BYTES);
  const hash = createHash('sha256');
  for (let at = 0; at < LAYER_BYTES; at += MIB) hash.update(Buffer.alloc(MIB));
  const diffId = `sha256:${hash.digest('hex')}`;
  const names = Array.from({ length: LAYERS }, (_, at) => `${at}.tar`);
  const rootfs = { type: 'layers', diff_ids: names.map(() => diffId) };
  const tar = rawTar(
    ...names.map((name) => ({ name, body: layer })),
    json('config.json', { os: 'linux', architecture: 'amd64', rootfs }),
    json('manifest.json', [{ Config: 'config.json', RepoTags: ['bomb:1'], Layers: names }]),
  );
  expect(tar.length).toBeLessThan(20_000);
  return tar;
}

const from = (file: string) => `docker-archive:${join(scratch.path, file)}`;
const TOO_MUCH =
  /bomb\.tar is not a good archive: the layer "\d\.tar": it inflates to more than 60000000 bytes in all\n\s+if it really is .*--max-bytes SIZE/;

it('copy: a small archive inflates to no more than --max-bytes allows', async () => {
  const place = `oci:${join(folder, 'x')}`;
  await using bounded = runImgmv(['copy', from('bomb.tar'), place, '--max-bytes', '60MB']);
  await expectEnd(bounded, 13, TOO_MUCH);
  expect(await readdir(folder)).toEqual([]);
  await using whole = runImgmv(['copy', from('bomb.tar'), place]);
  await expectEnd(whole, 0, /written bomb:1/);
  await using exactly = runImgmv(['copy', from('bomb.tar'), place, '--max-bytes', '100MiB']);
  await expectEnd(exactly, 0, /there already/);
});

it.each(['send', 'plan'])('%s: before the other host is asked for anything', async (command) => {
  const code = join(folder, 'code');
  await writeFile(code, generateCode().reveal());
  const args = [command, '--from', from('bomb.tar'), '--to', '127.0.0.1:1', '--code-file', code];
  await using bounded = runImgmv([...args, '--max-bytes', '60MB']);
  await expectEnd(bounded, 13, TOO_MUCH);
  await using whole = runImgmv(args);
  await expectEnd(whole, 11, /127\.0\.0\.1/);
});

it('a move file: as max-bytes has it', async () => {
  const move = join(folder, 'move.yaml');
  await writeFile(move, `to: 127.0.0.1:1\nfrom: ${from('bomb.tar')}\nmax-bytes: 60MB\n`);
  await using bounded = runImgmv(['send', '--move', move]);
  await expectEnd(bounded, 13, TOO_MUCH);
});

it('ls: what is compressed as a whole', async () => {
  await using bounded = runImgmv(['ls', '--from', from('zeros.tar.gz'), '--max-bytes', '10MB']);
  await expectEnd(
    bounded,
    13,
    /zeros\.tar\.gz is not a good archive: it inflates to more than 10000000 bytes/,
  );
  await using whole = runImgmv(['ls', '--from', from('zeros.tar.gz')]);
  await expectEnd(whole, 0, /Reading .*NAME/s);
  // Layers are not looked at for a list.
  await using layers = runImgmv(['ls', '--from', from('bomb.tar'), '--max-bytes', '10MB']);
  await expectEnd(layers, 0, /Reading/);
  expect(layers.stdout).toMatch(/^bomb:1 /m);
});

it.each<[string, string[], RegExp]>([
  [
    'no size',
    ['copy', 'docker-archive:x.tar', 'oci:x', '--max-bytes', '1'],
    /Expected a size such as 500MB or 2GiB/,
  ],
  ['more than any', ['ls', '--max-bytes', '1001TiB'], /Expected a size such as .*, up to 1000TiB/],
  [
    'ls of an engine',
    ['ls', '--max-bytes', '1GB'],
    /--max-bytes bounds the archives that are read, and there is none/,
  ],
  ['a copy of an engine', ['copy', 'docker-daemon:x', 'oci:x', '--max-bytes', '1GB'], /and there is none/],
  ['send of an engine', ['send', 'web', '--to', 'x', '--max-bytes', '1GB'], /and there is none/],
])('usage, %s', async (_what, args, says) => {
  await using imgmv = runImgmv(args, { cwd: folder });
  await expectEnd(imgmv, 2, says);
});

it('what comes slowly is told of while it comes', async () => {
  const fifo = join(folder, 'fifo');
  await run(['mkfifo', fifo]);
  const host = { argv: (command: readonly string[]) => ['sh', '-c', `exec "$@" <${fifo}`, 'sh', ...command] };
  const args = ['copy', 'docker-archive:-', `oci:${join(folder, 'x')}`, '--json'];
  await using imgmv = runImgmv(args, { host });
  const archive = await readFile(join(scratch.path, 'web.tar'));
  const reading = { archive: 'docker-archive:-', spool: expect.any(String), inflated: 0, bytesTotal: null };
  const told: JsonEvent[] = [];
  // To read as well: it does not wait for the other end.
  await using pipe = await open(fifo, 'r+');
  await pipe.write(archive.subarray(0, 5_000));
  for await (const event of imgmv.events) {
    if (event.event !== 'reading') continue;
    told.push(event);
    if (event.bytes === 5_000) break;
  }
  await pipe.write(archive.subarray(5_000));
  await pipe.close();
  expect(told[0]).toMatchObject({ ...reading, phase: 'index', bytes: 0, done: false });
  expect(told.at(-1)).toMatchObject({ ...reading, phase: 'index', bytes: 5_000, done: false });
  await expectEnd(imgmv, 0, /"loaded"/);
  const all = await toldBy(imgmv);
  expect(all.find(({ event, done }) => event === 'reading' && done)).toMatchObject({
    ...reading,
    phase: 'index',
  });
});

it('what is over at once is told of once', async () => {
  await using imgmv = runImgmv(['ls', '--from', from('web.tar'), '--json']);
  const told = await toldBy(imgmv);
  expect(told.filter(({ event }) => event === 'reading')[0]).toMatchObject({
    archive: from('web.tar'),
    spool: null,
    phase: 'index',
    bytes: 0,
    done: false,
  });
});

it('files are for their owner, whatever the umask', async () => {
  const imgmv = `umask 0; exec ${process.execPath} ${IMGMV} copy ${from('web.tar')}`;
  for (const place of ['docker-archive:x.tar', 'oci:layout', 'dir:dir', '--each each'])
    await run(['sh', '-c', `cd ${folder}; ${imgmv} ${place}`]);
  for (const name of await readdir(folder, { recursive: true })) {
    const found = await stat(join(folder, name));
    expect(`${name} ${(found.mode & 0o777).toString(8)}`).toBe(`${name} ${found.isFile() ? 600 : 700}`);
  }
});
