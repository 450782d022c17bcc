/** The ways to move images that are measured against each other. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../rig/command.ts';
import type { Engine } from '../rig/engine.ts';
import type { Host } from '../rig/hosts.ts';
import { IMGMV, type Place, runImgmv } from '../rig/imgmv.ts';
import { bash, load, save } from './commands.ts';
import { accounted, readUsage, type Usage } from './measure.ts';
import { startSshd } from './sshd.ts';

/** From where to where, and what. */
export interface Route {
  /** The images, moved in one go. */
  readonly references: readonly string[];
  readonly source: Engine;
  readonly target: Engine;
  readonly from: Host;
  readonly to: Host;
  /** Of `to`, as `from` reaches it. */
  readonly address: string;
  /** For accounts, keys and codes. */
  readonly directory: string;
}

export interface Outcome {
  /** From the first process started until all have ended. */
  readonly seconds: number;
  readonly sender: Usage;
  readonly receiver: Usage;
  /** Of imgmv: where its processor time has gone. */
  readonly split?: Split;
  /** Of imgmv, from when its first side was `paired` until both have ended. */
  readonly pairedSeconds?: number;
  /** What imgmv itself says that it sent. */
  readonly claimedBytes?: number;
}

/** Seconds of processors: of the thread that reads layers, of zstd's, of the main thread at the source; and of the target. */
export interface Split {
  readonly reading: number;
  readonly compressing: number;
  readonly sealing: number;
  readonly unpacking: number;
}

export interface Peer {
  readonly name: string;
  /** How it shows in the report. */
  readonly title: string;
  /** No network in it: a yardstick for the others. */
  readonly local: boolean;
  /** Whether the images are on the target afterwards. */
  readonly loads: boolean;
  run(route: Route): Promise<Outcome>;
}

const NOTHING: Usage = { cpuSeconds: 0, peakBytes: 0 };

export const PEERS: readonly Peer[] = [
  { name: 'pipe', title: 'save | load', local: true, loads: true, run: pipe },
  { name: 'floor', title: 'save > /dev/null', local: true, loads: false, run: floor },
  overSsh('ssh', ''),
  overSsh('zstd', 'zstd -3 -T0 --quiet', 'zstd --decompress'),
  overSsh('gzip', 'gzip', 'gunzip'),
  imgmvOf('saved', 'imgmv --no-direct', IMGMV, ['--no-direct']),
  imgmvOf('imgmv', 'imgmv', IMGMV),
];

/** Another build of imgmv, to be run right before this one. */
export function before(program: string): Peer {
  return imgmvOf('before', 'imgmv before', program);
}

async function floor({ source, references, directory, from }: Route): Promise<Outcome> {
  const account = join(directory, 'save.account');
  const seconds = await timed(() =>
    bash(`${accountPrefix(from, account)} ${save(source, references)} > /dev/null`),
  );
  return { seconds, sender: await readUsage(account), receiver: NOTHING };
}

async function pipe({ source, target, references, directory, from, to }: Route): Promise<Outcome> {
  const [sent, received] = [join(directory, 'save.account'), join(directory, 'load.account')];
  const seconds = await timed(() =>
    bash(
      `${accountPrefix(from, sent)} ${save(source, references)} | ${accountPrefix(to, received)} ${load(target)}`,
    ),
  );
  return { seconds, sender: await readUsage(sent), receiver: await readUsage(received) };
}

/** Through ssh, with a filter at either end. */
function overSsh(name: string, pack: string, unpack = ''): Peer {
  const title = ['save', pack.replace(' --quiet', ''), 'ssh', unpack.split(' ')[0], 'load'];
  return {
    name,
    title: title.filter((part) => part !== '').join(' | '),
    local: false,
    loads: true,
    async run({ source, target, references, from, to, address, directory }) {
      const account = join(directory, 'ssh.account');
      await using sshd = await startSshd(to, address, directory);
      const remote = pack === '' ? load(target) : `set -o pipefail; ${unpack} | ${load(target)}`;
      const local = [save(source, references), pack, `${sshd.ssh} "bash -c '${remote}'"`];
      const script = `set -o pipefail; ${local.filter((part) => part !== '').join(' | ')}`;
      const seconds = await timed(() => run(from.argv(accounted(['bash', '-c', script], account))));
      return { seconds, sender: await readUsage(account), receiver: await sshd.stop() };
    },
  };
}

