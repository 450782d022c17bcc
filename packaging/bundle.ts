/**
 * Makes dist/imgmv.js: the whole program in one file, but for the native zstd addon. It starts in a quarter of
 * the time and takes 20 MB less memory than the hundreds of files that it is made of.
 */
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, 'dist');
const unused = join(root, 'packaging', 'unused.cjs');

await rm(out, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['cli/main.ts'],
  outfile: join(out, 'imgmv.js'),
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  legalComments: 'none',
  metafile: true,
  external: ['zstd-napi/*'],
  // dockerode loads these to talk to BuildKit and to dial by ssh; imgmv does neither through it.
  alias: { '@grpc/grpc-js': unused, '@grpc/proto-loader': unused, ssh2: unused },
  // What is CommonJS among the packages still asks for Node's own modules by require.
  banner: {
    js: "import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);",
  },
});
await chmod(join(out, 'imgmv.js'), 0o755);
await writeFile(join(out, 'THIRD-PARTY-LICENSES.txt'), await licenses(metafile));

/** The license of every package whose code is in the bundle: they ask to go where it goes. */
async function licenses({ inputs }: Metafile): Promise<string> {
  const folders = new Set(
    Object.keys(inputs).flatMap(
      (input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)?.[0] ?? [],
    ),
  );
  const texts = await Promise.all([...folders].sort().map((folder) => license(join(root, folder))));
  return texts.join(`\n${'-'.repeat(80)}\n\n`);
}

async function license(folder: string): Promise<string> {
  const {
    name,
    version,
    license: spdx,
  } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    license: string;
  };
  const file = (await readdir(folder)).find((entry) => /^(licen[cs]e|copying|unlicense)/i.test(entry));
  const text = file === undefined ? `License: ${spdx}` : await readFile(join(folder, file), 'utf8');
  return `${name} ${version}\n\n${text.trim()}\n`;
}
