/** The package as it would be published: what is in it, and that it installs and runs from elsewhere. */
import { access, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { run } from '../rig/command.ts';
import { IMGMV } from '../rig/imgmv.ts';
import { scratchDirectory } from '../rig/scratch.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const INSTALL_TIMEOUT_MS = 900_000;
const PACKED_MAX_BYTES = 520_000;

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

it(
  'installs from what npm packs, and holds what is wanted alone',
  async () => {
    await using directory = await scratchDirectory();
    // `npm test` has just built; building again would take dist/ from under the other tests.
    await access(IMGMV);
    // As `npm run binary` leaves one, of 128 MB.
    const executable = join(PROJECT, 'dist', 'imgmv-linux-test');
    await writeFile(executable, '');
    const report = await run(
      ['npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', directory.path],
      { cwd: PROJECT },
    ).finally(() => rm(executable));
    const [packed] = JSON.parse(report) as [Packed];
    const paths = packed.files.map(({ path }) => path);
    expect(paths.sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist/THIRD-PARTY-LICENSES.txt',
      'dist/imgmv.cdx.json',
      'dist/imgmv.js',
      'docs/SECURITY.md',
      'docs/architecture.md',
      'docs/archives.md',
      'docs/choosing.md',
      'docs/config.md',
      'docs/development.md',
      'docs/engines.md',
      'docs/install.md',
      'docs/move.md',
      'docs/move.schema.json',
      'docs/moving-a-server.md',
      'docs/push.md',
      'docs/report.md',
      'docs/scripts.md',
      'docs/speed.md',
      'docs/usage.md',
      'package.json',
      'proto/PROTOCOL.md',
    ]);
    expect(packed.size).toBeLessThan(PACKED_MAX_BYTES);

    const prefix = join(directory.path, 'prefix');
    const archive = join(directory.path, packed.filename);
    await using downloads = await downloadSite();
    await run(['npm', 'install', '--global', '--no-audit', '--no-fund', '--prefix', prefix, archive], {
      env: { ...downloads.env, npm_config_build_from_source: 'true' },
    });
    expect(downloads.asked).toEqual([]);
    // Without the variable the addon would come from there.
    const modules = join(prefix, 'lib/node_modules/imgmv/node_modules');
    const installing = run([process.execPath, join(modules, 'prebuild-install/bin.js'), '-r', 'napi'], {
      env: downloads.env,
      cwd: join(modules, 'zstd-napi'),
    });
    await expect(installing).rejects.toThrow('status 1');
    expect(downloads.asked).toEqual([expect.stringMatching(/zstd-napi-v[0-9.]+-napi-v[0-9]+-linux-/)]);
    const imgmv = join(prefix, 'bin/imgmv');
    const { version } = JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(await run([imgmv, '--version'])).toBe(`${version}\n`);
    const help = await run([imgmv, '--help']);
    for (const command of ['receive', 'send']) expect(help).toContain(command);
    // Loads everything that it needs, the native addon too, before it finds no engine.
    const sending = run([
      imgmv,
      'send',
      'x',
      '--to',
      'localhost',
      '--docker-host',
      `unix://${directory.path}/none`,
    ]);
    await expect(sending).rejects.toThrow(/status 14: imgmv: no docker engine/);
  },
  INSTALL_TIMEOUT_MS,
);

/** Stands for the place where the addon's maker has ready-made binaries, and has none. */
async function downloadSite() {
  const asked: string[] = [];
  const server = createServer(({ url = '' }, response) => {
    asked.push(url);
    response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    asked,
    env: { ...process.env, npm_config_zstd_napi_binary_host: site },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
