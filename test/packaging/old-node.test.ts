/** What the built program says on a Node that it does not run on. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from '../../packaging/program.ts';
import { IMGMV } from '../rig/imgmv.ts';
import { describeOn } from '../rig/suite.ts';
import { supportOf } from '../rig/support.ts';
import { oldNode } from './other-node.ts';

const support = await supportOf(async () => {
  if (process.arch !== 'x64')
    throw new Error(`old releases of Node for x64 are pinned, not for ${process.arch}`);
  await oldNode(18);
});

describeOn('an old Node', [support], () => {
  it.each([
    [16, '--version'],
    [18, '--version'],
    [18, '--help'],
    [18, 'receive'],
  ] as const)('%i: %s ends with one line that says what is needed', async (major, argument) => {
    const { prefix, version } = await oldNode(major);
    const ended = await new Promise((resolve) => {
      execFile(join(prefix, 'bin/node'), [IMGMV, argument], (error, stdout, stderr) =>
        resolve({ code: error?.code, stdout, stderr }),
      );
    });
    expect(ended).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        new RegExp(
          `^imgmv: this is Node ${version}, and imgmv needs Node 24, 22 or 20: install one [^\\n]* \\(see ${ROOT}docs/install.md\\)\\n$`,
        ),
      ),
    });
  });
});
