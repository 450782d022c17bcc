/** How a helper is ended, and what there is where none can be started. */
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { askHelper } from '../../../agent/push/credential-helper.ts';
import { ImgmvError } from '../../../proto/errors.ts';
import { scratchDirectory } from '../../rig/scratch.ts';
import { writeHelper } from './docker-directory.ts';

vi.mock('node:child_process', async (original) => {
  const module = await original<typeof import('node:child_process')>();
  return { ...module, spawn: vi.fn(module.spawn) };
});

it('says that it cannot run one where there is no file descriptor left', async () => {
  // As node has it then: an event, and no streams.
  vi.mocked(spawn).mockImplementationOnce(() => {
    const child = new EventEmitter() as ChildProcess;
    process.nextTick(() => child.emit('error', Object.assign(new Error('spawn EMFILE'), { code: 'EMFILE' })));
    return child;
  });
  const asked = askHelper('x', 'r.example', 'config.json', { env: {}, signal: new AbortController().signal });
  await expect(asked).rejects.toMatchObject({
    code: 'push-failed',
    message: 'no credentials for the push: docker-credential-x (config.json) cannot be run: EMFILE',
  });
});

it.each(['at its deadline', 'at a stop'])('ends one with all that it has started %s', async (when) => {
  await using scratch = await scratchDirectory();
  const file = join(scratch.path, 'started');
  await writeHelper(scratch.path, 'waits', `sleep 60 & echo $! > '${file}'; wait`);
  const stop = new AbortController();
  const asked = askHelper('waits', 'r.example', 'config.json', {
    env: { PATH: `${scratch.path}:${process.env.PATH}` },
    signal: stop.signal,
    ...(when === 'at its deadline' && { helperMs: 1_000 }),
  });
  const failed = expect(asked).rejects.toMatchObject({
    code: when === 'at its deadline' ? 'push-failed' : 'sigint',
  });
  const pidOf = async () => Number(await readFile(file, 'utf8').catch(() => ''));
  await expect.poll(pidOf).toBeGreaterThan(0);
  const started = await pidOf();
  if (when === 'at a stop') stop.abort(new ImgmvError('sigint', 'stopped'));
  await failed;
  await expect.poll(() => runs(started)).toBe(false);
});

/** What is dead and not yet waited for does not. */
async function runs(pid: number): Promise<boolean> {
  await sleep(10);
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return status !== '' && !/\) [ZX] /.test(status);
}
