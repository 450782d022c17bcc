/** Paths in a directory that does not exist: which one that is, and what to do. No engine is needed for any of it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { classicTar } from '../hostile/raw-tar.ts';
import { testImage } from '../memory.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';
import { expectEnd } from './scene.ts';

const TO = ['--to', '127.0.0.1:9'];
const NO_ENGINE = ['--docker-host', 'unix:///nowhere/docker.sock'];
const MAKE = 'make that directory, or name another one';
const CHECK = 'check the path';

let scratch: ScratchDirectory;
beforeAll(async () => {
  scratch = await scratchDirectory();
  await writeFile(join(scratch.path, 'web.tar'), classicTar(await testImage({ name: 'web:1.0' })));
  await mkdir(join(scratch.path, 'here'));
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

it.each<readonly [what: string, args: readonly string[], cannot: string, hint: string]>([
  [
    'an archive',
    ['copy', 'docker-archive:web.tar', 'docker-archive:none/x.tar'],
    'write \\S+/none/x.tar',
    MAKE,
  ],
  ['a log', ['ls', '--log', 'none/log', ...NO_ENGINE], 'log to none/log', MAKE],
  [
    'a report',
    ['copy', 'docker-archive:web.tar', 'oci:x', '--report', 'none/a.html'],
    'write the report \\S+/none/a.html',
    MAKE,
  ],
  [
    'a code to show',
    ['receive', '--once', '--listen', '127.0.0.1:0', '--each', 'here', '--code-file', 'none/code'],
    'write the code file \\S+/none/code',
    MAKE,
  ],
  [
    'a code',
    ['send', '--from', 'docker-archive:web.tar', ...TO, '--code-file', 'none/code'],
    'read the code file none/code',
    CHECK,
  ],
  ['a list', ['ls', '--file', 'none/list.txt', ...NO_ENGINE], 'read the list none/list.txt', CHECK],
  ['a move file', ['send', '--move', 'none/move.yaml'], 'read the move file none/move.yaml', CHECK],
  ['a compose file', ['ls', '--compose', 'none/compose.yaml', ...NO_ENGINE], 'read none/compose.yaml', CHECK],
])('of %s', async (_what, args, cannot, hint) => {
  await using imgmv = runImgmv(args, { cwd: scratch.path });
  await expectEnd(
    imgmv,
    2,
    new RegExp(`imgmv: cannot ${cannot}: there is no directory ${scratch.path}/none\n {2}${hint}\n$`),
  );
});

it.each(['docker-archive:none/web.tar', 'oci-archive:none/web.tar', 'oci:none/web', 'dir:none/web'])(
  'of the source %s',
  async (source) => {
    await using imgmv = runImgmv(['copy', source, 'oci:x'], { cwd: scratch.path });
    const hint = `there is no directory ${scratch.path}/none: check the path`;
    await expectEnd(
      imgmv,
      10,
      new RegExp(`^imgmv: no such (file|directory): none/web(\\.tar)?\n {2}${hint}\n$`, 'm'),
    );
  },
);

it('of what is kept meanwhile', async () => {
  const TMPDIR = join(scratch.path, 'none');
  await using imgmv = runImgmv(['copy', 'docker-archive:-', 'oci:x'], { cwd: scratch.path, env: { TMPDIR } });
  const says = `cannot keep standard input under ${TMPDIR}: there is no directory ${TMPDIR}\n`;
  await expectEnd(imgmv, 2, new RegExp(says));
  expect(imgmv.stderr).not.toMatch(/imgmv-\d+-[0-9a-f]{12}/);
});
