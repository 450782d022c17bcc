/** What people type, for a shell to run against one of the bench's engines. */
import { run } from '../rig/command.ts';
import type { Engine } from '../rig/engine.ts';

export function save({ dockerHost }: Engine, references: readonly string[]): string {
  return `docker --host ${dockerHost} save ${references.join(' ')}`;
}

export function load({ dockerHost }: Engine): string {
  return `docker --host ${dockerHost} load --quiet`;
}

/** Fails if any command of a pipe does. */
export function bash(script: string): Promise<string> {
  return run(['bash', '-c', `set -o pipefail; ${script}`]);
}
