/** An installation without a zstd addon that works: what needs none runs, and the rest says how to get one. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, it } from 'vitest';
import { ROOT } from '../../packaging/program.ts';
import { expectEnd } from '../e2e/scene.ts';
import { run } from '../rig/command.ts';
import { runImgmv } from '../rig/imgmv.ts';
import { type ScratchDirectory, scratchDirectory } from '../rig/scratch.ts';

const INSTALL_TIMEOUT_MS = 900_000;
const MISSING =
  /^imgmv: the zstd addon of imgmv cannot be loaded: it was not installed, or not compiled\n {2}compile it/;

let scratch: ScratchDirectory;
let installed: string;

beforeAll(async () => {
  scratch = await scratchDirectory();
  const report = await run(
    ['npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', scratch.path],
    {
      cwd: ROOT,
    },
  );
  const [{ filename }] = JSON.parse(report) as [{ filename: string }];
  // What the shell has to quote.
  const prefix = join(scratch.path, "a user's own");
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefix', prefix];
  await run(['npm', 'install', '--global', ...options, join(scratch.path, filename)]);
  installed = join(prefix, 'lib/node_modules/imgmv');
}, INSTALL_TIMEOUT_MS);
afterAll(() => scratch?.[Symbol.asyncDispose]());

const imgmv = (...args: readonly string[]) => runImgmv(args, { program: join(installed, 'dist/imgmv.js') });
const nowhere = () => ['--docker-host', `unix://${scratch.path}/none`];

it.each([
  ['--version', 0, /^\d+\.\d+\.\d+\n$/],
  ['--help', 0, /^Usage: imgmv /],
])('%s works', async (argument, exit, says) => {
  await using ended = imgmv(argument);
  await expectEnd(ended, exit, says);
});

it.each(['ls', 'clean'])('%s gets as far as the engine', async (command) => {
  await using ended = imgmv(command, ...nowhere());
  await expectEnd(ended, 14, /^imgmv: no docker engine/);
});

it('send, plan and receive say what is missing before anything else', async () => {
  for (const args of [
    ['send', 'web:1.0', '--to', '127.0.0.1:1'],
    ['plan', 'web:1.0', '--to', '127.0.0.1:1'],
    ['receive', '--code-file', join(scratch.path, 'code')],
  ]) {
    await using ended = imgmv(...args, ...nowhere());
    await expectEnd(ended, 1, MISSING);
  }
});

it(
  'the command that it gives makes an addon that works; a broken one is told, too',
  async () => {
    await using without = imgmv('receive', '--code-file', join(scratch.path, 'code'), ...nowhere());
    await without.exit;
    const command = /make and g\+\+: (.*)\n$/.exec(without.stderr)?.[1] ?? 'false';
    await run(['sh', '-euc', command]);
    await using repaired = imgmv('send', 'web:1.0', '--to', '127.0.0.1:1', ...nowhere());
    await expectEnd(repaired, 14, /^imgmv: no docker engine/);

    const addon = join(installed, 'node_modules/zstd-napi/build/Release/binding.node');
    await chmod(addon, 0o755);
    await writeFile(addon, 'made for another processor');
    await using broken = imgmv('send', 'web:1.0', '--to', '127.0.0.1:1', ...nowhere());
    await expectEnd(
      broken,
      1,
      /^imgmv: the zstd addon of imgmv cannot be loaded: .*binding\.node: .+\n {2}compile it/,
    );
  },
  INSTALL_TIMEOUT_MS,
);
