import { Command } from 'commander';
import type { ImageEndpoint } from '../agent/archive/endpoint.ts';
import { picksNothing } from '../agent/choose/selection.ts';
import { familiar, parseTarget as parseName } from '../agent/reference.ts';
import { send } from '../agent/send.ts';
import { ImgmvError } from '../proto/errors.ts';
import { JOBS, JOBS_MAX, RETRIES } from '../proto/limits.ts';
import {
  addChoosingOptions,
  CHOOSING_HELP,
  type ChoosingFlags,
  IMAGE_HELP,
  selectionOf,
} from './choosing.ts';
import { promptForCode, readCodeFile } from './code-input.ts';
import {
  countUpTo,
  parseDuration,
  parseLevel,
  parseRetries,
  parseTarget,
  RECONNECT_HELP,
  RETRIES_HELP,
} from './options.ts';
import { collectEndpoints, FROM_HELP, requirePickedOnce, requireStdinOnce } from './places.ts';
import { addRenamingOptions, namingOf, type RenamingFlags } from './renaming.ts';
import { REPORT_HELP } from './report/report-run.ts';
import { type CommonOptions, run } from './run.ts';

export interface SenderFlags extends CommonOptions, ChoosingFlags, RenamingFlags {
  readonly to: string;
  readonly from?: readonly ImageEndpoint[];
  readonly as?: string;
  readonly codeFile?: string;
  readonly level?: number;
  readonly jobs?: number;
  readonly retries?: number;
  readonly ignoreSpace?: true;
  readonly thenPush?: true;
  readonly connectTimeout?: number;
  readonly reconnect?: number;
}

/** What `send` and `plan` have in common. */
export function addSenderOptions(command: Command): Command {
  command
    .requiredOption('--to <host[:port]>', 'where `imgmv receive` waits; also ws://… or wss://…', parseTarget)
    .option('--from <source>', FROM_HELP, collectEndpoints);
  addChoosingOptions(command).option('--as <name:tag>', 'name it so at the target (one image only)');
  return addRenamingOptions(command)
    .option('--code-file <file>', 'read the pairing code from a file, - for standard input')
    .option(
      '--connect-timeout <duration>',
      'how long to wait for the first answer (default: 15s)',
      parseDuration,
    )
    .option('--reconnect <duration>', RECONNECT_HELP, parseDuration)
    .option('--ignore-space', 'save images for which the disk of this host seems too full')
    .option('--then-push', 'let the target push what it has loaded to where the names say')
    .option('--docker-host <address>', 'the engine: unix:///path, tcp://host:port or ssh://user@host')
    .option('--context <name>', 'the engine of this docker context')
    .option('--json', 'one JSON object a line on standard output')
    .option('-q, --quiet', 'show errors alone');
}

export function sendCommand(): Command {
  const command = new Command('send')
    .description('send images to the host where `imgmv receive` waits')
    .argument('[IMAGE...]', IMAGE_HELP);
  return addSenderOptions(command)
    .option(
      '--jobs <n>',
      `images under way at once: while one is loaded, the next travels (default: ${JOBS})`,
      countUpTo(JOBS_MAX),
    )
    .option('--retries <n>', RETRIES_HELP, parseRetries)
    .option('--level <n>', 'zstd level, 1 to 19 (default: follows the link)', parseLevel)
    .option('--report <file>', REPORT_HELP)
    .addHelpText(
      'after',
      `
Examples:
  $ imgmv send web:1.0 db:16 --to 10.0.0.2
  $ imgmv send web --as registry.example/team/web:1.0 --to host-b:7400
  $ imgmv send --all --except 'test/*' --registry registry.example --project team --to host-b
  $ imgmv send 'team/*' --since 7d --retag 'team/*=new/*' --to host-b
  $ imgmv send 4f5c8ab5e3b1 --as web:old --to host-b --code-file /run/imgmv-code
  $ ssh host-b cat /run/imgmv-code | imgmv send web:1.0 --to host-b --code-file -
  $ imgmv send web:1.0 db:16 --to host-b --report moved.html
  $ imgmv send --from docker-archive:images.tar.zst --to host-b
  $ docker save web:1.0 | imgmv send --from docker-archive:- --to host-b

${CHOOSING_HELP}

--then-push wants \`imgmv receive --allow-push\` there, and pushes with the credentials of that host.
Only the layers that the target lacks are sent; \`imgmv plan\` shows them beforehand.
The code is asked for without echo, never taken from an argument or the environment.`,
    )
    .action((images: readonly string[], flags: SenderFlags) =>
      sendImages(images, flags, { planOnly: false }),
    );
}

/** Runs `send` or `plan`, and sets the exit status. */
export async function sendImages(
  images: readonly string[],
  flags: SenderFlags,
  { planOnly }: { readonly planOnly: boolean },
): Promise<void> {
  const { to, as, from, codeFile, level, connectTimeout } = flags;
  const about = { ...flags, target: new URL(to).hostname, command: 'send' } as const;
  await run(about, async ({ engine, emit, signal }) => {
    if (as !== undefined && images.length > 1)
      throw new ImgmvError('usage', `--as gives one name, and there are ${images.length} images`);
    const naming = namingOf(as && familiar(parseName(as, '--as')), flags);
    const stdinTaken = requireStdinOnce(flags);
    const selection = await selectionOf(images, flags);
    if (picksNothing(selection) && from === undefined)
      throw new ImgmvError('usage', `no image to ${planOnly ? 'plan' : 'send'}`, {
        hint: `name one or more, or --all: imgmv ${planOnly ? 'plan' : 'send'} IMAGE… --to HOST`,
      });
    if (from) requirePickedOnce(from, selection);
    const { exit } = await send({
      selection,
      ...(from && { from }),
      naming,
      stdin: process.stdin,
      url: to,
      engine,
      code: () =>
        codeFile === undefined
          ? promptForCode(new URL(to).hostname, signal, stdinTaken)
          : readCodeFile(codeFile),
      jobs: flags.jobs ?? JOBS,
      retries: flags.retries ?? RETRIES,
      ignoreSpace: flags.ignoreSpace === true,
      planOnly,
      thenPush: flags.thenPush === true,
      signal,
      emit,
      ...(level !== undefined && { level }),
      ...(connectTimeout !== undefined && { connectTimeoutMs: connectTimeout }),
      ...(flags.reconnect !== undefined && { patienceMs: flags.reconnect }),
    });
    return exit;
  });
}
