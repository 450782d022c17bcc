/** What the documents tell people to type to run the container. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from '../../packaging/program.ts';

it.each([
  ['README.md', 1],
  ['docs/install.md', 3],
])('%s: each command for a container keeps out of the log of docker', async (name, count) => {
  const text = await readFile(join(ROOT, name), 'utf8');
  const commands = text.replaceAll(/\\\n */g, '').match(/^ {4}docker run .*$/gm) ?? [];
  const moving = commands.filter((command) => / imgmv (?:receive|send|plan)\b/.test(command));
  expect(moving.length).toBeGreaterThanOrEqual(count);
  for (const command of moving) expect(command).toContain(' --log-driver none ');
});
