/** How tests are sorted into those that run anywhere and those that need this machine. */
import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { run } from './command.ts';
import { findTests } from './projects.ts';
import { scratchDirectory } from './scratch.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

/** As a checkout has its modules. */
const RIG = {
  'test/rig/engine.ts': 'export interface Engine {}\nexport const startEngine = 1;',
  'test/rig/scratch.ts': 'export const scratch = 1;',
  'test/rig/new.ts': 'export const added = 1;',
  'agent/agent.ts': 'export const agent = 1;',
};

it.each([
  ['nothing', '', 'unit'],
  ['the program', "export * from '../agent/agent.ts'", 'unit'],
  ['a package', "import { it } from 'vitest'; it", 'unit'],
  ['what is light in the rig', "export * from './rig/scratch.ts'", 'unit'],
  [
    'a type of what is heavy',
    "import type { Engine } from './rig/engine.ts'; export type E = Engine",
    'unit',
  ],
  ['what it mocks', "import { vi } from 'vitest';\nvi.mock('../agent/agent.ts')", 'mocked'],
  ['what is heavy in the rig', "export * from './rig/engine.ts'", 'engines'],
  ['the same, later', "export const later = () => import('./rig/engine.ts')", 'engines'],
  ['the same, by way of another', "export * from './scene.ts'", 'engines'],
  ['what is new in the rig', "export * from './rig/new.ts'", 'engines'],
])('a test that imports %s', async (_what, source, project) => {
  await using scratch = await scratchDirectory();
  const files = { ...RIG, 'test/scene.ts': "export * from './rig/engine.ts'", 'test/a.test.ts': source };
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(scratch.path, name)), { recursive: true });
    await writeFile(join(scratch.path, name), text);
  }
  const expected = { unit: [], mocked: [], engines: [], [project]: ['test/a.test.ts'] };
  expect(await findTests(scratch.path)).toEqual(expected);
});

it('every test of this checkout is in one project', async () => {
  const { unit, mocked, engines } = await findTests(PROJECT);
  expect(unit).toContain('test/proto/noise.test.ts');
  expect(unit).toContain('test/rig/projects.test.ts');
  expect(mocked).toContain('test/conformance/peer.test.ts');
  expect(engines).toContain('test/e2e/push.test.ts');
  expect(engines).toContain('test/packaging/npm-pack.test.ts');
  const all = [...unit, ...mocked, ...engines];
  expect(new Set(all).size).toBe(all.length);
});

it.each([
  ['an engine', ['docker', '--version']],
  [
    'an engine by way of another program',
    ['setpriv', '--pdeathsig', 'KILL', '/usr/sbin/dockerd', '--version'],
  ],
  ['what only root can', ['mount', '--version']],
  ['the built program', [process.execPath, join(PROJECT, 'dist/imgmv.js'), '--help']],
])('a unit test cannot run %s', async (_what, argv) => {
  await expect(run(argv)).rejects.toThrow(/a unit test runs .*`engines`/);
  expect(() => spawn(argv[0] ?? '', argv.slice(1))).toThrow(/a unit test runs/);
});
