/** What people read first, word for word: golden/ has it, and `vitest -u` writes it anew. */
import { expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { runImgmv } from '../rig/imgmv.ts';

const helps = [
  { args: ['--help'], golden: 'imgmv' },
  { args: ['receive', '--help'], golden: 'receive' },
  { args: ['send', '--help'], golden: 'send' },
  { args: ['plan', '--help'], golden: 'plan' },
  { args: ['copy', '--help'], golden: 'copy' },
  { args: ['clean', '--help'], golden: 'clean' },
  { args: ['ls', '--help'], golden: 'ls' },
  { args: ['doctor', '--help'], golden: 'doctor' },
  { args: ['completion', '--help'], golden: 'completion' },
];

it.each(helps)('$args', async ({ args, golden }) => {
  await using imgmv = runImgmv(args);
  expect(await imgmv.exit).toEqual({ code: 0, signal: null });
  expect(imgmv.stderr).toBe('');
  await expect(imgmv.stdout).toMatchFileSnapshot(`golden/${golden}.txt`);
});

it.each([
  { args: ['help'], golden: 'imgmv' },
  { args: ['help', 'send'], golden: 'send' },
])('$args', async ({ args, golden }) => {
  await using imgmv = runImgmv(args);
  expect(await imgmv.exit).toEqual({ code: 0, signal: null });
  expect(imgmv.stderr).toBe('');
  await expect(imgmv.stdout).toMatchFileSnapshot(`golden/${golden}.txt`);
});

it.each(['--version', '-V', 'version'])('%s', async (flag) => {
  await using imgmv = runImgmv([flag]);
  expect(await imgmv.exit).toEqual({ code: 0, signal: null });
  expect([imgmv.stdout, imgmv.stderr]).toEqual([`${manifest.version}\n`, '']);
});

it('without a command: the help, and 2', async () => {
  await using imgmv = runImgmv([]);
  expect(await imgmv.exit).toEqual({ code: 2, signal: null });
  expect([imgmv.stdout, imgmv.stderr]).toEqual(['', expect.stringContaining('Usage: imgmv')]);
});
