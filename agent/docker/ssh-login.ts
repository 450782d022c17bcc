/**
 * One login at another host, and connections to the engine there: they go to a socket in a directory of our own, which
 * ssh forwards to the engine's. Where it cannot, each is a session of the same login that runs `docker system
 * dial-stdio`, as docker/cli cli/connhelper has it.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { ImgmvError } from '../../proto/errors.ts';
import { step } from '../../proto/steps.ts';
import type { Endpoint } from './endpoint.ts';

/** After this, people see what ssh says while it still logs in: a banner may ask for something. */
const PATIENCE_MS = 5_000;
/** For the answer, once logged in. A host that runs a command of its own choice never gives one. */
const ANSWER_TIMEOUT_MS = 10_000;
const POLL_MS = 50;
const PING_TIMEOUT_MS = 15_000;
const NOISE_MAX_CHARACTERS = 64 * 1024;
const WORDS_MAX_CHARACTERS = 4 * 1024;
const WORDS_MAX_LINES = 3;
/** ssh itself failed, not the command. */
const SSH_FAILED = 255;
const NO_SSH = 200;
/** On a Mac the path of a socket has at most 104 bytes, and ssh adds 17 to that of its own for a moment. */
const DIRECTORY_MAX_CHARACTERS = 70;
/** What `-S` and `-L` take as it is. */
const PLAIN_PATH = /^\/[^:\\%$\n]*$/;

/** Ctrl-C is left to us: what it breaks off is undone over the same login. */
const LOG_IN = `command -v ssh >/dev/null || exit ${NO_SSH}; trap "" INT HUP; exec ssh "$@"`;
/**
 * Where docker there finds its engine, and whether we may use it. Then it keeps the login for as long as our end of its
 * standard input is open. One line without `!`, for csh.
 */
const QUESTION = [
  'h=$2; [ "$h" ] || h=$DOCKER_HOST',
  '[ "$h" ] || h=$(docker context inspect --format "{{.Endpoints.docker.Host}}" </dev/null 2>/dev/null)',
  'case $h in *://*) ;; *) h=unix:///var/run/docker.sock; esac',
  `s=\${h#unix://}; w=open; [ -w "$s" ] || w=denied; [ -S "$s" ] || w=missing`,
  'printf "\\n%s %s %s %s\\n" "$1" $w "$h" "$1"',
  'exec cat >/dev/null',
].join('; ');

interface Answer {
  /** `open`, `denied` or `missing`; of a socket only. */
  readonly state: string;
  /** As DOCKER_HOST has it. */
  readonly address: string;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

interface Ssh {
  readonly child: Child;
  readonly closed: Promise<unknown>;
  words(): string;
}

export class SshLogin {
  readonly #endpoint: Endpoint;
  /** As each ssh takes it. */
  readonly #host: readonly string[];
  readonly #dial: readonly string[];
  readonly #directory = privateDirectory();
  readonly #local = join(this.#directory, 's');
  readonly #control = join(this.#directory, 'c');
  readonly #mark = `imgmv-${randomBytes(8).toString('hex')}`;
  readonly #login: Ssh;
  #session: Ssh | undefined;
  /** Whether connections take no process. Not to be set elsewhere. */
  forwards = false;
  /** Whether connections can only fail. Not to be set elsewhere. */
  broken = false;
  /** False where the login ended with its first command, so that each session needs one of its own. */
  #shared = true;
  readonly #onExit = () => this.end();

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    const url = new URL(endpoint.address);
    const user = url.username === '' ? [] : ['-l', decodeURIComponent(url.username)];
    const port = url.port === '' ? [] : ['-p', url.port];
    const host = url.hostname.replace(/^\[|\]$/g, '');
    this.#host = ['-o', 'ConnectTimeout=30', '-T', ...user, ...port, '--', host];
    const path = decodeURIComponent(url.pathname).replace(/^\/$/, '');
    const socket = path === '' ? [] : [quoted(`unix://${path}`)];
    this.#dial = ['docker', ...socket.flatMap((one) => ['--host', one]), 'system', 'dial-stdio'];

