/**
 * Throwaway Docker engines. Each daemon is the first process of its own mount and process namespaces: its
 * containerd, containers, tmpfs and overlay mounts are invisible to the host and end with it, and it is itself
 * killed by the kernel when the process that started it dies. Only its directory can be left behind.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { newerDebian } from './chroot.ts';
import { type Input, run, tied } from './command.ts';
import { scratchDirectory } from './scratch.ts';
import { requireRoot, type Support, supportOf } from './support.ts';

/**
 * 20 = Docker 20.10, classic store; 28 = Docker 28, classic store; 28c = Docker 28, containerd store;
 * host = whatever this machine has from 20.10 on, classic store.
 */
export type Flavour = '20' | '28' | '28c' | 'host';

export interface EngineOptions {
  readonly flavour: Flavour;
  /** Room for the engine's data, which is kept in memory. */
  readonly tmpfsBytes?: number;
  /** The daemon's, as TZ has it; UTC when left out. */
  readonly timeZone?: string;
}

export interface Engine extends AsyncDisposable {
  readonly flavour: Flavour;
  /** As the daemon reports it: `20.10.24+dfsg1`. */
  readonly version: string;
  readonly socketPath: string;
  /** `unix://` and the socket's path. */
  readonly dockerHost: string;
  /** The daemon's. */
  readonly pid: number;
  /** The daemon's data as the host reaches it, through /proc; ends with the daemon. */
  readonly dataRoot: string;
  /** Runs the docker command line against this engine, with nothing inherited; gives its standard output. */
  docker(args: readonly string[], options?: { readonly input?: Input }): Promise<string>;
  /** What the daemon has logged so far. */
  log(): Promise<string>;
  /** Sends the daemon a signal. Once it is dead its containers and data are gone too. */
  kill(signal: NodeJS.Signals): void;
}

const DEFAULT_TMPFS_BYTES = 4 * 2 ** 30;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
const POLL_MS = 50;
/** Where a chroot sees the engine's directory. */
const INSIDE = '/mnt';

/** Whether this machine can run engines of a flavour. The newer ones may have to be downloaded first. */
export async function engineSupport(flavour: Flavour): Promise<Support> {
  return supportOf(async () => {
    requireRoot();
    await run([...NAMESPACES, 'mount', '-t', 'tmpfs', 'tmpfs', INSIDE]);
    if (!isOfHost(flavour)) {
      await newerDebian();
      return;
    }
    const major = await hostMajor();
    if (flavour === '20' ? major !== 20 : !(major >= 20))
      throw new Error(`dockerd: want Docker 20, got ${major}`);
  });
}

