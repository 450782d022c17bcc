/**
 * Throwaway Docker engines. Each daemon is the first process of its own mount and process namespaces: its
 * containerd, containers and overlay mounts are invisible to the host and end with it. Its data is on a tmpfs
 * that a second process holds, in a mount namespace too, so that a daemon that was killed can come back to it.
 * Both are killed by the kernel when the process that started them dies. Only their directory can be left behind.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { newerDebian } from './chroot.ts';
import { type Input, run, tied } from './command.ts';
import type { Host } from './hosts.ts';
import type { Place } from './imgmv.ts';
import { requireRoot } from './root.ts';
import { scratchDirectory } from './scratch.ts';
import { requirePrograms, type Support, supportOf } from './support.ts';

/**
 * 20 = Docker 20.10, classic store; 28 = Docker 28, classic store; 28c = Docker 28, containerd store;
 * host = whatever this machine has from 20.10 on, classic store; podman = this machine's, by its service.
 */
export type Flavour = '20' | '28' | '28c' | 'host' | 'podman';

export interface EngineOptions {
  readonly flavour: Flavour;
  /** Room for the engine's data, which is kept in memory. */
  readonly tmpfsBytes?: number;
  /** The daemon's, as TZ has it; UTC when left out. */
  readonly timeZone?: string;
  /** Of a classic store; overlay2 when left out. */
  readonly driver?: 'overlay2' | 'vfs' | undefined;
  /** Whose network it has; this host's when left out. */
  readonly host?: Host;
}

export interface Engine extends AsyncDisposable {
  readonly flavour: Flavour;
  /** As the daemon reports it: `20.10.24+dfsg1`. */
  readonly version: string;
  readonly socketPath: string;
  /** `unix://` and the socket's path. */
  readonly dockerHost: string;
  /** The daemon's; another one after a restart. */
  readonly pid: number;
  /** The daemon's data as the host reaches it, through /proc; outlives the daemon, not the disposal. */
  readonly dataRoot: string;
  /** Where the daemon's data is to be seen under the path that the daemon has for it. */
  readonly place: Place;
  /** Runs the docker command line against this engine, with nothing inherited; gives its standard output. */
  docker(args: readonly string[], options?: { readonly input?: Input }): Promise<string>;
  /** What the daemon has logged so far. */
  log(): Promise<string>;
  /** Sends the daemon a signal. Once it is dead its containers are gone too. */
  kill(signal: NodeJS.Signals): void;
  /** Waits for the end of a daemon that was killed, and starts another one on the same data. */
  restart(): Promise<void>;
}

/** A running dockerd. */
interface Daemon {
  readonly pid: number;
  /** Ends it, and waits for that. */
  stop(): Promise<void>;
  readonly exited: Promise<void>;
}

const DEFAULT_TMPFS_BYTES = 4 * 2 ** 30;
const START_TIMEOUT_MS = 180_000;
const POLL_MS = 50;
const CGROUPS = '/sys/fs/cgroup';
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
    if (flavour === 'podman') return requirePrograms('podman', 'docker');
    const major = await hostMajor();
    if (flavour === '20' ? major !== 20 : !(major >= 20))
      throw new Error(`dockerd: want Docker 20, got ${major}`);
  });
}

