/** What a receiver finds out before it listens: where its images could not be written, nobody is to send any. */
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { ArchiveEndpoint } from '../../../agent/archive/endpoint.ts';
import { parseEndpoint, type SinkEndpoint } from '../../../agent/ends/endpoint.ts';
import { quietEnd } from '../../quiet-end.ts';
import { run } from '../../rig/command.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';

let scratch: ScratchDirectory;
let folder: string;
let tests = 0;

beforeAll(async () => {
  scratch = await scratchDirectory();
});
beforeEach(async () => {
  folder = join(scratch.path, `${++tests}`);
  await mkdir(folder);
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

const at = (name: string) => join(folder, name);
/** `each:NAME`, or a place in the directory of the test. */
function destination(text: string): SinkEndpoint {
  const [kind, name = ''] = text.split(':');
  if (kind === 'each') return { kind: 'each', path: at(name), format: 'tar' };
  return parseEndpoint(`${kind}:${at(name)}`) as ArchiveEndpoint;
}

const check = (endpoint: SinkEndpoint, overwrite: boolean) => quietEnd(endpoint, { overwrite }).check();

const file = (name: string) => writeFile(at(name), 'mine');
const full = async () => {
  await mkdir(at('x'));
  await file('x/mine');
};

it.each<readonly [string, string, RegExp, () => Promise<unknown>]>([
  ['a directory that is not there', 'docker-archive:no/x.tar', /cannot write .*no\/x\.tar/, async () => {}],
  ['a directory that is a file', 'docker-archive:no/x.tar', /cannot write .*no\/x\.tar/, () => file('no')],
  ['a file that exists', 'docker-archive:x.tar', /x\.tar exists already/, () => file('x.tar')],
  ['a fifo', 'oci-archive:x.tar', /x\.tar is a fifo/, () => run(['mkfifo', at('x.tar')])],
  ['a link', 'docker-archive:x.tar', /is a symbolic link/, () => symlink('nowhere', at('x.tar'))],
  ['an ending that is not written', 'docker-archive:x.tar.xz', /makes no \.xz/, async () => {}],
  ['a dir: that exists', 'dir:x', /x exists already/, full],
  ['a dir: that is a file', 'dir:x', /x is a regular file/, () => file('x')],
  ['a dir: in a file', 'dir:no/x', /cannot write .*no\/x/, () => file('no')],
  ['a layout that is none', 'oci:x', /neither an OCI layout nor empty/, full],
  ['a layout that is a file', 'oci:x', /cannot write .*x/, () => file('x')],
  ['files in a file', 'each:x', /cannot write .*x/, () => file('x')],
])('%s is refused', async (_what, text, message, make) => {
  await make();
  const before = await readdir(folder, { recursive: true });
  await expect(check(destination(text), false)).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(message),
  });
  expect(await readdir(folder, { recursive: true })).toEqual(before);
});

it.each(['docker-archive:x.tar', 'oci-archive:x.tar.gz', 'dir:a/x', 'oci:a/x'])(
  '%s leaves nothing where there was nothing',
  async (text) => {
    await check(destination(text), false);
    expect(await readdir(folder)).toEqual([]);
  },
);
