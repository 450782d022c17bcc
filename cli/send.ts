import { Command } from 'commander';
import { endpointText, type ImageEndpoint } from '../agent/archive/endpoint.ts';
import { familiar, parseTarget as parseName } from '../agent/reference.ts';
import { send } from '../agent/send.ts';
import { ImgmvError } from '../proto/errors.ts';
import { JOBS, JOBS_MAX, RETRIES } from '../proto/limits.ts';
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
import { collectEndpoints, FROM_HELP } from './places.ts';
import { type CommonOptions, run } from './run.ts';

export interface SenderFlags extends CommonOptions {
  readonly to: string;
  readonly from?: readonly ImageEndpoint[];
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
    .option('--from <source>', FROM_HELP, collectEndpoints)
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
    .option('--retries <n>', RETRIES_HELP, parseRetries)
    .option('--level <n>', 'zstd level, 1 to 19 (default: follows the link)', parseLevel)
    .addHelpText(
      'after',
      `
Examples:
  $ imgmv send web:1.0 db:16 --to 10.0.0.2
  $ imgmv send web --as registry.example/team/web:1.0 --to host-b:7400
  $ imgmv send 4f5c8ab5e3b1 --as web:old --to host-b --code-file /run/imgmv-code
  $ ssh host-b cat /run/imgmv-code | imgmv send web:1.0 --to host-b --code-file -
  $ imgmv send --from docker-archive:images.tar.zst --to host-b
  $ docker save web:1.0 | imgmv send --from docker-archive:- --to host-b

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
  const { to, from, as, codeFile, level, connectTimeout } = flags;
  await run({ ...flags, target: new URL(to).hostname }, ({ engine, emit, signal }) => {
    const command = planOnly ? 'plan' : 'send';
    if (images.length === 0 && from === undefined)
      throw new ImgmvError('usage', `no image to ${command}`, {
        hint: `name one or more: imgmv ${command} IMAGE… --to HOST`,
      });
    if (as !== undefined && images.length > 1)
      throw new ImgmvError('usage', `--as gives one name, and there are ${images.length} images`);
    if (as !== undefined && from && from.length > 1)
      throw new ImgmvError('usage', `--as gives one name, and there are ${from.length} archives`);
    if (from) requireSensible(from, images, codeFile);
    const target = as === undefined ? undefined : familiar(parseName(as, '--as'));
    const fromStdin = from?.some((one) => 'path' in one && one.path === '-') === true;
    return send({
      choices: images.map((reference) => ({ reference, ...(target !== undefined && { as: target }) })),
      ...(from && { from }),
      ...(target !== undefined && { as: target }),
      stdin: process.stdin,
      url: to,
      engine,
      code: () =>
        codeFile === undefined
          ? promptForCode(new URL(to).hostname, signal, fromStdin)
          : readCodeFile(codeFile),
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

function requireSensible(
  from: readonly ImageEndpoint[],
  images: readonly string[],
  codeFile: string | undefined,
): void {
  const stdin = from.some((one) => 'path' in one && one.path === '-');
  if (stdin && codeFile === '-')
    throw new ImgmvError('usage', 'standard input is the archive, and cannot be the pairing code, too', {
      hint: '--code-file FILE reads the code from a file',
    });
  const picked = from.find(({ kind, reference }) => kind === 'docker-daemon' || reference !== undefined);
  if (images.length > 0 && picked)
    throw new ImgmvError('usage', `${endpointText(picked)} names its image already`, {
      hint: 'IMAGE picks among those of the archives that --from names',
    });
}
