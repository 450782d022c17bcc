/** The package as it would be published: what is in it, and that it installs and runs from elsewhere. */
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { run } from '../rig/command.ts';
import { IMGMV } from '../rig/imgmv.ts';
import { scratchDirectory } from '../rig/scratch.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const INSTALL_TIMEOUT_MS = 300_000;
const PACKED_MAX_BYTES = 560_000;

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
    const report = await run(
      ['npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', directory.path],
      { cwd: PROJECT },
    );
    const [packed] = JSON.parse(report) as [Packed];
    const paths = packed.files.map(({ path }) => path);
    expect(paths.sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist/THIRD-PARTY-LICENSES.txt',
      'dist/imgmv.js',
      'docs/SECURITY.md',
      'docs/archives.md',
      'docs/engines.md',
      'docs/install.md',
      'docs/move.md',
      'docs/move.schema.json',
      'docs/push.md',
      'docs/report.md',
      'package.json',
      'proto/PROTOCOL.md',
    ]);
    expect(packed.size).toBeLessThan(PACKED_MAX_BYTES);

    const prefix = join(directory.path, 'prefix');
    const archive = join(directory.path, packed.filename);
    await run(['npm', 'install', '--global', '--no-audit', '--no-fund', '--prefix', prefix, archive]);
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
