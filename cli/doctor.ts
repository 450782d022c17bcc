import { Command } from 'commander';
import { type Check, faultOf, ok, warning } from '../agent/checks/check.ts';
import { doctor } from '../agent/commands/doctor.ts';
import type { EngineOptions } from '../agent/docker/engine.ts';
import { CONNECT_TIMEOUT_MS, DEFAULT_PORT } from '../proto/limits.ts';
import type { Config } from './config.ts';
import {
  CONNECT_TIMEOUT_HELP,
  type ListenAddress,
  ONE_HOST,
  once,
  parseConnectTimeout,
  parseDestination,
  parseListen,
} from './options.ts';
import { addCommonOptions, type CommonOptions, run } from './run.ts';
import { addSshOptions, engineAt, isSsh, requireNoSsh, type SshFlags } from './ssh-place.ts';

interface DoctorFlags extends CommonOptions, SshFlags {
  readonly to?: string;
  readonly listen?: ListenAddress;
  readonly connectTimeout?: number;
}

/** Where images would go to. */
function engineOrUrl(flags: DoctorFlags, engine: EngineOptions) {
  const { to } = flags;
  if (to !== undefined && isSsh(to)) return { url: undefined, engineThere: engineAt(to, engine, flags) };
  requireNoSsh(flags);
  return { url: to, engineThere: undefined };
}

export function doctorCommand(): Command {
  const command = new Command('doctor')
    .description('look at what imgmv needs on this host, and say what to do about what is missing')
    .option(
      '--to <host[:port]>',
      'also look whether `imgmv receive` can be reached there; or the engine at ssh://[USER@]HOST',
      once(parseDestination, ONE_HOST),
    )
    .option(
      '--listen <addr:port>',
      `the address that has to be free for \`imgmv receive\` (default: all addresses, port ${DEFAULT_PORT})`,
      parseListen,
    )
    .option('--connect-timeout <duration>', CONNECT_TIMEOUT_HELP, parseConnectTimeout);
  return addCommonOptions(addSshOptions(command), 'warnings, faults and the last line')
    .addHelpText(
      'after',
      `
Examples:
  $ imgmv doctor
  $ imgmv doctor --to host-b
  $ imgmv doctor --to host-b --json | jq 'select(.status == "fault")'

Nothing is changed, and no pairing code is used up. The exit status is 0 if nothing
stands in the way, or else that of the first fault: what a command would end with.
With --to this host only sends, so a port that is in use here is a warning.`,
    )
    .action((flags: DoctorFlags, command: Command) =>
      run({ ...flags, toleratesConfig: true }, async ({ engine, emit, signal }) =>
        doctor({
          engine,
          before: configChecks(flags.configured),
          listen: flags.listen ?? { address: undefined, port: DEFAULT_PORT },
          listens: flags.to === undefined || command.getOptionValueSource('listen') === 'cli',
          ...engineOrUrl(flags, { ...engine, signal }),
          connectTimeoutMs: flags.connectTimeout ?? CONNECT_TIMEOUT_MS,
          signal,
          emit,
        }),
      ),
    );
}

function configChecks(config: Config | undefined): readonly Check[] {
  if (!config) return [];
  const { failure, files, unknown, variables } = config;
  const read = [...files.flatMap(({ path, exists }) => (exists ? [path] : [])), ...variables];
  const places = files.map(({ path }) => path).join(' or ');
  const found = read.length === 0 ? `none: there is no ${places}` : `read: ${read.join(', ')}`;
  const unknowns = unknown.map((text) =>
    warning('configuration', text, '`imgmv help config` shows every variable'),
  );
  return [...unknowns, failure ? faultOf('configuration', failure) : ok('configuration', found)];
}
