/**
 * The whole program as one file, but for the native zstd addon. It starts in a quarter of the time and takes 20 MB
 * less memory than the hundreds of files that it is made of.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/**
 * What dockerode loads to build images, to talk to BuildKit and to dial by ssh. imgmv does none of that through it, so
 * none of this code is in the bundle.
 */
const UNUSED = [
  '@balena/dockerignore',
  '@grpc/grpc-js',
  '@grpc/proto-loader',
  'protobufjs',
  'ssh2',
  'tar-fs',
];
const STAND_IN = join(ROOT, 'packaging', 'unused.cjs');

/** The oldest Node that imgmv runs on. */
const NODE_MAJOR_MIN = 20;
/** What the single executable carries. */
const SINGLE_FILE_NODE_MAJOR = 24;
/**
 * The oldest one that parses the program, and so gets to the guard. It has `await` at the top level, which makes no
 * difference to speed: private methods, which older ones lack, would.
 */
const PARSED_FROM = 'node14.18';

/**
 * Runs before anything else of the program. The one import in front of it exists in every Node that parses the file.
 * Packages in CommonJS load Node's own modules with `require`, and so does the program: see `builtinsByRequire`.
 */
const START = `import { createRequire } from 'module';
const require = createRequire(import.meta.url);
if (parseInt(process.versions.node, 10) < ${NODE_MAJOR_MIN}) {
  console.error(\`imgmv: this is Node \${process.versions.node}, and imgmv needs Node 24, 22 or 20: install one from https://nodejs.org/en/download, or run imgmv as a container (see \${new URL('../docs/install.md', import.meta.url).pathname})\`);
  process.exit(1);
}`;

/**
 * Loads Node's own modules by `require`, where the program imports them. An import of a name that an old Node lacks
 * would end it before the guard runs.
 */
const builtinsByRequire: Plugin = {
  name: 'builtins-by-require',
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /^node:/ }, ({ kind, path }) =>
      kind === 'require-call' ? { path, external: true } : { path, namespace: 'builtin' },
    );
    onLoad({ filter: /^/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};

/** The thread that reads layers, as text that the program starts it from: the program stays one file. */
const LAYER_WORKER = 'agent/docker/classic/direct/layer-worker.ts';

async function layerWorker(): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: [LAYER_WORKER],
    write: false,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: `node${NODE_MAJOR_MIN}`,
    legalComments: 'none',
    minify: true,
  });
  return (outputFiles[0] as { text: string }).text;
}

/** Makes `outfile`, or nothing, and tells what is in it. */
export async function bundle(outfile?: string): Promise<Metafile> {
  const { metafile } = await build({
    ...(await settings()),
    outfile: outfile ?? 'imgmv.js',
    write: outfile !== undefined,
    format: 'esm',
    target: PARSED_FROM,
    plugins: [builtinsByRequire],
    banner: { js: START },
  });
  return metafile;
}

/** The same for a single executable, whose Node takes a script that is no module. */
export async function bundleForSingleFile(outfile: string): Promise<void> {
  const { define, ...others } = await settings();
  await build({
    ...others,
    outfile,
    format: 'cjs',
    target: `node${SINGLE_FILE_NODE_MAJOR}`,
    define: { ...define, SINGLE_FILE: 'true', 'import.meta.url': '""' },
  });
}

async function settings() {
  return {
    absWorkingDir: ROOT,
    entryPoints: ['cli/main.ts'],
    bundle: true,
    platform: 'node',
    legalComments: 'none',
    metafile: true,
    // A third less to read at each start. Names stay as they are: they stand in stack traces.
    minifyWhitespace: true,
    minifySyntax: true,
    // Packages are known by where they are installed, also in a tree whose node_modules are links to those of another.
    preserveSymlinks: true,
    alias: {
      ...Object.fromEntries(UNUSED.map((name) => [name, STAND_IN])),
      // Node's own is newer, and there anyway.
      'readable-stream': 'node:stream',
    },
    define: { LAYER_WORKER: JSON.stringify(await layerWorker()) },
  } as const satisfies BuildOptions;
}

/** Where the packages are installed whose code is in the bundle, as package-lock.json has it: `node_modules/ws`. */
export function bundledFolders({ outputs }: Metafile): string[] {
  const files = Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [file] : [])),
  );
  const folders = files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? []);
  return [...new Set(folders)].sort();
}
