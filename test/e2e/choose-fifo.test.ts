/** Lists and compose files that are pipes: the first signal ends a run that waits for one. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { it } from 'vitest';
import { run } from '../rig/command.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { scratchDirectory } from '../rig/scratch.ts';
import { expectEnd, expectOpen } from './scene.ts';

it.each(['--file', '--compose'])('a stop is heard while the fifo of %s has no writer', async (option) => {
  await using scratch = await scratchDirectory();
  const fifo = join(scratch.path, 'fifo');
  await run(['mkfifo', fifo]);
  await using imgmv = runImgmv(['ls', option, fifo]);
  await expectOpen(imgmv, fifo);
  imgmv.kill('SIGTERM');
  // Nobody ever writes: nothing else ends it.
  await expectEnd(imgmv, 143, /stopped by SIGTERM/);
});

it.each([
  ['--file', 'web:/(/', /fifo, line 1: /],
  ['--compose', 'services: []', /fifo:1: /],
])('what comes late through the fifo of %s is read', async (option, text, said) => {
  await using scratch = await scratchDirectory();
  const fifo = join(scratch.path, 'fifo');
  await run(['mkfifo', fifo]);
  await using imgmv = runImgmv(['ls', option, fifo]);
  await expectOpen(imgmv, fifo);
  const writer = spawn('sh', ['-c', 'echo "$2" > "$1"', 'sh', fifo, text], { stdio: 'ignore' });
  await expectEnd(imgmv, 2, said);
  writer.kill('SIGKILL');
});
