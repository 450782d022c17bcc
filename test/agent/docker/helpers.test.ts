/** Whether layers that were kept are in use: what tells it, and what anybody could hold does not. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Helpers, helpersAmong, isOver, isPrivateName } from '../../../agent/docker/helpers.ts';

const SESSION = '0123456789ab';
const DAY_MS = 24 * 3_600_000;
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function helperCalled(name: string) {
  const image = { Id: `sha256:${'0'.repeat(64)}` as const, RepoTags: [name], Created: 0, Size: 1 };
  const [helper] = helpersAmong([image as unknown as Parameters<typeof helpersAmong>[0][number]]);
  if (!helper) throw new Error(`${name} is none of ours`);
  return helper;
}

/** A private name of a session of this process that has ended. */
function endedName(): string {
  using helpers = new Helpers(SESSION);
  return helpers.nextName();
}

/** The same of another process. */
async function nameBy({ pid = 0 }: { readonly pid?: number | undefined }): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
  const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return endedName().replace(/-[0-9]+\.[0-9]+-/, `-${pid}.${started}-`);
}

/** A process of another user than root where we are root. */
async function running(): Promise<ChildProcess> {
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const child = spawn('sleep', ['600'], { stdio: 'ignore', ...nobody });
  children.push(child);
  await once(child, 'spawn');
  return child;
}

describe.runIf(process.platform === 'linux')('what a session keeps is in use', () => {
  it('until the session ends, in its own process', () => {
    const helpers = new Helpers(SESSION);
    const name = helpers.nextName();
    expect(isPrivateName(name)).toBe(true);
    expect(helperCalled(name).live).toBe(true);
    helpers[Symbol.dispose]();
    expect(helperCalled(name).live).toBe(false);
  });

  it('while its process runs, whoever’s it is, and no longer', async () => {
    const child = await running();
    const name = await nameBy(child);
    expect(helperCalled(name).live).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(helperCalled(name).live).toBe(false);
  });

  it('not for a process that has its id by now', async () => {
    const child = await running();
    const name = (await nameBy(child)).replace(/\.[0-9]+-/, '.1-');
    expect(helperCalled(name).live).toBe(false);
  });

  it('not for a process that has ended and was not waited for', async () => {
    // A shell that has become sleep waits for nothing.
    const shell = spawn('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 600'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    children.push(shell);
    const [said] = (await once(shell.stdout, 'data')) as [Buffer];
    const pid = Number(said.toString().trim());
    const name = await nameBy({ pid });
    const state = async () => (await readFile(`/proc/${pid}/stat`, 'latin1')).replace(/^.*\) (.).*$/s, '$1');
    while ((await state()) !== 'Z') await sleep(50);
    expect(helperCalled(name).live).toBe(false);
  });

  it('perhaps, where its process cannot be seen from here', async () => {
    const elsewhere = (await nameBy(await running())).replace(
      new RegExp(`(?<=${SESSION}-)[0-9a-f]{8}`),
      '01234567',
    );
    expect(helperCalled(elsewhere).live).toBeUndefined();
  });

  it('not since somebody holds a socket of the name of its session', async () => {
    const name = endedName();
    const held = createServer().listen(`\0imgmv-${SESSION}`);
    try {
      await once(held, 'listening');
      expect(helperCalled(name).live).toBe(false);
    } finally {
      held.close();
    }
  });

  it('for a day at most, even if its process still runs', async () => {
    const name = await nameBy(await running());
    const since = (ms: number) => name.replace(/-[0-9]{10}-/, `-${Math.floor(ms / 1000)}-`);
    const [young, old] = [since(Date.now() - DAY_MS + 60_000), since(Date.now() - DAY_MS - 60_000)];
    expect([helperCalled(young), helperCalled(old)].map(({ live }) => live)).toEqual([true, true]);
    expect([helperCalled(young), helperCalled(old)].map(isOver)).toEqual([false, true]);
  });
});

it.each([
  'imgmv-incoming:latest',
  'imgmv-incoming:0123456789ab-01234567-1700000000-1',
  'imgmv-incoming:0123456789ab-01234567-1700000000-99999999.1-1',
  'imgmv-incoming:0123456789ab-01234567-1700000000-1.1-1x',
])('%s is no private name', (name) => {
  expect(isPrivateName(name)).toBe(false);
});
