import { Command } from 'commander';
import { clean } from '../agent/commands/clean.ts';
import { ONE_HOST, once, parseSsh } from './options.ts';
import { addCommonOptions, type CommonOptions, run } from './run.ts';
import { addSshOptions, engineAt, requireNoSsh, type SshFlags } from './ssh-place.ts';

export function cleanCommand(): Command {
  const command = new Command('clean')
    .description('remove layers that interrupted runs left in the engine of this host')
    .option(
      '--to <ssh-host>',
      'the engine at ssh://[USER@]HOST[:PORT][/SOCKET] instead',
      once(parseSsh, ONE_HOST),
    )
    .option('--force', 'also remove what a running session may still use; it gets that again');
  return addCommonOptions(addSshOptions(command))
    .addHelpText(
      'after',
      `
Examples:
  $ imgmv clean
  $ imgmv clean --to ssh://ops@host-b
  $ imgmv clean --json | jq '.removed[]?.name'

A run that breaks off keeps the layers that have arrived, so that the next one
need not get them again. They go when that image is complete, after 24 hours, or
by this command. It touches nothing else. Without --force it also leaves what a
running imgmv may use.`,
    )
    .action((flags: CommonOptions & SshFlags & { readonly force?: true; readonly to?: string }) =>
      run(flags, async ({ engine, emit, signal }) => {
        const { to } = flags;
        if (to === undefined) requireNoSsh(flags);
        await clean({
          engine: to === undefined ? engine : engineAt(to, engine, flags),
          emit,
          signal,
          force: flags.force === true,
        });
        return 0;
      }),
    );
}
