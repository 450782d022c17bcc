import { Command } from 'commander';
import type { Renaming } from '../agent/choose/rename.ts';
import { parseTargetPattern, type TargetPattern } from '../agent/choose/target-pattern.ts';
import { type ReceiverPush, receive } from '../agent/commands/receive.ts';
import type { EngineOptions } from '../agent/docker/engine.ts';
import { endpointText, type NamedEndpoint, type SinkEndpoint } from '../agent/ends/endpoint.ts';
import { isNear } from '../agent/push/policy.ts';
import { ImgmvError } from '../proto/errors.ts';
import {
  CODE_TTL_MAX_MS,
  CODE_TTL_MIN_MS,
  CODE_TTL_MS,
  DEFAULT_PORT,
  MAX_SESSION_MS,
} from '../proto/limits.ts';
import { ownAddress, withPort } from './addresses.ts';
import { CodeFile } from './code-file.ts';
import { confirmPlan, requireTerminal } from './confirm.ts';
import {
  type Advertised,
  BWLIMIT_HELP,
  bytesPerSecond,
  collect,
  countUpTo,
  durationBetween,
  LIMIT_HELP,
  type LimitFlags,
  type ListenAddress,
  limitGiven,
  parseAdvertised,
  parseBwlimit,
  parseLimit,
  parseListen,
  parseMaxSession,
  parseReconnect,
  RECONNECT_HELP,
} from './options.ts';
import {
  addFileOptions,
  collectEndpoints,
  type DestinationFlags,
  destinationOf,
  requirePushable,
  requireStdoutFree,
  writeStdout,
} from './places.ts';
import { addRenamingOptions, namingOf, type RenamingFlags } from './renaming.ts';
import type { Renderer } from './renderer.ts';
import { REPORT_HELP } from './report/report-run.ts';
import { addCommonOptions, type CommonOptions, type Run, run } from './run.ts';
import { columnsOf } from './screen.ts';
import { wrapCode } from './wrap.ts';

interface ReceiveFlags extends CommonOptions, LimitFlags, RenamingFlags, DestinationFlags {
  readonly once?: true;
  readonly listen?: ListenAddress;
  readonly advertise?: Advertised;
  readonly ttl?: number;
  readonly maxSession?: number;
  readonly reconnect?: number;
  readonly codeFile?: string;
  readonly accept?: readonly TargetPattern[];
  readonly confirm?: true;
  readonly push?: true | readonly string[];
  readonly allowPush?: true | readonly string[];
  readonly into?: readonly NamedEndpoint[];
  readonly maxUnauthenticated?: number;
}

export function receiveCommand(): Command {
  const command = new Command('receive')
    .description('wait for a sender, and load its images into the engine of this host')
    .option('--once', 'end after one session, with its exit status')
    .option(
      '--listen <addr:port>',
      `where to listen (default: all addresses, port ${DEFAULT_PORT}; port 0: a free one)`,
      parseListen,
    )
    .option('--advertise <host[:port]>', 'the address to show for the other host to dial', parseAdvertised)
    .option(
      '--ttl <duration>',
      'how long the pairing code lives, from 10s to 7d (default: 10m)',
      durationBetween(CODE_TTL_MIN_MS, CODE_TTL_MAX_MS),
    )
    .option(
      '--max-session <duration>',
      'how long a session may last, at most 20d (default: 24h)',
      parseMaxSession,
    )
    .option('--reconnect <duration>', RECONNECT_HELP, parseReconnect)
    .option('--limit <rate>', LIMIT_HELP, parseLimit)
    .option('--bwlimit <rate>', BWLIMIT_HELP, parseBwlimit)
    .option(
      '--code-file <file>',
      'write the pairing code to this new file (mode 0600) instead of the terminal',
    )
    .option(
      '--accept <pattern...>',
      'accept only names that match, such as "team/*" or "reg.example/*"; a pattern without a tag matches every tag',
      collect((text) => parseTargetPattern(text, '--accept')),
    )
    .option('--confirm', 'show the plan on this terminal, and ask before anything moves')
    .option('--no-replace', 'refuse an image if another one here has its name')
    .option('--ignore-space', 'also take images that seem too large for the disk of this host')
    .option(
      '--push [pattern...]',
      "push matching names, such as 'registry.example/team/*', once the image is loaded (default: the names that --registry and --retag make here)",
    )
    .option('--allow-push [pattern...]', 'push matching names if the sender asks for it with --then-push');
  addRenamingOptions(command).option(
    '--into <dest>',
    'write files instead of loading: docker-archive:FILE, oci-archive:FILE, oci:DIR or dir:DIR',
    collectEndpoints,
  );
  addFileOptions(command, 'the engine')
    .option('--report <file>', `with --once: ${REPORT_HELP}`)
    .option(
      '--max-unauthenticated <n>',
      'how many connections one address may hold before it has proved that it knows the code, at most 1000 (default: 4)',
      countUpTo(1_000),
    );
  return addCommonOptions(command, 'errors and the pairing code')
    .addHelpText(
      'after',
      `
Examples:
  $ imgmv receive --once
  $ imgmv receive --once --listen 10.0.0.2:7400 --ttl 2m
  $ imgmv receive --once --json --code-file /run/imgmv-code
  $ imgmv receive --no-replace            takes one session after another, each with a new code
  $ imgmv receive --once --accept 'team/*' db:16      sets no other names
  $ imgmv receive --once --confirm        shows the plan, and asks before anything moves
  $ imgmv receive --once --registry registry.example:5000 --project team
  $ imgmv receive --once --report received.html
  $ imgmv receive --once --push 'registry.example/team/*'   then pushes to that registry
  $ imgmv receive --once --into docker-archive:images.tar.zst
  $ imgmv receive --each /srv/images      one file per image, and no engine needed here

The port is open until the session ends or the code expires.`,
    )
    .action((flags: ReceiveFlags) =>
      run({ ...flags, command: 'receive', sessions: !flags.once }, (given) => receiveImages(flags, given)),
    );
}