    const options = ['ControlMaster=yes', 'ControlPersist=no', 'ServerAliveInterval=20'];
    const question = ['exec', 'sh', '-c', quoted(QUESTION), 'sh', this.#mark, ...socket];
    const ssh = [...options.flatMap((one) => ['-o', one]), '-S', this.#control, ...this.#host, ...question];
    this.#login = start('sh', ['-c', LOG_IN, 'ssh', ...ssh]);
    process.once('exit', this.#onExit);
  }

  /** Waits until the engine answers. `warn` is told what ssh says meanwhile. Throws engine-unavailable. */
  async open(warn?: (message: string) => void): Promise<void> {
    const { child, words } = this.#login;
    step('ssh', () => `log in to ${new URL(this.#endpoint.address).host}`);
    const slow = setTimeout(() => words() !== '' && warn?.(`ssh says: ${words()}`), PATIENCE_MS);
    const answer = await this.#answer().finally(() => clearTimeout(slow));
    for (const handle of handlesOf(child)) handle.unref();
    if ((await this.#forward(answer)) || (await this.#pings())) {
      step('ssh', () => `logged in; connections ${this.forwards ? 'are forwarded' : 'are sessions'}`);
      return;
    }
    await this.#session?.closed;
    throw this.#unavailable(this.#session?.words() ?? '', answer);
  }

  /** Begins a connection to the engine, for HTTP. */
  connect(): Duplex {
    if (this.forwards) return connect(this.#local);
    const shared = this.#shared ? ['-S', this.#control] : [];
    // In a session of its own it does not get our Ctrl-C, but has no terminal to ask for a password either.
    this.#session = start('ssh', [...shared, ...this.#host, ...this.#dial], this.#shared);
    return duplexOf(this.#session.child);
  }

  /** Ends it with all connections. May be called twice. */
  end(): void {
    this.broken = true;
    process.off('exit', this.#onExit);
    this.#login.child.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** Undefined where the host gives none. */
  #answer(): Promise<Answer | undefined> {
    const { child, words } = this.#login;
    const pattern = new RegExp(`${this.#mark} (\\w+) (.+) ${this.#mark}`);
    let polling: NodeJS.Timeout | undefined;
    let waiting = true;
    const answer = new Promise<Answer | undefined>((resolve, reject) => {
      let text = '';
      child.stdout.setEncoding('utf8').on('data', (more: string) => {
        text = (text + more).slice(-NOISE_MAX_CHARACTERS);
        const [, state, address] = pattern.exec(text) ?? [];
        if (state !== undefined && address !== undefined) resolve({ state, address });
      });
      let leftMs = ANSWER_TIMEOUT_MS;
      polling = setInterval(() => {
        // ssh makes it once it is logged in.
        if (existsSync(this.#control)) leftMs -= POLL_MS;
        if (leftMs <= 0) resolve(undefined);
      }, POLL_MS);
      child.once('error', () => reject(noSsh()));
      child.once('close', (status) => {
        this.#shared = !waiting || status === null || status === SSH_FAILED || status === NO_SSH;
        if (!this.#shared) return resolve(undefined);
        this.end();
        const why = words() || `ssh ended with ${status ?? 'a signal'}`;
        reject(status === NO_SSH ? noSsh() : this.#unavailable(why));
      });
    });
    return answer.finally(() => {
      waiting = false;
      clearInterval(polling);
      child.stdout.removeAllListeners('data').resume();
    });
  }

  async #forward(answer: Answer | undefined): Promise<boolean> {
    const path = answer?.address.replace(/^unix:\/\//, '') ?? '';
    if (answer?.state !== 'open' || !PLAIN_PATH.test(path)) return false;
    const forward = ['-O', 'forward', '-L', `${this.#local}:${path}`];
    await start('ssh', ['-S', this.#control, ...forward, ...this.#host], true).closed;
    // Whether the other host permits it shows with the first connection.
    this.forwards = true;
    this.forwards = await this.#pings();
    return this.forwards;
  }

  /** An engine that is silent is there all the same. */
  #pings(): Promise<boolean> {
    const signal = AbortSignal.timeout(PING_TIMEOUT_MS);
    const sent = request({ host: 'docker', path: '/_ping', signal, createConnection: () => this.connect() });
    return new Promise((resolve) => {
      sent.once('response', (response) => {
        response.destroy();
        resolve(true);
      });
      sent.on('error', () => resolve(signal.aborted));
      sent.end();
    });
  }

  #unavailable(said: string, answer?: Answer): ImgmvError {
    const { address, foundBy } = this.#endpoint;
    const where = `${address} (${foundBy})`;
    const error = (message: string, hint: string) => new ImgmvError('engine-unavailable', message, { hint });
    const socket = answer?.address.startsWith('unix://') ? answer.address.slice('unix://'.length) : undefined;
    if (socket !== undefined && answer?.state === 'denied')
      return error(
        `no permission on the docker socket ${socket} of ${where}`,
        'log in there as root, or as a member of the group that owns the socket (often "docker")',
      );
    if (socket !== undefined && answer?.state === 'missing')
      return error(
        `no docker engine: there is no socket ${socket} at ${where}`,
        'is docker running there? name another socket as ssh://host/path/of/docker.sock',
      );
    const hint = `check with \`ssh ${this.#host.slice(3).join(' ')} docker info\` that ssh and docker work`;
    return error(`no docker engine answers at ${where}: ${said}`, hint);
  }
}

function noSsh(): ImgmvError {
  return new ImgmvError('engine-unavailable', 'the docker engine cannot be reached: this host has no ssh', {
    hint: 'ssh:// needs the OpenSSH client (package openssh-client), in PATH',
  });
}

/** `apart`: out of reach of what our terminal sends. */
function start(command: string, args: readonly string[], apart = false): Ssh {
  const child = spawn(command, args, { stdio: 'pipe', detached: apart });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (more: string) => {
    said = (said + more).slice(-WORDS_MAX_CHARACTERS);
  });
  // A process that is gone is known by its end.
  child.stdin.on('error', () => {});
  child.on('error', () => {});
  const closed = new Promise((resolve) => child.once('close', resolve));
  const words = () =>
    said
      .trim()
      .split(/\s*\n\s*/)
      .slice(-WORDS_MAX_LINES)
      .join(' ');
  return { child, closed, words };
}

function duplexOf(child: Child): Duplex {
  const duplex = Duplex.from({ readable: child.stdout, writable: child.stdin });
  duplex.once('close', () => child.kill());
  // Not of a request: an agent that drops an idle one asks nobody, and what is no socket takes that for an error.
  duplex.on('error', () => {});
  // node:http asks these of what it takes for a TCP socket.
  return Object.assign(duplex, {
    setKeepAlive: () => duplex,
    setNoDelay: () => duplex,
    setTimeout: () => duplex,
    ref: () => {
      for (const handle of handlesOf(child)) handle.ref();
    },
    unref: () => {
      for (const handle of handlesOf(child)) handle.unref();
    },
  });
}

/** What keeps our process alive. */
function handlesOf(child: Child): readonly { ref(): void; unref(): void }[] {
  return [child, child.stdin as Socket, child.stdout as Socket, child.stderr as Socket];
}

/** Only ours, with a path that a socket can have. Throws engine-unavailable. */
function privateDirectory(): string {
  for (const base of [process.env.XDG_RUNTIME_DIR, tmpdir(), '/tmp'])
    try {
      if (base && base.length <= DIRECTORY_MAX_CHARACTERS && PLAIN_PATH.test(base))
        return mkdtempSync(join(base, 'imgmv-'));
    } catch {
      // The next one may do.
    }
  throw new ImgmvError('engine-unavailable', 'cannot make a directory for the ssh connection', {
    hint: 'set TMPDIR to one with a short path that you may write to',
  });
}

/** For the shell of the other host, which is given what ssh has for a command in one line. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
