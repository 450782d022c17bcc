/** `imgmv help`: that of the program, of a command, or a page of its documentation. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { whyNot } from '../agent/streams/file-error.ts';
import { exitStatusOf } from '../proto/errors.ts';
import { nearestTo } from './move-file/issues.ts';
import { pageText } from './page-text.ts';
import { columnsOf } from './screen.ts';

/** Of docs/, those that a command's messages or its user may want; they come with every installation. */
export const PAGES = [
  'usage',
  'choosing',
  'archives',
  'move',
  'config',
  'push',
  'report',
  'scripts',
  'engines',
  'install',
  'moving-a-server',
  'speed',
];

export function addHelpCommand(program: Command): void {
  program
    .command('help [TOPIC]')
    .description(`show this help, that of a command, or a page: ${PAGES.join(', ')}`)
    .action((topic: string | undefined) => help(program, topic));
}

/** Sets the exit status. Throws commander's error for a topic that is none. */
async function help(program: Command, topic: string | undefined): Promise<void> {
  if (topic !== undefined && PAGES.includes(topic)) return page(topic);
  const command = topic === undefined ? program : program.commands.find((one) => one.name() === topic);
  if (command) {
    command.outputHelp();
    process.exitCode = 0;
    return;
  }
  const near = nearestTo(topic ?? '', PAGES);
  if (near !== undefined) program.error(`error: unknown command '${topic}'\ndid you mean ${near}?`);
  // Of what is neither commander says so, with the command that comes close.
  await program.parseAsync([topic ?? ''], { from: 'user' });
}

async function page(name: string): Promise<void> {
  const path = fileURLToPath(new URL(`../docs/${name}.md`, import.meta.url));
  try {
    process.stdout.write(pageText(await readFile(path, 'utf8'), columnsOf(process.stdout)));
    process.exitCode = 0;
  } catch (cause) {
    process.stderr.write(
      `imgmv: cannot read ${path}: ${whyNot(path, cause)}\n  it is a part of imgmv: install it again\n`,
    );
    process.exitCode = exitStatusOf('not-installed');
  }
}