function imgmvOf(name: string, title: string, program: string, args: readonly string[] = []): Peer {
  return { name, title, local: false, loads: true, run: (route) => imgmv(route, program, args) };
}

async function imgmv(route: Route, program: string, args: readonly string[]): Promise<Outcome> {
  const { source, target, references, from, to, address, directory } = route;
  const codeFile = join(directory, 'code');
  const accounts = {
    sender: join(directory, 'sender.account'),
    receiver: join(directory, 'receiver.account'),
  };
  const logs = { sender: join(directory, 'sender.log'), receiver: join(directory, 'receiver.log') };
  const common = ['--json', '--code-file', codeFile, '--docker-host'];
  for (const log of Object.values(logs)) await rm(log, { force: true });
  await rm(codeFile, { force: true });
  let pairedSeconds = Number.NaN;
  let claimedBytes: number | undefined;
  const seconds = await timed(async () => {
    await using receiver = runImgmv(
      ['receive', '--once', '--listen', `${address}:0`, '--log', logs.receiver, ...common, target.dockerHost],
      { program, host: accountedPlace(to, accounts.receiver, target.place) },
    );
    const { port } = await receiver.waitFor('listening');
    await using sender = runImgmv(
      [
        'send',
        ...references,
        ...args,
        '--to',
        `${address}:${port}`,
        '--log',
        logs.sender,
        ...common,
        source.dockerHost,
      ],
      { program, host: accountedPlace(from, accounts.sender, source.place) },
    );
    for (const side of [sender, receiver]) {
      const { code } = await side.exit;
      if (code !== 0) throw new Error(`imgmv: exit status ${code}: ${side.stderr}`);
    }
    const ended = Date.now();
    const paired = await Promise.all([sender, receiver].map((side) => side.waitFor('paired')));
    pairedSeconds = (ended - Math.min(...paired.map(({ time }) => Date.parse(time)))) / 1000;
    const { wireBytes } = await sender.waitFor('done');
    if (typeof wireBytes === 'number') claimedBytes = wireBytes;
  });
  return {
    seconds,
    sender: await readUsage(accounts.sender),
    receiver: await readUsage(accounts.receiver),
    pairedSeconds,
    ...(await splitOf(logs)),
    ...(claimedBytes !== undefined && { claimedBytes }),
  };
}

/** What a build does not tell is left out. */
async function splitOf(logs: {
  readonly sender: string;
  readonly receiver: string;
}): Promise<Pick<Outcome, 'split'>> {
  const [sender, receiver] = [await readFile(logs.sender, 'utf8'), await readFile(logs.receiver, 'utf8')];
  const seconds = (text: string, what: RegExp) => Number(what.exec(text)?.[1]);
  const ALL = / run used ([0-9.]+) s of processors/;
  const reading = seconds(sender, / layers read with ([0-9.]+) s of a processor/) || 0;
  const sealing = seconds(sender, /, ([0-9.]+) s of them in the main thread/);
  const compressing = seconds(sender, ALL) - sealing - reading;
  const split = { reading, compressing, sealing, unpacking: seconds(receiver, ALL) };
  return Object.values(split).some(Number.isNaN) ? {} : { split };
}

/** `within`: where on the host. */
function accountedPlace(host: Host, account: string, within?: Place): Place {
  return { argv: (command) => host.argv(accounted(within?.argv(command) ?? command, account)) };
}

function accountPrefix(host: Host, file: string): string {
  return host.argv(accounted([], file)).join(' ');
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
