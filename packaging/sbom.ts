/**
 * The software bill of materials, CycloneDX 1.6: the packages whose code is in the bundle, and what the zstd addon
 * consists of, which is loaded from beside it. It has neither a date nor a serial number, so that the same sources make
 * the same file.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from './program.ts';

const ADDON = 'node_modules/zstd-napi';
/** Its headers are compiled into the addon. */
const ADDON_HEADERS = 'node_modules/node-addon-api';

interface Component {
  readonly type: 'application' | 'library';
  readonly 'bom-ref': string;
  readonly group?: string;
  readonly name: string;
  readonly version: string;
  readonly licenses: readonly (
    | { readonly license: { readonly id: string } }
    | { readonly expression: string }
  )[];
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  readonly cpe?: string;
  readonly purl: string;
}

/** What of an entry of package-lock.json we use. */
interface Locked {
  readonly version: string;
  readonly license: string;
  readonly integrity: string;
  /** Under an alias, the package's own name. */
  readonly name?: string;
}

/** `folders`: where the bundled packages are installed, as package-lock.json has it. */
export async function makeSbom(folders: readonly string[]): Promise<object> {
  const { packages } = await readJson<{ packages: Record<string, Locked> }>('package-lock.json');
  const installed = (folder: string): Component => {
    const locked = packages[folder];
    if (locked === undefined) throw new Error(`package-lock.json has no ${folder}: run npm ci`);
    return packageOf(locked.name ?? folder.slice(folder.lastIndexOf('node_modules/') + 13), locked);
  };
  const program = await programComponent();
  const bundled = folders.map(installed);
  const addon = installed(ADDON);
  const compiled = [installed(ADDON_HEADERS), await zstd()];
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: program },
    components: unique([...bundled, addon, ...compiled]),
    dependencies: [
      { ref: program['bom-ref'], dependsOn: refs([...bundled, addon]) },
      { ref: addon['bom-ref'], dependsOn: refs(compiled) },
    ],
  };
}

/** npm may install one version in several places. */
function unique(components: readonly Component[]): Component[] {
  return [...new Map(components.map((component) => [component['bom-ref'], component])).values()];
}

function refs(components: readonly Component[]): string[] {
  return unique(components).map((component) => component['bom-ref']);
}

async function programComponent(): Promise<Component> {
  const { name, version, license } = await readJson<{ name: string; version: string; license: string }>(
    'package.json',
  );
  return { type: 'application', ...named(name, version), licenses: licensesOf(license) };
}

function packageOf(name: string, { version, license, integrity }: Locked): Component {
  const [algorithm = '', base64 = ''] = integrity.split('-');
  if (algorithm !== 'sha512') throw new Error(`package-lock.json has no sha512 for ${name}: ${integrity}`);
  return {
    type: 'library',
    ...named(name, version),
    licenses: licensesOf(license),
    hashes: [{ alg: 'SHA-512', content: Buffer.from(base64, 'base64').toString('hex') }],
  };
}

/** The C library whose sources zstd-napi brings along, and the hash of zstd-napi covers. */
async function zstd(): Promise<Component> {
  const header = await readFile(join(ROOT, ADDON, 'deps/zstd/lib/zstd.h'), 'utf8');
  const version = ['MAJOR', 'MINOR', 'RELEASE']
    .map((part) => new RegExp(`^#define ZSTD_VERSION_${part} +([0-9]+)`, 'm').exec(header)?.[1])
    .join('.');
  const purl = `pkg:github/facebook/zstd@v${version}`;
  return {
    type: 'library',
    'bom-ref': purl,
    name: 'zstd',
    version,
    licenses: licensesOf('BSD-3-Clause OR GPL-2.0-only'),
    cpe: `cpe:2.3:a:facebook:zstandard:${version}:*:*:*:*:*:*:*`,
    purl,
  };
}

function named(
  name: string,
  version: string,
): Pick<Component, 'bom-ref' | 'group' | 'name' | 'version' | 'purl'> {
  const [bare = '', group] = name.split('/').reverse();
  const purl = `pkg:npm/${group === undefined ? '' : `${group.replace('@', '%40')}/`}${bare}@${version}`;
  return { 'bom-ref': purl, ...(group !== undefined && { group }), name: bare, version, purl };
}

function licensesOf(spdx: string): Component['licenses'] {
  return [/[ (]/.test(spdx) ? { expression: spdx } : { license: { id: spdx } }];
}

async function readJson<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(join(ROOT, name), 'utf8')) as T;
}
