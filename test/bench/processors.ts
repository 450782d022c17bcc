/** A processor for each host, so that one machine shows what two would. */
import { readFile } from 'node:fs/promises';
import { run } from '../rig/command.ts';
import type { Engine } from '../rig/engine.ts';
import type { Host } from '../rig/hosts.ts';

/** What runs on the host has this processor, by its number, and no other. */
export function pinned(host: Host, processor: number): Host {
  return { ...host, argv: (command) => host.argv(['taskset', '--cpu-list', `${processor}`, ...command]) };
}

/** Gives all that belongs to the engine this processor; or all of them. What it starts later inherits that. */
export async function pinEngine({ pid }: Engine, processor: number | 'all', count: number): Promise<void> {
  const list = processor === 'all' ? `0-${count - 1}` : `${processor}`;
  for (const one of [pid, ...(await descendants(pid))])
    await run(['taskset', '--all-tasks', '--cpu-list', '--pid', list, `${one}`]);
}

async function descendants(pid: number): Promise<readonly number[]> {
  const found: number[] = [];
  for (const task of (await run(['ls', `/proc/${pid}/task`])).trim().split('\n')) {
    const children = (await readFile(`/proc/${pid}/task/${task}/children`, 'utf8')).trim();
    for (const child of children === '' ? [] : children.split(' ').map(Number))
      found.push(child, ...(await descendants(child)));
  }
  return found;
}