async function receiveImages(flags: ReceiveFlags, { engine, emit, renderer, signal }: Run): Promise<number> {
  if (flags.codeFile === undefined && !process.stderr.isTTY)
    throw new ImgmvError('usage', 'there is no terminal to show the pairing code on', {
      hint: '--code-file FILE writes it to a file, which only you can read',
    });
  if (flags.confirm)
    requireTerminal({
      hint: 'run it on a terminal, or leave --confirm out; --accept PATTERN says which names may be set',
    });
  const destination = destinationFrom(flags, engine);
  const { renaming } = namingOf(undefined, flags);
  const push = pushFrom(flags, destination, renaming);
  const file = flags.codeFile === undefined ? undefined : new CodeFile(flags.codeFile);
  try {
    return await receive({
      destination,
      overwrite: flags.overwrite === true,
      stdout: writeStdout,
      address: flags.listen?.address,
      port: flags.listen?.port ?? DEFAULT_PORT,
      once: flags.once === true,
      ttlMs: flags.ttl ?? CODE_TTL_MS,
      maxSessionMs: flags.maxSession ?? MAX_SESSION_MS,
      noReplace: !flags.replace,
      ignoreSpace: flags.ignoreSpace === true,
      renaming,
      accept: flags.accept,
      confirm:
        flags.confirm &&
        ((asked, until) =>
          confirmPlan(asked, { input: process.stdin, output: process.stderr, signal: until })),
      push,
      unauthenticatedPerAddress: flags.maxUnauthenticated,
      patienceMs: flags.reconnect,
      limit: bytesPerSecond(limitGiven(flags)),
      signal,
      emit,
      showCode: async (code, listening) => {
        await file?.write(code);
        await showInvitation(renderer, flags, listening);
        const columns = columnsOf(process.stderr);
        if (file === undefined)
          process.stderr.write(`\n${wrapCode('Pairing code', code.reveal(), columns)}\n\n`);
        return { codeFile: file?.path };
      },
    });
  } finally {
    file?.remove();
  }
}

function destinationFrom(flags: ReceiveFlags, engine: EngineOptions): SinkEndpoint {
  const { into, json, once } = flags;
  const [endpoint, more] = into ?? [];
  if (more) throw new ImgmvError('usage', '--into names one place');
  if (endpoint?.reference)
    throw new ImgmvError('usage', `${endpointText(endpoint)}: the sender says how its images are called`);
  const destination = destinationOf(endpoint, flags, engine);
  requireStdoutFree(destination, json === true);
  if (!['docker-daemon', 'each', 'oci'].includes(destination.kind) && !once)
    throw new ImgmvError('usage', `${endpointText(destination)} takes the images of one session`, {
      hint: 'add --once; oci:DIR and --each DIR take one session after another',
    });
  return destination;
}

function pushFrom(
  { push, allowPush }: ReceiveFlags,
  destination: SinkEndpoint,
  renaming: Renaming,
): ReceiverPush | undefined {
  if (push && allowPush)
    throw new ImgmvError(
      'usage',
      '--push pushes whatever fits, and --allow-push what the sender wants pushed',
      { hint: 'give one of them' },
    );
  const given = push ?? allowPush;
  if (!given) return undefined;
  const option = push ? '--push' : '--allow-push';
  requirePushable(destination, option);
  const patterns = given === true ? [] : given.map((text) => parseTargetPattern(text, option));
  if (patterns.length === 0) requireMadeNames(renaming, option);
  return { when: push ? 'always' : 'if-asked', patterns };
}

/** Throws usage where nothing could ever be pushed. */
function requireMadeNames({ registries }: Renaming, option: string): void {
  if (registries.some((registry) => !isNear(registry))) return;
  const [near] = registries;
  throw new ImgmvError(
    'usage',
    near === undefined
      ? `${option} without a pattern pushes only names that --registry or --retag make here`
      : `${option} pushes to ${near}, an address or a name without a dot, only if a pattern names it`,
    { hint: `say where images may go: ${option} '${near ?? 'registry.example/team'}/*'` },
  );
}

async function showInvitation(
  renderer: Renderer,
  { advertise, codeFile, once }: ReceiveFlags,
  { address, port, expires }: { address: string; port: number; expires: Date },
): Promise<void> {
  const everywhere = address === '::' || address === '0.0.0.0';
  const own = advertise?.text ?? (everywhere ? await ownAddress() : address);
  const host = advertise?.whole ? own : withPort(own, port);
  const to = host.endsWith(`:${DEFAULT_PORT}`) ? host.slice(0, -`:${DEFAULT_PORT}`.length) : host;
  const time = expires.toTimeString().slice(0, 8);
  // In Sweden dates are written as ISO 8601 has them.
  const day = expires.toLocaleDateString('sv-SE');
  const until = day === new Date().toLocaleDateString('sv-SE') ? time : `${day} ${time}`;
  renderer.say(
    `Listening on ${everywhere ? `all addresses, port ${port}` : withPort(address, port)}, until ${until}${once ? ', for one session' : ''}.`,
  );
  renderer.say('');
  renderer.say('  On the other host:');
  renderer.say(`    imgmv send IMAGE --to ${to}`);
  if (codeFile !== undefined) renderer.say(`  with the pairing code in ${codeFile}.`);
}