/** Starts an engine and waits until it answers. Any number may run side by side. Throws if it does not start. */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const root = isOfHost(options.flavour) ? '' : await newerDebian();
  const isPodman = options.flavour === 'podman';
  const major = root === '' && !isPodman ? await hostMajor() : undefined;
  const directory = await scratchDirectory();
  const { path } = directory;
  const home = root === '' ? path : INSIDE;
  await mkdir(join(path, 'data'));
  await writeFile(join(path, 'daemon.json'), JSON.stringify(daemonConfig(options, home, major)));

  const data = await holdData(path, options.tmpfsBytes ?? DEFAULT_TMPFS_BYTES);
  const boot = [...NAMESPACES, 'sh', '-euc', isPodman ? BOOT_PODMAN : BOOT, 'boot', path, root, home];
  // `ip netns exec` would mount a /sys without cgroups.
  const placed = options.host ? ['nsenter', `--net=/run/netns/${options.host.name}`, ...boot] : boot;
  const argv = tied(['nsenter', `--mount=/proc/${data.pid}/ns/mnt`, ...placed]);
  const start = () => startDaemon(path, argv, cleanEnvironment(path, options.timeZone));
  let daemon: Daemon | undefined;
  const dispose = async () => {
    await daemon?.stop();
    await removeCgroups(path);
    await data.release();
    await directory[Symbol.asyncDispose]();
  };

  try {
    daemon = await start();
    let { pid } = daemon;
    const socketPath = join(path, 'docker.sock');
    const dockerHost = `unix://${socketPath}`;
    const docker: Engine['docker'] = (command, given = {}) =>
      run(['docker', '--host', dockerHost, ...command], { ...given, env: cleanEnvironment(path) });
    return {
      flavour: options.flavour,
      version: (await docker(['version', '--format', '{{.Server.Version}}'])).trim(),
      socketPath,
      dockerHost,
      get pid() {
        return pid;
      },
      dataRoot: join('/proc', String(data.pid), 'root', path, 'data'),
      place: { argv: (command) => [...inside(data.pid, path, home), ...command] },
      docker,
      log: () => readFile(join(path, 'log'), 'utf8'),
      kill: (signal) => process.kill(pid, signal),
      async restart() {
        await daemon?.exited;
        await removeCgroups(path);
        // What a reboot would clear: ids in there are of processes that were in the namespace of the dead one.
        for (const name of ['pid', 'exec']) await rm(join(path, name), { recursive: true, force: true });
        daemon = await start();
        pid = daemon.pid;
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Mounts an engine's data for as long as nobody releases it; `pid` is of the process whose mounts have it. */
async function holdData(path: string, bytes: number): Promise<{ pid: number; release(): Promise<void> }> {
  const hold = ['sh', '-euc', HOLD, 'hold', path, String(bytes)];
  const [command = '', ...args] = tied(['unshare', '--mount', '--propagation', 'slave', ...hold]);
  const holder = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise<void>((resolve) => {
    holder.once('error', () => resolve());
    holder.once('close', () => resolve());
  });
  const mounted = once(holder.stdout, 'data').then(() => true);
  if (!(await Promise.race([mounted, exited]))) throw new Error(`no tmpfs at ${path}: see above`);
  return {
    pid: holder.pid ?? -1,
    async release() {
      holder.kill('SIGKILL');
      await exited;
    },
  };
}

/** $1 the engine's directory, $2 its size. */
const HOLD = `
  mount -t tmpfs -o size="$2" tmpfs "$1/data"
  echo mounted
  exec sleep infinity
`;

/** Runs a command where the mounts of `pid` are, and what the daemon calls `home` is there, too. */
function inside(pid: number, path: string, home: string): string[] {
  const mounts = ['nsenter', `--mount=/proc/${pid}/ns/mnt`];
  if (home === path) return [...mounts, '--'];
  const bind = 'mount --rbind "$1" "$2"; shift 2; exec "$@"';
  return [
    ...mounts,
    'unshare',
    '--mount',
    '--propagation',
    'slave',
    'sh',
    '-euc',
    bind,
    'inside',
    path,
    home,
  ];
}

/** Starts a dockerd and waits until it answers; `argv` is the command line that becomes it. */
async function startDaemon(path: string, argv: readonly string[], env: NodeJS.ProcessEnv): Promise<Daemon> {
  const [command = '', ...args] = argv;
  const log = await open(join(path, 'log'), 'a');
  const starter = spawn(command, args, { stdio: ['ignore', log.fd, log.fd], env });
  const exited = new Promise<void>((resolve) => starter.once('close', () => resolve()));
  await log.close();
  try {
    await ready(join(path, 'docker.sock'), starter, join(path, 'log'));
    return { pid: await firstChild(starter), exited, stop: () => stop(starter, exited) };
  } catch (error) {
    await stop(starter, exited);
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

/** $1 the engine's directory, $2 the chroot or nothing, $3 the directory as the daemon sees it. */
const BOOT = `
  if [ -n "$2" ]; then
    # Docker wants a mount point as its root; the tmpfs keeps the shared chroot as it was made.
    mount --bind "$2" "$2"
    mount --make-private "$2"
    mount -t proc proc "$2/proc"
    mount --rbind /sys "$2/sys"
    mount --rbind /dev "$2/dev"
    mount -t tmpfs tmpfs "$2/run"
    mount -t tmpfs tmpfs "$2/tmp"
    mount --rbind "$1" "$2$3"
  fi
  exec \${2:+chroot "$2"} dockerd --config-file "$3/daemon.json"
`;

/** $1 the engine's directory. What is spooled lies where docker has it. */
const BOOT_PODMAN = `
  mkdir -p "$1/data/tmp"
  export TMPDIR="$1/data/tmp"
  # Of a registry on the loopback docker wants no TLS.
  printf '[[registry]]\\nlocation = "127.0.0.1"\\ninsecure = true\\n' > "$1/registries.conf"
  export CONTAINERS_REGISTRIES_CONF="$1/registries.conf"
  exec podman --root "$1/data" --runroot "$1/exec" --tmpdir "$1/exec/tmp" --storage-driver overlay \\
    --cgroup-manager cgroupfs --events-backend none system service --time 0 "unix://$1/docker.sock"
`;

function isOfHost(flavour: Flavour): boolean {
  return flavour === '20' || flavour === 'host' || flavour === 'podman';
}

/** Of this machine's own dockerd; NaN for what does not name a version. */
async function hostMajor(): Promise<number> {
  const found = await run(['dockerd', '--version'], { env: cleanEnvironment('/') });
  return Number(/^Docker version ([0-9]+)\./.exec(found)?.[1]);
}

function daemonConfig(
  { flavour, driver = 'overlay2' }: EngineOptions,
  home: string,
  major?: number,
): Record<string, unknown> {
  return {
    hosts: [`unix://${home}/docker.sock`],
    'data-root': `${home}/data`,
    'exec-root': `${home}/exec`,
    pidfile: `${home}/pid`,
    bridge: 'none',
    iptables: false,
    'ip-forward': false,
    ...(flavour === '28c' ? { features: { 'containerd-snapshotter': true } } : { 'storage-driver': driver }),
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

async function ready(socketPath: string, starter: ChildProcess, log: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await answers(socketPath))) {
    if (starter.exitCode !== null || Date.now() > deadline) {
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

/** Not in order: that takes dockerd a second, and ten more where a container runs. */
async function stop(starter: ChildProcess, exited: Promise<void>): Promise<void> {
  if (starter.pid === undefined) return;
  const daemon = await firstChild(starter).catch(() => Number.NaN);
  if (Number.isNaN(daemon)) starter.kill('SIGKILL');
  // Its starter ends after it, and after all that is in its namespace.
  else signalUnlessGone(daemon, 'SIGKILL');
  await exited;
}

/** Removes what is left of the containers of a daemon that was killed: they are gone, their cgroups are not. */
async function removeCgroups(path: string): Promise<void> {
  const running = await readdir(join(path, 'exec', 'runtime-runc', 'moby')).catch(() => []);
  if (running.length === 0) return;
  // One tree, or one for each controller.
  const trees = ['.', ...(await readdir(CGROUPS))].map((tree) => join(CGROUPS, tree, 'docker'));
  for (const id of running) for (const tree of trees) await rmdir(join(tree, id)).catch(unlessMissing);
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}
