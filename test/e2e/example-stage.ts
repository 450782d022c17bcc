/**
 * Where the examples of the documents are played: a source and a target engine, and pairs of hosts that are called
 * host-a and host-b. A line runs in a shell on one of them, in a directory with the files that it names, and sees
 * /run, /media and /srv of its own. `imgmv` gets the code by a file where the example relies upon a terminal.
 */
import { spawn } from 'node:child_process';
import { access, chmod, copyFile, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atExit } from '../rig/cleanup.ts';
import { run } from '../rig/command.ts';
import { type Engine, startEngine } from '../rig/engine.ts';
import { CABLE, type Hosts, twoHosts } from '../rig/hosts.ts';
import { IMGMV } from '../rig/imgmv.ts';
import { type Registry, startRegistry } from '../rig/registry.ts';
import { scratchDirectory } from '../rig/scratch.ts';

/** Addresses of host-b that examples name. */
const ADDRESSES = ['10.0.0.2', '10.17.206.2', '10.101.139.2'];
/** Of the target's host, where the registries are. */
const PORTS = [80, 5000] as const;
const WAIT_MS = 60_000;
const POLL_MS = 20;
const CODE_FILE = '/run/imgmv-code';
/** What an example calls a proxy that takes TLS off. */
const PROXY = 'images.example.com';

/** One command line as a shell runs it. */
export interface Run {
  /** All that was written so far, on both outputs. */
  readonly text: string;
  /** The status; 128 and more for a signal, as a shell has it. */
  readonly exit: Promise<number>;
  /** Ends it as a user would who presses Ctrl-C. */
  stop(): void;
  /** Ends all that is left of it, at once. */
  kill(): void;
}

/** One pair of hosts for one example, with files that both see and nobody else. */
export interface Scenery {
  /** Where both hosts run their lines. */
  readonly directory: string;
  /** Where a path such as `/media/stick` is. */
  at(path: string): string;
  /** Copies a file of the stage into `directory`, or to `to`. */
  put(file: string, to?: string): Promise<void>;
  start(on: 'a' | 'b', line: string): Run;
  /** Waits until a receiver listens. Throws what it said when it has ended before. */
  listening(receiver: Run): Promise<void>;
}

export interface Stage extends AsyncDisposable {
  readonly source: Engine;
  readonly target: Engine;
  /** What the names of `registry.example` and `localhost:5000` lead to, by port. */
  readonly registries: ReadonlyMap<number, Registry>;
  /** A directory whose files examples may be given. */
  readonly files: string;
  /** Plays on a pair of hosts that nobody else uses meanwhile. */
  play<T>(work: (scenery: Scenery) => Promise<T>): Promise<T>;
}

