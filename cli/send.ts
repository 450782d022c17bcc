import { Command } from 'commander';
import { familiar, parseTarget as parseName } from '../agent/reference.ts';
import { send } from '../agent/send.ts';
import { ImgmvError } from '../proto/errors.ts';
import { JOBS, JOBS_MAX, RETRIES, RETRIES_MAX } from '../proto/limits.ts';
import { promptForCode, readCodeFile } from './code-input.ts';
import { countUpTo, parseDuration, parseLevel, parseTarget, RECONNECT_HELP } from './options.ts';
import { type CommonOptions, run } from './run.ts';

export interface SenderFlags extends CommonOptions {
  readonly to: string;
  readonly as?: string;
  readonly codeFile?: string;
  readonly level?: number;
  readonly jobs?: number;
  readonly retries?: number;
  readonly ignoreSpace?: true;
  readonly connectTimeout?: number;
  readonly reconnect?: number;
}

/** What `send` and `plan` have in common. */
export function addSenderOptions(command: Command): Command {
  return command
    .requiredOption('--to <host[:port]>', 'where `imgmv receive` waits; also ws://… or wss://…', parseTarget)
    .option('--as <name:tag>', 'name it so at the target (one IMAGE only)')
    .option('--code-file <file>', 'read the pairing code from a file, - for standard input')
    .option(
      '--connect-timeout <duration>',
      'how long to wait for the first answer (default: 15s)',
      parseDuration,
    )
    .option('--reconnect <duration>', RECONNECT_HELP, parseDuration)
    .option('--ignore-space', 'save images for which the disk of this host seems too full')
    .option('--docker-host <address>', 'the engine: unix:///path, tcp://host:port or ssh://user@host')
    .option('--context <name>', 'the engine of this docker context')
    .option('--json', 'one JSON object a line on standard output')
    .option('-q, --quiet', 'show errors alone');
}

export function sendCommand(): Command {
  const command = new Command('send')
    .description('send images to the host where `imgmv receive` waits')
    .argument('[IMAGE...]', 'name, name:tag, name@digest, or an id or its prefix, as docker takes them');
  return addSenderOptions(command)
    .option(
      '--jobs <n>',
      `images under way at once: while one is loaded, the next travels (default: ${JOBS})`,
      countUpTo(JOBS_MAX),
    )
    .option(
      '--retries <n>',
      `how often images that failed are tried again, after the others (default: ${RETRIES})`,
      countUpTo(RETRIES_MAX, 0),
    )
    .option('--level <n>', 'zstd level, 1 to 19 (default: follows the link)', parseLevel)
    .addHelpText(
      'after',
      `
Examples:
  $ imgmv send web:1.0 db:16 --to 10.0.0.2
  $ imgmv send web --as registry.example/team/web:1.0 --to host-b:7400
  $ imgmv send 4f5c8ab5e3b1 --as web:old --to host-b --code-file /run/imgmv-code
  $ ssh host-b cat /run/imgmv-code | imgmv send web:1.0 --to host-b --code-file -

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
  const { to, as, codeFile, level, connectTimeout } = flags;
  await run({ ...flags, target: new URL(to).hostname }, ({ engine, emit, signal }) => {
    const command = planOnly ? 'plan' : 'send';
    if (images.length === 0)
      throw new ImgmvError('usage', `no image to ${command}`, {
        hint: `name one or more: imgmv ${command} IMAGE… --to HOST`,
      });
    if (as !== undefined && images.length > 1)
      throw new ImgmvError('usage', `--as gives one name, and there are ${images.length} images`);
    const target = as === undefined ? undefined : familiar(parseName(as, '--as'));
    return send({
      choices: images.map((reference) => ({ reference, ...(target !== undefined && { as: target }) })),
      url: to,
      engine,
      code: () =>
        codeFile === undefined ? promptForCode(new URL(to).hostname, signal) : readCodeFile(codeFile),
      jobs: flags.jobs ?? JOBS,
      retries: flags.retries ?? RETRIES,
      ignoreSpace: flags.ignoreSpace === true,
      planOnly,
      signal,
      emit,
      ...(level !== undefined && { level }),
      ...(connectTimeout !== undefined && { connectTimeoutMs: connectTimeout }),
      ...(flags.reconnect !== undefined && { patienceMs: flags.reconnect }),
    }).then(({ exit }) => exit);
  });
}
