/** The file that carries the pairing code: who may read it, what it never replaces, and that it goes. */
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { CodeFile } from '../../cli/code-file.ts';
import { Secret } from '../../proto/secret.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';

const CODE = new Secret('these-words-are-only-an-example');

let scratch: ScratchDirectory;
let directory: string;
let umask: number;
let count = 0;

beforeAll(async () => {
  scratch = await scratchDirectory();
});
afterAll(() => scratch?.[Symbol.asyncDispose]());
beforeEach(async () => {
  directory = join(scratch.path, String(count++));
  await mkdir(directory);
  // The mode has to be the program's own doing.
  umask = process.umask(0);
});
afterEach(() => {
  process.umask(umask);
});

const modeOf = async (path: string) => ((await stat(path)).mode & 0o7777).toString(8);

test('only its owner may read it, whatever the umask is, and it is whole', async () => {
  const file = new CodeFile(join(directory, 'code'));
  await file.write(CODE);
  expect(await modeOf(file.path)).toBe('600');
  expect(await readFile(file.path, 'utf8')).toBe(`${CODE.reveal()}\n`);
  expect(await readdir(directory)).toEqual(['code']);
});

test('the next session’s is as secret as the first one', async () => {
  const file = new CodeFile(join(directory, 'code'));
  await file.write(CODE);
  await file.write(new Secret('another-example'));
  expect([await modeOf(file.path), await readFile(file.path, 'utf8')]).toEqual(['600', 'another-example\n']);
});

test('it is removed, and nothing else in its place is', async () => {
  const file = new CodeFile(join(directory, 'code'));
  await file.write(CODE);
  file.remove();
  expect(await readdir(directory)).toEqual([]);
  await writeFile(file.path, 'mine');
  file.remove();
  expect(await readFile(file.path, 'utf8')).toBe('mine');
});

test.each([
  ['a file that everybody may write', (path: string) => writeFile(path, 'mine', { mode: 0o666 })],
  ['a link to a file', (path: string) => symlink('elsewhere', path)],
  ['a link to nothing', (path: string) => symlink('nothing', path)],
  ['a directory', (path: string) => mkdir(path)],
])('%s is left as it is', async (_what, make) => {
  await writeFile(join(directory, 'elsewhere'), 'mine');
  const path = join(directory, 'code');
  await make(path);
  const before = await readdir(directory);
  await expect(new CodeFile(path).write(CODE)).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining('it exists already'),
    hint: 'remove it, or name another one',
  });
  expect(await readdir(directory)).toEqual(before);
  expect(await readFile(join(directory, 'elsewhere'), 'utf8')).toBe('mine');
  expect(await readFile(path, 'utf8').catch(() => 'mine')).toBe('mine');
});

test('where it cannot be made, the error has the reason and not the code', async () => {
  await chmod(directory, 0o700);
  const failure = await new CodeFile(join(directory, 'missing', 'code')).write(CODE).catch((error) => error);
  expect(failure).toMatchObject({
    code: 'usage',
    message: expect.stringMatching(/: there is no directory \//),
  });
  expect(String(failure.stack)).not.toContain(CODE.reveal());
});
