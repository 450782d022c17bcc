/** What is in the bundle: what we want there, and all of it in the SBOM. Needs no build: it bundles, and writes nothing. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { beforeAll, expect, it } from 'vitest';
import { versionString } from 'zstd-napi/binding.js';
import { bundle, bundledFolders, ROOT } from '../../packaging/program.ts';
import { makeSbom } from '../../packaging/sbom.ts';

/** All packages whose code may be in the bundle. Each one is code that runs on two hosts as root: add to it with care. */
const BUNDLED = [
  '@clack/core',
  '@scure/bip39',
  'ansi-regex',
  'b4a',
  'cli-progress',
  'commander',
  'debug',
  'docker-modem',
  'dockerode',
  'emoji-regex',
  'events-universal',
  'fast-fifo',
  'fast-string-truncated-width',
  'fast-string-width',
  'fast-wrap-ansi',
  'fastest-levenshtein',
  'is-fullwidth-code-point',
  'ms',
  'pretty-bytes',
  'sisteransi',
  'split-ca',
  'streamx',
  'string-width',
  'strip-ansi',
  'tar-stream',
  'text-decoder',
  'tweetnacl',
  'valibot',
  'ws',
  'yaml',
];
/** Of these the addon consists, which stands beside the bundle. */
const ADDON = ['zstd-napi', 'node-addon-api', 'zstd'];

interface Sbom {
  readonly components: readonly {
    readonly 'bom-ref': string;
    readonly group?: string;
    readonly name: string;
    readonly version: string;
    readonly purl: string;
    readonly licenses: readonly ({ license: { id: string } } | { expression: string })[];
    readonly hashes?: readonly { alg: string; content: string }[];
  }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

let folders: string[];
let sbom: Sbom;
let lock: Record<string, { version: string; integrity: string; license: string }>;

beforeAll(async () => {
  folders = bundledFolders(await bundle());
  sbom = (await makeSbom(folders)) as Sbom;
  ({ packages: lock } = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')));
});

function names(): string[] {
  return sbom.components.map(({ group, name }) => (group === undefined ? name : `${group}/${name}`));
}

it('holds the packages that are wanted in the bundle, and no others', () => {
  expect(folders.map((folder) => folder.replace(/^.*node_modules\//, ''))).toEqual(BUNDLED);
});

it('lists each package of the bundle, the addon and what the addon is compiled from, and nothing else', async () => {
  expect(names()).toEqual([...BUNDLED, ...ADDON]);
  // From the bundle itself, whatever the folders above say: esbuild heads the code of each file with its path.
  const { outputs } = await bundle();
  const code = Object.values(outputs).flatMap(({ inputs }) =>
    Object.keys(inputs).filter((file) => (inputs[file]?.bytesInOutput ?? 0) > 0),
  );
  const listed = new Set(names());
  const packages = code.filter((file) => file.includes('node_modules/'));
  expect(packages.length).toBeGreaterThan(100);
  for (const file of packages) {
    const [, name = ''] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file) ?? [];
    expect(listed, file).toContain(name);
  }
});

it('has version, license and hash of each as package-lock.json pins it', () => {
  for (const [index, folder] of [
    ...folders,
    'node_modules/zstd-napi',
    'node_modules/node-addon-api',
  ].entries()) {
    const component = sbom.components[index];
    const { version, integrity, license } = lock[folder] ?? {};
    expect(component?.version, folder).toBe(version);
    expect(component?.licenses, folder).toEqual([{ license: { id: license } }]);
    const sha512 = Buffer.from(component?.hashes?.[0]?.content ?? '', 'hex').toString('base64');
    expect(`sha512-${sha512}`, folder).toBe(integrity);
  }
});

it('names packages by package URLs', () => {
  const purlOf = (wanted: string) => sbom.components[names().indexOf(wanted)]?.purl;
  expect(purlOf('ws')).toMatch(/^pkg:npm\/ws@8\.[0-9]+\.[0-9]+$/);
  expect(purlOf('@scure/bip39')).toMatch(/^pkg:npm\/%40scure\/bip39@2\./);
  expect(purlOf('zstd')).toMatch(/^pkg:github\/facebook\/zstd@v1\.[0-9]+\.[0-9]+$/);
});

it('names the zstd that the addon has in it', () => {
  expect(sbom.components.at(-1)).toMatchObject({ name: 'zstd', version: versionString() });
});

it('says what depends on what, of all that it lists', () => {
  const refs = sbom.components.map((component) => component['bom-ref']);
  const [program, addon] = sbom.dependencies;
  expect(program?.ref).toMatch(/^pkg:npm\/imgmv@/);
  expect(addon?.ref).toMatch(/^pkg:npm\/zstd-napi@/);
  expect([...(program?.dependsOn ?? []), ...(addon?.dependsOn ?? [])].sort()).toEqual([...refs].sort());
});

it('is valid CycloneDX 1.6', async () => {
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
  expect(await validator.validate(JSON.stringify(sbom))).toBeNull();
  const broken = { ...sbom, components: [{ ...sbom.components[0], type: 'nonsense' }] };
  expect(await validator.validate(JSON.stringify(broken))).not.toBeNull();
});

it('is the same each time', async () => {
  expect(JSON.stringify(await makeSbom(bundledFolders(await bundle())))).toBe(JSON.stringify(sbom));
});

it('needs what it lists to be pinned', async () => {
  await expect(makeSbom(['node_modules/no-such-package'])).rejects.toThrow(
    'package-lock.json has no node_modules/no-such-package',
  );
});
