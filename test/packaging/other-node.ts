/** Releases of Node beside the machine's own, from the npm registry, as folders of .ci/ pin them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../packaging/program.ts';
import { run } from '../rig/command.ts';

export interface OtherNode {
  /** `24.21.0` */
  readonly version: string;
  /** Holds `bin/node` and `include/node`. */
  readonly prefix: string;
}

/** The newest Node that the tests run on. */
export function newerNode(): Promise<OtherNode> {
  return otherNode('nodes', 'node-24');
}

/** A Node that imgmv does not run on. */
export function oldNode(major: 16 | 18): Promise<OtherNode> {
  return otherNode('old-nodes', `node-${major}`);
}

/** Installs it, unless .ci/run or an earlier test has. */
async function otherNode(folder: string, name: string): Promise<OtherNode> {
  const root = join(ROOT, '.ci', folder);
  const { dependencies } = await readJson<{ dependencies: Record<string, string> }>(
    join(root, 'package.json'),
  );
  const version = dependencies[name]?.split('@').at(-1) ?? '';
  const prefix = join(root, 'node_modules', name);
  const installed = await readJson<{ version?: string }>(join(prefix, 'package.json')).catch(() => undefined);
  if (installed?.version !== version)
    await run(['npm', 'ci', '--prefix', root, '--ignore-scripts', '--no-audit', '--no-fund']);
  return { version, prefix };
}

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, 'utf8')) as T;
}
