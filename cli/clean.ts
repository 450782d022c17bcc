import { Command } from 'commander';
import { clean } from '../agent/commands/clean.ts';
import { addCommonOptions, type CommonOptions, run } from './run.ts';

export function cleanCommand(): Command {
  const command = new Command('clean')
    .description('remove layers that interrupted runs left in the engine of this host')
    .option('--force', 'also remove what a running session may still use; it gets that again');
  return addCommonOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ imgmv clean
  $ imgmv clean --json | jq '.removed[]?.name'

A run that breaks off keeps the layers that have arrived, so that the next one
need not get them again. They go when that image is complete, after 24 hours, or
by this command. It touches nothing else. Without --force it also leaves what a
running imgmv may use.`,
    )
    .action((flags: CommonOptions & { readonly force?: true }) =>
      run(flags, async ({ engine, emit, signal }) => {
        await clean({ engine, emit, signal, force: flags.force === true });
        return 0;
      }),
    );
}
