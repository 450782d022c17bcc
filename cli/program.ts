/** All commands and what goes for each: help, errors in our words, the configuration. */
import { Command, CommanderError } from 'commander';
import { VERSION } from '../agent/ends/host.ts';
import { exitStatusOf } from '../proto/errors.ts';
import { cleanCommand } from './clean.ts';
import { addCompletionCommands } from './completion.ts';
import { configure } from './config.ts';
import { copyCommand } from './copy.ts';
import { doctorCommand } from './doctor.ts';
import { addHelpCommand } from './help.ts';
import { lsCommand } from './ls.ts';
import { commandLineError } from './meant.ts';
import { planCommand } from './plan.ts';
import { receiveCommand } from './receive.ts';
import { columnsOf } from './screen.ts';
import { sendCommand } from './send.ts';
import { wrap } from './wrap.ts';

/** As it is called: `imgmv`, or `docker imgmv`. */
export function makeProgram(name: string): Command {
  const program = new Command(name)
    .description('Move Docker images from one host to another, live and encrypted, with no registry between.')
    .version(VERSION, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', EXAMPLES)
    .showSuggestionAfterError()
    .configureOutput({
      // Commander wraps what it makes, and leaves what is added to it.
      writeOut: (text) => process.stdout.write(wrap(text, columnsOf(process.stdout))),
      writeErr: (text) => process.stderr.write(wrap(text, columnsOf(process.stderr))),
    })
    .exitOverride()
    .enablePositionalOptions()
    .helpCommand(false)
    .hook('preAction', (_, command) => configure(command));
  for (const make of [
    receiveCommand,
    sendCommand,
    planCommand,
    lsCommand,
    copyCommand,
    cleanCommand,
    doctorCommand,
  ])
    program.addCommand(make().exitOverride().copyInheritedSettings(program));
  addHelpCommand(program);
  program
    .command('version')
    .description('show the version')
    .action(() => {
      process.stdout.write(`${VERSION}\n`);
      process.exitCode = 0;
    });
  addCompletionCommands(program);
  return program;
}

/** `args`: what stands behind the program's name. Sets the exit status; throws what is a fault of ours. */
export async function runProgram(program: Command, args: readonly string[]): Promise<void> {
  const typed = { args, options: longOptions(program) };
  // An error of commander's in the words of ours.
  const outputError = (text: string, write: (text: string) => void) =>
    write(
      wrap(
        commandLineError(text, typed)
          .replace(/^error:/, 'imgmv:')
          .replaceAll(/\n(?=.)/g, '\n  '),
        columnsOf(process.stderr),
      ),
    );
  for (const command of [program, ...program.commands]) command.configureOutput({ outputError });
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : exitStatusOf('usage');
  }
}

/** `--to`, with the names of the commands that have it; none of the program's own. */
function longOptions(program: Command): ReadonlyMap<string, readonly string[]> {
  const commands = new Map(program.options.map(({ long }): [string, string[]] => [long ?? '', []]));
  for (const command of program.commands)
    for (const { long, hidden } of command.options)
      if (long && !hidden) commands.set(long, [...(commands.get(long) ?? []), command.name()]);
  return commands;
}

const EXAMPLES = `
Examples:
  host-b$ imgmv receive --once            shows a pairing code
  host-a$ imgmv send web:1.0 --to host-b  asks for it, then moves the image
  host-a$ imgmv plan web:1.0 --to host-b  shows what that would send
  host-a$ imgmv ls 'team/*'               lists images and what they share
  host-a$ imgmv copy docker-daemon:web:1.0 docker-archive:web.tar.zst
  host-b$ imgmv clean                     removes what an interrupted run left
  host-b$ imgmv doctor                    looks at what is needed, and says what to do

Exit status:
  0 all done and verified    2 usage    10 no such image    11 other host unreachable or lost
  12 not authenticated    13 integrity    14 docker engine    15 versions differ
  16 refused                    17 some images or pushes failed    129, 130, 143 stopped by a signal`;
