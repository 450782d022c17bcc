import { chmod, mkdir, open, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fileError, whyNot } from '../../../agent/streams/file-error.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';

let scratch: ScratchDirectory;
beforeAll(async () => {
  scratch = await scratchDirectory();
  await chmod(scratch.path, 0o755);
  await mkdir(at('there'));
  await writeFile(at('file'), '');
  await symlink('circle', at('circle'));
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

const at = (path: string) => join(scratch.path, path);

async function failureAt(path: string, flags: string): Promise<unknown> {
  return open(at(path), flags).then(
    () => undefined,
    (error: unknown) => error,
  );
}

it.each<readonly [string, string, () => string, string | undefined]>([
  ['none/file', 'w', () => `there is no directory ${at('none')}`, 'make that directory, or name another one'],
  ['none/more/file', 'r', () => `there is no directory ${at('none/more')}`, 'check the path'],
  ['there/file', 'r', () => 'there is no such file', undefined],
  ['file/more', 'r', () => `${at('file')} is not a directory`, undefined],
  ['there', 'w', () => 'it is a directory', undefined],
  ['circle', 'r', () => 'its symbolic links never end', undefined],
  [`there/${'x'.repeat(300)}`, 'w', () => 'the name is too long', undefined],
])('%s, opened by %s, says what is wrong with which path', async (path, flags, why, hint) => {
  const cause = await failureAt(path, flags);
  const error = fileError('cannot use it', at(path), cause, { toWrite: flags === 'w' });
  expect(error).toMatchObject({ code: 'usage', message: `cannot use it: ${why()}`, cause });
  expect(error.hint).toBe(hint);
});

it('has no code and no path that only this process knows in the words of the system', () => {
  const message = "EFBIG: file too large, rename '/a/.b.f00' -> '/a/b'";
  expect(whyNot('/a/b', Object.assign(new Error(message), { code: 'EFBIG' }))).toBe('file too large');
  expect(whyNot('/a/b', new Error('it is longer, by far'))).toBe('it is longer, by far');
});