export async function startStage(pairs: number): Promise<Stage> {
  const opened: AsyncDisposable[] = [];
  const own = <T extends AsyncDisposable>(one: T): T => {
    opened.push(one);
    return one;
  };
  const dispose = async () => {
    for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
  };
  try {
    const scratch = own(await scratchDirectory()).path;
    const { b: host } = own(await twoHosts());
    const [source, target] = await Promise.all([
      startEngine({ flavour: '20' }).then(own),
      startEngine({ flavour: '20', host }).then(own),
    ]);
    const registries = new Map<number, Registry>();
    for (const port of PORTS) registries.set(port, own(await startRegistry({ host, port })));
    await nameRegistry(target, scratch);
    const files = join(scratch, 'files');
    const tools = join(scratch, 'tools');
    const dockerConfig = join(scratch, 'docker');
    for (const directory of [files, tools]) await mkdir(directory);
    await makeTools(tools, target);
    const env = {
      PATH: `${tools}:${process.env.PATH}`,
      HOME: scratch,
      DOCKER_CONFIG: dockerConfig,
      NODE_EXTRA_CA_CERTS: join(tools, 'cert.pem'),
    };
    const context = ['docker', 'context', 'create', 'prod', '--docker', `host=${source.dockerHost}`];
    await run(context, { env });
    const free = await Promise.all(Array.from({ length: pairs }, async () => own(await hostPair())));
    const waiting: ((hosts: Hosts) => void)[] = [];
    return {
      source,
      target,
      registries,
      files,
      async play(work) {
        const hosts = free.pop() ?? (await new Promise<Hosts>((resolve) => waiting.push(resolve)));
        try {
          const place = await mkdtemp(join(scratch, 'play-'));
          const engines = { a: source, b: target };
          return await work(await makeScenery({ hosts, place, files, engines, env }));
        } finally {
          const next = waiting.shift();
          if (next) next(hosts);
          else free.push(hosts);
        }
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function hostPair(): Promise<Hosts> {
  const hosts = await twoHosts();
  const ip = (host: string, ...args: string[]) => run(['ip', '-netns', host, ...args]);
  for (const address of ADDRESSES) {
    await ip(hosts.b.name, 'address', 'add', `${address}/32`, 'dev', CABLE);
    await ip(hosts.a.name, 'route', 'add', address, 'dev', CABLE);
  }
  return hosts;
}

/** Engines take a registry on the loopback without TLS, whatever it is called. */
async function nameRegistry(engine: Engine, scratch: string): Promise<void> {
  const hosts = join(scratch, 'hosts-of-the-engine');
  await writeFile(hosts, '127.0.0.1 localhost registry.example\n');
  await run(['nsenter', `--mount=/proc/${engine.pid}/ns/mnt`, 'mount', '--bind', hosts, '/etc/hosts']);
}

/** The commands that examples name and that are not on every machine as they have to be. */
async function makeTools(directory: string, target: Engine): Promise<void> {
  const tool = async (name: string, ...lines: string[]) => {
    await writeFile(join(directory, name), `#!/bin/sh\n${lines.join('\n')}\n`);
    await chmod(join(directory, name), 0o755);
  };
  await tool(
    'imgmv',
    // Whoever names no file for the code has it on a terminal.
    `case "$1 $*" in *--code-file*) ;; 'receive '*|'send '*|'plan '*) set -- "$@" --code-file ${CODE_FILE} ;; esac`,
    `exec '${process.execPath}' '${IMGMV}' "$@"`,
  );
  // Both hosts see the same files: it is the engine that is another one over there.
  await tool('ssh', 'shift', `DOCKER_HOST='${target.dockerHost}' exec "$@"`);
  const certificate = ['-subj', `/CN=${PROXY}`, '-addext', `subjectAltName=DNS:${PROXY}`, '-days', '2'];
  const files = ['-keyout', join(directory, 'key.pem'), '-out', join(directory, 'cert.pem')];
  await run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...certificate, ...files]);
  await writeFile(join(directory, 'tls-proxy.mjs'), TLS_PROXY);
  await tool('tls-proxy', `cd '${directory}'`, `exec '${process.execPath}' tls-proxy.mjs`);
}

/** In front of a receiver on the same host. */
const TLS_PROXY = `
  import { readFileSync } from 'node:fs';
  import { connect } from 'node:net';
  import { createServer } from 'node:tls';
  const options = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') };
  createServer(options, (outside) => {
    const inside = connect(7373, '127.0.0.1');
    for (const [one, other] of [[outside, inside], [inside, outside]])
      one.on('error', () => other.destroy()).pipe(other);
  }).listen(443);
`;

interface Given {
  readonly hosts: Hosts;
  readonly place: string;
  readonly files: string;
  readonly engines: Readonly<Record<'a' | 'b', Engine>>;
  readonly env: Readonly<Record<string, string>>;
}

async function makeScenery({ hosts, place, files, engines, env }: Given): Promise<Scenery> {
  const directory = join(place, 'work');
  for (const name of ['work', 'run', 'media/stick', 'srv/images'])
    await mkdir(join(place, name), { recursive: true });
  const names = `127.0.0.1 localhost\n${hosts.a.address} host-a\n${hosts.b.address} host-b ${PROXY}\n`;
  await writeFile(join(place, 'hosts'), names);
  const at = (path: string) => join(place, path);
  return {
    directory,
    at,
    put: (file, to = directory) => copyFile(join(files, file), join(to, file)),
    start(on, line) {
      const shell = ['sh', '-euc', ENTER, 'enter', place, directory, 'bash', '-c', line];
      // Who pushes from a classic engine has to see its data; the mounts are to be this line's own all the same.
      const seeing = engines.b.place.argv(['unshare', '--mount', '--propagation', 'private', ...shell]);
      return startRun(hosts[on].argv(on === 'b' ? seeing : shell), {
        ...env,
        DOCKER_HOST: engines[on].dockerHost,
        ENGINE_B: engines.b.dockerHost,
      });
    },
    async listening(receiver) {
      const deadline = performance.now() + WAIT_MS;
      let ended = false;
      void receiver.exit.then(() => {
        ended = true;
      });
      // The file is whole from the start, and made when the port is open.
      while (!(await exists(at(CODE_FILE)))) {
        if (ended || performance.now() > deadline) throw new Error(`it does not listen: ${receiver.text}`);
        await sleep(POLL_MS);
      }
    },
  };
}

/** $1 what stands for /run and others, $2 the directory to work in, then the command. `ip netns exec` has made mounts its own. */
const ENTER = `
  place=$1
  mount --bind "$place/hosts" /etc/hosts
  for name in run media srv; do mount --bind "$place/$name" "/$name"; done
  cd "$2"
  shift 2
  exec "$@"
`;

function startRun([program = '', ...args]: readonly string[], env: NodeJS.ProcessEnv): Run {
  // A group of its own, for a line may be several processes.
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const end = (signal: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };
  const forget = atExit(() => end('SIGKILL'));
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  const exit = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? (signal === 'SIGKILL' ? 137 : 130)));
  }).finally(forget);
  return {
    get text() {
      return text;
    },
    exit,
    stop: () => end('SIGINT'),
    kill: () => end('SIGKILL'),
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
