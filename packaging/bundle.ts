/** Makes dist/: the program, the licenses of what is in it, and its SBOM. */
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundle, bundledFolders, ROOT } from './program.ts';
import { makeSbom } from './sbom.ts';

const out = join(ROOT, 'dist');
const program = join(out, 'imgmv.js');

await rm(out, { recursive: true, force: true });
const folders = bundledFolders(await bundle(program));
await chmod(program, 0o755);
await writeFile(join(out, 'THIRD-PARTY-LICENSES.txt'), await licenses(folders));
await writeFile(join(out, 'imgmv.cdx.json'), `${JSON.stringify(await makeSbom(folders), undefined, 2)}\n`);

/** The license of every package whose code is in the bundle: they ask to go where it goes. */
async function licenses(folders: readonly string[]): Promise<string> {
  const texts = await Promise.all(folders.map((folder) => license(join(ROOT, folder))));
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
