/** Two hosts on one machine: network namespaces joined by a cable whose speed and health the test decides. */
import { execFileSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { atExit, isAlive } from './cleanup.ts';
import { run } from './command.ts';
import { requireRoot } from './root.ts';
import { requirePrograms, type Support, supportOf } from './support.ts';

export interface Host {
  /** Of the network namespace. */
  readonly name: string;
  /** Of its end of the cable, IPv4. */
  readonly address: string;
  /** The command line that runs `command` on this host. */
  argv(command: readonly string[]): string[];
  /** The listening TCP sockets, one a line, as `ss -ltn` shows them; empty when there is none. */
  listeners(): Promise<string>;
}

export interface Hosts extends AsyncDisposable {
  readonly a: Host;
  readonly b: Host;
  /** Limits the cable, each way by itself; `undefined` takes the limit off. */
  setRate(mbit: number | undefined): Promise<void>;
  /** While on, everything sent is lost without a word. */
  blackHole(on: boolean): Promise<void>;
  /** Of what is sent from now on this share is lost, each way by itself; `undefined` ends that. */
  lose(share: number | undefined): Promise<void>;
  /** Kills the TCP sockets of both hosts that match a filter of `ss`, such as `sport = :7373`; all by default. */
  kill(filter?: string): Promise<void>;
}

export interface HostsOptions {
  /** Of the cable, in megabits a second; unlimited when left out. */
  readonly rateMbit?: number;
}

/** The network device at either end of the cable. */
export const CABLE = 'cable';

const PREFIX = 'imgmv-';

let made = 0;

/** Whether this machine can make network namespaces. */
export async function hostSupport(): Promise<Support> {
  return supportOf(async () => {
    requireRoot();
    await requirePrograms('ip', 'tc', 'ss', 'iptables');
    await run(['unshare', '--net', 'ip', 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'other']);
  });
}

/** Makes two hosts; disposing of them removes them, but not what still runs there. */
export async function twoHosts(options: HostsOptions = {}): Promise<Hosts> {
  if (made === 0) await sweep();
  const number = made++;
  const subnet = `10.${(process.pid >> 8) & 255}.${process.pid & 255}`;
  const [a, b] = [1, 2].map((side) => {
    const name = `${PREFIX}${process.pid}-${number}-${side === 1 ? 'a' : 'b'}`;
    return host(name, `${subnet}.${((number * 4) & 255) + side}`);
  }) as [Host, Host];
  const both = (...command: string[]) => Promise.all([a, b].map((each) => run(each.argv(command))));

  let losing: number | undefined;

  const forget = atExit(() => {
    for (const { name } of [a, b]) execFileSync('ip', ['netns', 'delete', name], { stdio: 'ignore' });
  });
  const hosts: Hosts = {
    a,
    b,
    async setRate(mbit) {
      if (mbit === undefined) {
        await both('tc', 'qdisc', 'delete', 'dev', CABLE, 'root');
      } else {
        const limit = ['rate', `${mbit}mbit`, 'burst', '64kb', 'latency', '100ms'];
        await both('tc', 'qdisc', 'replace', 'dev', CABLE, 'root', 'tbf', ...limit);
      }
    },
    async blackHole(on) {
      await both(
        'iptables',
        on ? '--append' : '--delete',
        'INPUT',
        '--in-interface',
        CABLE,
        '--jump',
        'DROP',
      );
    },
    async lose(share) {
      if (losing !== undefined) await both('iptables', '--delete', ...loss(losing));
      if (share !== undefined) await both('iptables', '--append', ...loss(share));
      losing = share;
    },
    async kill(filter) {
      await both('ss', '--tcp', '--kill', ...(filter === undefined ? [] : [filter]));
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([a, b].map(({ name }) => remove(name)));
      forget();
    },
  };

  try {
    for (const { name } of [a, b]) await run(['ip', 'netns', 'add', name]);
    const end = (side: Host) => ['name', CABLE, 'netns', side.name];
    await run(['ip', 'link', 'add', ...end(a), 'type', 'veth', 'peer', ...end(b)]);
    for (const { name, address } of [a, b]) {
      await run(['ip', '-netns', name, 'address', 'add', `${address}/30`, 'dev', CABLE]);
      for (const device of ['lo', CABLE]) await run(['ip', '-netns', name, 'link', 'set', device, 'up']);
    }
    if (options.rateMbit !== undefined) await hosts.setRate(options.rateMbit);
    return hosts;
  } catch (error) {
    await hosts[Symbol.asyncDispose]();
    throw error;
  }
}

/** The rule that drops a share of all packets; the kernel keeps the share in steps of 2^-31. */
function loss(share: number): string[] {
  const matches = ['--in-interface', CABLE, '--match', 'statistic', '--mode', 'random'];
  return ['INPUT', ...matches, '--probability', String(share), '--jump', 'DROP'];
}

function host(name: string, address: string): Host {
  const argv = (command: readonly string[]) => ['ip', 'netns', 'exec', name, ...command];
  return { name, address, argv, listeners: () => run(argv(['ss', '-ltnH'])) };
}

/** The cable goes first: a namespace lives on while a process is left in it. */
async function remove(name: string): Promise<void> {
  await run(['ip', '-netns', name, 'link', 'delete', CABLE]).catch(() => {});
  await run(['ip', 'netns', 'delete', name]).catch(() => {});
}

/** Removes the hosts of dead processes. */
async function sweep(): Promise<void> {
  for (const name of await readdir('/run/netns').catch(() => [])) {
    const owner = /^imgmv-(\d+)-\d+-[ab]$/.exec(name)?.[1];
    if (owner !== undefined && !isAlive(Number(owner))) await remove(name);
  }
}
