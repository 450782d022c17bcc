/** What `send` and `plan` take. */
import type { Command } from 'commander';
import { addChoosingOptions } from './choosing.ts';
import type { Configured } from './config.ts';
import type { MoveFile } from './move-file.ts';
import {
  BWLIMIT_HELP,
  CONNECT_TIMEOUT_HELP,
  LIMIT_HELP,
  type Limit,
  ONE_HOST,
  once,
  parseBwlimit,
  parseConnectTimeout,
  parseDestination,
  parseLimit,
  parseReconnect,
  parseSize,
  RECONNECT_HELP,
} from './options.ts';
import { collectEndpoints, FROM_HELP, MAX_BYTES_HELP, NO_DIRECT_HELP } from './places.ts';
import { addRenamingOptions } from './renaming.ts';
import { addCommonOptions, type CommonOptions } from './run.ts';
import { addSshOptions, type SshFlags } from './ssh-place.ts';

/** What is to be done: the options, and where there is one the keys of a move file. */
export interface SenderFlags extends CommonOptions, MoveFile, Configured, SshFlags {
  /** The same as `limit`, which a move file and a configuration have. */
  readonly bwlimit?: Limit;
  readonly direct: boolean;
  /** A move file, whose values these win over. */
  readonly move?: string;
}

export function addSenderOptions(command: Command): Command {
  command
    .option(
      '--to <host[:port]>',
      'where `imgmv receive` waits; also ws://… or wss://…; or the engine at ssh://[USER@]HOST[:PORT][/SOCKET]',
      once(parseDestination, ONE_HOST),
    )
    .option('--move <file>', 'read what to move, and how, from a YAML file; - is standard input')
    .option('--from <source>', FROM_HELP, collectEndpoints);
  addRenamingOptions(addChoosingOptions(command))
    .option('--as <name:tag>', 'the name at the target, for one image only')
    .option('--code-file <file>', 'read the pairing code from a file; - is standard input')
    .option('--connect-timeout <duration>', CONNECT_TIMEOUT_HELP, parseConnectTimeout)
    .option('--reconnect <duration>', RECONNECT_HELP, parseReconnect)
    .option('--limit <rate>', LIMIT_HELP, parseLimit)
    .option('--bwlimit <rate>', BWLIMIT_HELP, parseBwlimit)
    .option('--ignore-space', 'also save images that seem too large for the disk of this host')
    .option('--no-direct', NO_DIRECT_HELP)
    .option('--max-bytes <size>', `with --from: ${MAX_BYTES_HELP}`, parseSize)
    .option('--then-push', 'have the target push the images to the registries in their names');
  return addCommonOptions(addSshOptions(command));
}
