/** `imgmv help`: that of the program, of a command, or a page of its documentation. */
import type { Command } from 'commander';
import { VERSION } from '../agent/ends/host.ts';
import { whyNot } from '../agent/streams/file-error.ts';
import { exitStatusOf } from '../proto/errors.ts';
import { shippedText } from '../proto/shipped.ts';
import { manualPage } from './man.ts';
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
    .option('--man', 'print the manual page, for man(1)')
    .action((topic: string | undefined, { man }: { readonly man?: true }) => {
      if (!man) return help(program, topic);
      process.stdout.write(manualPage(program, VERSION));
      process.exitCode = 0;
    });
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

function page(name: string): void {
  const path = `docs/${name}.md`;
  try {
    process.stdout.write(pageText(shippedText(path), columnsOf(process.stdout)));
    process.exitCode = 0;
  } catch (cause) {
    process.stderr.write(
      `imgmv: cannot read ${path} of imgmv: ${whyNot(path, cause)}\n  it is a part of imgmv: install it again\n`,
    );
    process.exitCode = exitStatusOf('not-installed');
  }
}
