import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Event } from '../../agent/model/events.ts';
import { openReport } from '../../cli/report/report-run.ts';
import { scratchDirectory } from '../rig/scratch.ts';

const plan = (only: boolean): Event => ({ event: 'plan', images: [], only, target: 'host-b' });

it.each([
  ['a plan that is carried out', [plan(true), plan(false)], true],
  ['a plan alone', [plan(true)], false],
  ['no plan', [], false],
] as const)('a report of moves is not written of a plan: %s', async (_what, events, written) => {
  await using scratch = await scratchDirectory();
  const path = join(scratch.path, 'report.json');
  const run = openReport({ command: 'send', commandLine: 'imgmv plan', report: path, reportsMoves: true });
  for (const event of events) run?.add(event);
  expect(run?.write(0, undefined)).toBeUndefined();
  expect(existsSync(path)).toBe(written);
});
