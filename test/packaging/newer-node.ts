/** The newest Node that the tests run on, as .ci/nodes pins it: binary and headers, from the npm registry. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../packaging/program.ts';
import { run } from '../rig/command.ts';

const NODES = join(ROOT, '.ci/nodes');
const PACKAGE = 'node-24';

export interface NewerNode {
  /** `24.21.0` */
  readonly version: string;
  /** Holds `bin/node` and `include/node`. */
  readonly prefix: string;
}

/** Installs it, unless .ci/run or an earlier test has. */
export async function newerNode(): Promise<NewerNode> {
  const { dependencies } = await readJson<{ dependencies: Record<string, string> }>('package.json');
  const version = dependencies[PACKAGE]?.split('@').at(-1) ?? '';
  const prefix = join(NODES, 'node_modules', PACKAGE);
  const installed = await readJson<{ version?: string }>(`node_modules/${PACKAGE}/package.json`).catch(
    () => undefined,
  );
  if (installed?.version !== version)
    await run(['npm', 'ci', '--prefix', NODES, '--ignore-scripts', '--no-audit', '--no-fund']);
  return { version, prefix };
}

async function readJson<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(join(NODES, name), 'utf8')) as T;
}
