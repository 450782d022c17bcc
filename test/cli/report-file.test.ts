import { chmod, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Report } from '../../cli/report/report.ts';
import { ReportFile } from '../../cli/report/report-file.ts';
import { scratchDirectory } from '../rig/scratch.ts';

it.each([0o600, 0o666])('keeps the mode of a report that is written again: %o', async (mode) => {
  await using scratch = await scratchDirectory();
  const path = join(scratch.path, 'report.md');
  const data = new Report({ command: 'send' }).data(0);
  new ReportFile(path).write(data);
  expect((await stat(path)).mode & 0o777).toBe(0o644);
  await chmod(path, mode);
  new ReportFile(path).write(data);
  expect((await stat(path)).mode & 0o777).toBe(mode);
  expect(await readdir(scratch.path)).toEqual(['report.md']);
});
