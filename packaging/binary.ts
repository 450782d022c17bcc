/**
 * Makes dist/imgmv-linux-x64, or -arm64 by `--arch arm64`: one file that needs neither Node nor npm. It is a Node with
 * our program in it (https://nodejs.org/api/single-executable-applications.html) and the zstd addon as an asset, compiled
 * for glibc 2.28, which that Node needs, too. Prints what it made.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  access,
  chmod,
  copyFile,
  cp,
  mkdtemp,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { PAGES } from '../cli/help.ts';
import { bundleForSingleFile, ROOT } from './program.ts';

const PARTS = join(ROOT, 'packaging', 'binary');
/** By which Node finds out that something was put into it, as its documentation has it. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
/** Of Debian's packages `g++` and `g++-aarch64-linux-gnu`. */
const COMPILERS = {
  x64: { CC: 'gcc', CXX: 'g++' },
  arm64: { CC: 'aarch64-linux-gnu-gcc', CXX: 'aarch64-linux-gnu-g++' },
};

/** Node 24 wants 2.28. */
const GLIBC_MINOR_MAX = 28;

type Arch = keyof typeof COMPILERS;

const run = promisify(execFile);

const { values } = parseArgs({ options: { arch: { type: 'string', default: 'x64' } } });
if (!Object.hasOwn(COMPILERS, values.arch))
  throw new Error(`--arch ${values.arch}: it is ${Object.keys(COMPILERS).join(' or ')}`);
const arch = values.arch as Arch;
const directory = await mkdtemp(join(tmpdir(), 'imgmv-binary-'));
const program = join(ROOT, 'dist', `imgmv-linux-${arch}`);
const unfinished = `${program}.${process.pid}`;
try {
  await install();
  await copyFile(nodeFor(arch), unfinished);
  await chmod(unfinished, 0o755);
  await putInto(unfinished, await preparedBlob());
  await rename(unfinished, program);
  const sum = createHash('sha256')
    .update(await readFile(program))
    .digest('hex');
  console.log(`${sum}  ${program.slice(ROOT.length)}`);
} finally {
  await rm(unfinished, { force: true });
  await rm(directory, { recursive: true });
}

/** The Nodes for both kinds of processor, of which npm would leave out the other one's unless it is forced. */
async function install(): Promise<void> {
  const there = await Promise.all([nodeFor('x64'), nodeFor('arm64')].map(isThere));
  if (there.every(Boolean)) return;
  const quiet = ['--no-audit', '--no-fund'];
  await run('npm', ['ci', '--prefix', PARTS, '--force', '--ignore-scripts', ...quiet]);
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function nodeFor(processor: Arch): string {
  return join(PARTS, 'node_modules', `node-linux-${processor}`, 'bin', 'node');
}

/** Ours, as Node wants it. */
async function preparedBlob(): Promise<string> {
  const main = join(directory, 'imgmv.cjs');
  const output = join(directory, 'imgmv.blob');
  const config = join(directory, 'sea.json');
  await bundleForSingleFile(main);
  const pages = PAGES.map((page) => `docs/${page}.md`);
  const assets = {
    'zstd-napi/binding.js': await addon(),
    ...Object.fromEntries(['package.json', ...pages].map((path) => [path, join(ROOT, path)])),
  };
  // Compiled code is for one kind of processor.
  const useCodeCache = arch === process.arch;
  await writeFile(
    config,
    JSON.stringify({ main, output, assets, useCodeCache, disableExperimentalSEAWarning: true }),
  );
  await run(nodeFor(process.arch as Arch), ['--experimental-sea-config', config]);
  return output;
}

/** Compiled anew, out of the package that npm has installed. Returns the path. */
async function addon(): Promise<string> {
  const gyp = process.env.npm_config_node_gyp;
  if (gyp === undefined) throw new Error('run this by npm: npm run binary');
  const modules = join(directory, 'node_modules');
  const source = join(modules, 'zstd-napi');
  await cp(join(ROOT, 'node_modules', 'zstd-napi'), source, {
    recursive: true,
    filter: (path) => !path.endsWith('/build'),
  });
  await symlink(join(ROOT, 'node_modules', 'node-addon-api'), join(modules, 'node-addon-api'));
  const include = `-include ${join(PARTS, 'glibc.h')}`;
  const env = { ...process.env, ...COMPILERS[arch], CFLAGS: include, CXXFLAGS: include, JOBS: 'max' };
  await run(process.execPath, [gyp, 'rebuild', `--arch=${arch}`, `--directory=${source}`], { env });
  const built = join(source, 'build', 'Release', 'binding.node');
  await checkGlibc(built);
  return built;
}

/** Throws for an addon that wants a newer C library than Node does. */
async function checkGlibc(path: string): Promise<void> {
  const { stdout } = await run('readelf', ['--version-info', '--wide', path]);
  const versions = [...stdout.matchAll(/GLIBC_2\.([0-9]+)/g)].map(([, minor]) => Number(minor));
  const newest = Math.max(...versions);
  if (!(newest <= GLIBC_MINOR_MAX))
    throw new Error(`the addon wants glibc 2.${newest}: see packaging/binary/glibc.h`);
}

async function putInto(program: string, blob: string): Promise<void> {
  const postject = join(PARTS, 'node_modules', 'postject', 'dist', 'cli.js');
  await run(process.execPath, [postject, program, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE]);
}
