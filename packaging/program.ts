/**
 * The whole program as one file, but for the native zstd addon. It starts in a quarter of the time and takes 20 MB
 * less memory than the hundreds of files that it is made of.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile } from 'esbuild';

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

/** Makes `outfile`, or nothing, and tells what is in it. */
export async function bundle(outfile?: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ['cli/main.ts'],
    outfile: outfile ?? 'imgmv.js',
    write: outfile !== undefined,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    legalComments: 'none',
    metafile: true,
    external: ['zstd-napi/*'],
    // Packages are known by where they are installed, also in a tree whose node_modules are links to those of another.
    preserveSymlinks: true,
    alias: {
      ...Object.fromEntries(UNUSED.map((name) => [name, STAND_IN])),
      // Node's own is newer, and there anyway.
      'readable-stream': 'node:stream',
    },
    // Packages in CommonJS load Node's own modules with require.
    banner: {
      js: "import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);",
    },
  });
  return metafile;
}

/** Where the packages are installed whose code is in the bundle, as package-lock.json has it: `node_modules/ws`. */
export function bundledFolders({ outputs }: Metafile): string[] {
  const files = Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [file] : [])),
  );
  const folders = files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? []);
  return [...new Set(folders)].sort();
}
