/** Which test files need only Node, and which need root, an engine or the built program: computed from what they import. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';

export interface Projects {
  /** Test files that run anywhere, without a build; paths in the checkout. They share a process and its modules. */
  readonly unit: readonly string[];
  /** The same, each in a process of its own: they put something else in the place of a module. */
  readonly mocked: readonly string[];
  readonly engines: readonly string[];
}

/** The modules of the rig that a unit test may use. A new module counts as heavy until it is named here. */
const LIGHT = new Set(
  ['cleanup', 'command', 'devices', 'layers', 'projects', 'scratch', 'suite', 'support', 'unit-guard'].map(
    (name) => `test/rig/${name}.ts`,
  ),
);

/** All test files of the checkout at `root`, sorted. */
export async function findTests(root: string): Promise<Projects> {
  const names = await readdir(`${root}/test`, { recursive: true });
  return sortTests(
    root,
    names.filter((name) => name.endsWith('.test.ts')).map((name) => `test/${name}`),
  );
}

/** Sorts test files by all that they import, directly or not; an import of types only does not count. */
export async function sortTests(root: string, files: readonly string[]): Promise<Projects> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [...files],
    outdir: root,
    bundle: true,
    write: false,
    splitting: true,
    metafile: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
    plugins: [testsOnly(join(root, 'test'))],
  });
  const isHeavy = (file: string): boolean => {
    const modules = new Set([file]);
    // A set that grows while it is iterated over yields what was added, too.
    for (const module of modules)
      for (const { path, external } of metafile.inputs[module]?.imports ?? [])
        if (!external) modules.add(path);
    return [...modules].some((module) => isOfRig(module) && !LIGHT.has(module));
  };
  const sorted = [...files].sort();
  const light = sorted.filter((file) => !isHeavy(file));
  const mocks = new Set<string>();
  for (const file of light)
    if (/^vi\.mock\(/m.test(await readFile(join(root, file), 'utf8'))) mocks.add(file);
  return {
    unit: light.filter((file) => !mocks.has(file)),
    mocked: light.filter((file) => mocks.has(file)),
    engines: sorted.filter(isHeavy),
  };
}

function isOfRig(module: string): boolean {
  return module.startsWith('test/rig/') && !module.endsWith('.test.ts');
}

/** Leaves the program out: it imports nothing from its tests. */
function testsOnly(tests: string): Plugin {
  return {
    name: 'tests only',
    setup({ onResolve }) {
      onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) =>
        join(resolveDir, path).startsWith(tests) ? undefined : { external: true },
      );
    },
  };
}