/** Starts an engine and waits until it answers. Any number may run side by side. Throws if it does not start. */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const root = isOfHost(options.flavour) ? '' : await newerDebian();
  const major = root === '' ? await hostMajor() : undefined;
  const directory = await scratchDirectory();
  const { path } = directory;
  const home = root === '' ? path : INSIDE;
  await mkdir(join(path, 'data'));
  await writeFile(join(path, 'daemon.json'), JSON.stringify(daemonConfig(options.flavour, home, major)));

  const size = String(options.tmpfsBytes ?? DEFAULT_TMPFS_BYTES);
  const [command = '', ...args] = tied([...NAMESPACES, 'sh', '-euc', BOOT, 'boot', path, size, root, home]);
  const log = await open(join(path, 'log'), 'w');
  const env = cleanEnvironment(path, options.timeZone);
  const holder = spawn(command, args, { stdio: ['ignore', log.fd, log.fd], env });
  const exited = new Promise<void>((resolve) => holder.once('close', () => resolve()));
  await log.close();
  const dispose = async () => {
    await stop(holder, exited);
    await directory[Symbol.asyncDispose]();
  };

  try {
    const socketPath = join(path, 'docker.sock');
    await ready(socketPath, holder, join(path, 'log'));
    const pid = await firstChild(holder);
    const dockerHost = `unix://${socketPath}`;
    const docker: Engine['docker'] = (command, given = {}) =>
      run(['docker', '--host', dockerHost, ...command], { ...given, env: cleanEnvironment(path) });
    return {
      flavour: options.flavour,
      version: (await docker(['version', '--format', '{{.Server.Version}}'])).trim(),
      socketPath,
      dockerHost,
      pid,
      dataRoot: join('/proc', String(pid), 'root', home, 'data'),
      docker,
      log: () => readFile(join(path, 'log'), 'utf8'),
      kill: (signal) => process.kill(pid, signal),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/**
 * Becomes the first process of new namespaces. Unmounts on the host still propagate in (slave): a deleted
 * network namespace would otherwise live on in every engine that was started while it was there.
 */
const NAMESPACES = [
  'unshare',
  '--mount',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
  '--propagation',
  'slave',
];

/** $1 the engine's directory, $2 its size, $3 the chroot or nothing, $4 the directory as the daemon sees it. */
const BOOT = `
  mount -t tmpfs -o size="$2" tmpfs "$1/data"
  if [ -n "$3" ]; then
    # Docker wants a mount point as its root; the tmpfs keeps the shared chroot as it was made.
    mount --bind "$3" "$3"
    mount --make-private "$3"
    mount -t proc proc "$3/proc"
    mount --rbind /sys "$3/sys"
    mount --rbind /dev "$3/dev"
    mount -t tmpfs tmpfs "$3/run"
    mount -t tmpfs tmpfs "$3/tmp"
    mount --rbind "$1" "$3$4"
  fi
  exec \${3:+chroot "$3"} dockerd --config-file "$4/daemon.json"
`;

function isOfHost(flavour: Flavour): boolean {
  return flavour === '20' || flavour === 'host';
}

/** Of this machine's own dockerd; NaN for what does not name a version. */
async function hostMajor(): Promise<number> {
  const found = await run(['dockerd', '--version'], { env: cleanEnvironment('/') });
  return Number(/^Docker version ([0-9]+)\./.exec(found)?.[1]);
}

function daemonConfig(flavour: Flavour, home: string, major?: number): Record<string, unknown> {
  return {
    hosts: [`unix://${home}/docker.sock`],
    'data-root': `${home}/data`,
    'exec-root': `${home}/exec`,
    pidfile: `${home}/pid`,
    bridge: 'none',
    iptables: false,
    'ip-forward': false,
    ...(flavour === '28c'
      ? { features: { 'containerd-snapshotter': true } }
      : { 'storage-driver': 'overlay2' }),
    // Version 20 would make itself a key under /etc/docker; newer ones refuse the option.
    ...(major === 20 && { 'deprecated-key-path': `${home}/key.json` }),
  };
}

function cleanEnvironment(home: string, timeZone = 'UTC'): NodeJS.ProcessEnv {
  return {
    PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
    HOME: home,
    DOCKER_CONFIG: join(home, 'docker-config'),
    // The ids that docker 20.10 makes for saved layers cover its zone, or /etc/localtime would be inherited.
    TZ: timeZone,
  };
}

async function ready(socketPath: string, holder: ChildProcess, log: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await answers(socketPath))) {
    if (holder.exitCode !== null || Date.now() > deadline) {
      const said = (await readFile(log, 'utf8')).trim().split('\n').slice(-5).join('\n');
      throw new Error(`docker engine did not start:\n${said}`);
    }
    await sleep(POLL_MS);
  }
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ socketPath, path: '/_ping' }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once('error', () => resolve(false));
  });
}

/** unshare forks once; its child turned into the daemon. Nothing when that one is gone. */
async function firstChild({ pid }: ChildProcess): Promise<number> {
  return Number.parseInt(await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'), 10);
}

function signalUnlessGone(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function stop(holder: ChildProcess, exited: Promise<void>): Promise<void> {
  if (holder.pid === undefined) return;
  const patience = setTimeout(() => holder.kill('SIGKILL'), STOP_TIMEOUT_MS);
  const daemon = await firstChild(holder).catch(() => Number.NaN);
  // A daemon that a test has stopped must go on to see the end.
  for (const signal of ['SIGTERM', 'SIGCONT'] as const) {
    if (!Number.isNaN(daemon)) signalUnlessGone(daemon, signal);
  }
  await exited;
  clearTimeout(patience);
}
