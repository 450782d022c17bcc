/** The ways to move an image that are measured against each other. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../rig/command.ts';
import type { Engine } from '../rig/engine.ts';
import type { Host } from '../rig/hosts.ts';
import { type Place, runImgmv } from '../rig/imgmv.ts';
import { accounted, readUsage, type Usage } from './measure.ts';
import { startSshd } from './sshd.ts';

/** From where to where, and what. */
export interface Route {
  readonly reference: string;
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
  /** What imgmv itself says that it sent. */
  readonly claimedBytes?: number;
}

export interface Peer {
  readonly name: string;
  /** How it shows in the report. */
  readonly title: string;
  /** No network in it: a yardstick for the others. */
  readonly local: boolean;
  /** Whether the image is on the target afterwards. */
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
  { name: 'imgmv', title: 'imgmv', local: false, loads: true, run: imgmv },
];

/** How many bytes one thread of `zstd -3` makes of what the engine saves. */
export async function zstdBytes(source: Engine, reference: string): Promise<number> {
  return Number(await bash(`${save(source, reference)} | zstd -3 -T1 --quiet | wc -c`));
}

async function floor({ source, reference, directory }: Route): Promise<Outcome> {
  const account = join(directory, 'save.account');
  const seconds = await timed(() => bash(`${accountPrefix(account)} ${save(source, reference)} > /dev/null`));
  return { seconds, sender: await readUsage(account), receiver: NOTHING };
}

async function pipe({ source, target, reference, directory }: Route): Promise<Outcome> {
  const [sent, received] = [join(directory, 'save.account'), join(directory, 'load.account')];
  const seconds = await timed(() =>
    bash(`${accountPrefix(sent)} ${save(source, reference)} | ${accountPrefix(received)} ${load(target)}`),
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
    async run({ source, target, reference, from, to, address, directory }) {
      const account = join(directory, 'ssh.account');
      await using sshd = await startSshd(to, address, directory);
      const remote = pack === '' ? load(target) : `set -o pipefail; ${unpack} | ${load(target)}`;
      const local = [save(source, reference), pack, `${sshd.ssh} "bash -c '${remote}'"`];
      const script = `set -o pipefail; ${local.filter((part) => part !== '').join(' | ')}`;
      const seconds = await timed(() => run(from.argv(accounted(['bash', '-c', script], account))));
      return { seconds, sender: await readUsage(account), receiver: await sshd.stop() };
    },
  };
}

async function imgmv(route: Route): Promise<Outcome> {
  const { source, target, reference, from, to, address, directory } = route;
  const codeFile = join(directory, 'code');
  const accounts = {
    sender: join(directory, 'sender.account'),
    receiver: join(directory, 'receiver.account'),
  };
  const common = ['--json', '--code-file', codeFile, '--docker-host'];
  await rm(codeFile, { force: true });
  let claimedBytes: number | undefined;
  const seconds = await timed(async () => {
    await using receiver = runImgmv(
      ['receive', '--once', '--listen', `${address}:0`, ...common, target.dockerHost],
      { host: accountedPlace(to, accounts.receiver) },
    );
    const { port } = await receiver.waitFor('listening');
    await using sender = runImgmv(
      ['send', reference, '--to', `${address}:${port}`, ...common, source.dockerHost],
      { host: accountedPlace(from, accounts.sender) },
    );
    for (const side of [sender, receiver]) {
      const { code } = await side.exit;
      if (code !== 0) throw new Error(`imgmv: exit status ${code}: ${side.stderr}`);
    }
    const { wireBytes } = await sender.waitFor('done');
    if (typeof wireBytes === 'number') claimedBytes = wireBytes;
  });
  return {
    seconds,
    sender: await readUsage(accounts.sender),
    receiver: await readUsage(accounts.receiver),
    ...(claimedBytes !== undefined && { claimedBytes }),
  };
}

function accountedPlace(host: Host, account: string): Place {
  return { argv: (command) => host.argv(accounted(command, account)) };
}

function accountPrefix(file: string): string {
  return accounted([], file).join(' ');
}

function save({ dockerHost }: Engine, reference: string): string {
  return `docker --host ${dockerHost} save ${reference}`;
}

function load({ dockerHost }: Engine): string {
  return `docker --host ${dockerHost} load --quiet`;
}

function bash(script: string): Promise<string> {
  return run(['bash', '-c', `set -o pipefail; ${script}`]);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
