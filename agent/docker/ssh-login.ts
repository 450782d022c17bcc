/**
 * One login at another host, and connections to the engine there: they go to a socket in a directory of our own, which
 * ssh forwards to the engine's. Where it cannot, each is a session of the same login that runs `docker system
 * dial-stdio`, as docker/cli cli/connhelper has it.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { ImgmvError } from '../../proto/errors.ts';
import { step } from '../../proto/steps.ts';
import { settledWithin } from '../streams/settled-within.ts';
import type { Endpoint } from './endpoint.ts';
import { duplexOf, handlesOf, type Ssh, start } from './ssh-process.ts';
import { type Answer, answerIn, freeSpaceAt, freeSpaceIn, question, quoted } from './ssh-question.ts';
import { loginFailed } from './ssh-words.ts';

/** After this, people see what ssh says while it still logs in: a banner may ask for something. */
const PATIENCE_MS = 5_000;
/** For the answer, once logged in. A host that runs a command of its own choice never gives one. */
const ANSWER_TIMEOUT_MS = 10_000;
const POLL_MS = 50;
const PING_TIMEOUT_MS = 15_000;
/** How long ssh may take to end when it has lost the other host. It closes connections first, and waits for a command of ProxyCommand. */
const ENDING_MS = 2_000;
/** Of a command that only looks at something. */
const LOOK_TIMEOUT_MS = 10_000;
const NOISE_MAX_CHARACTERS = 64 * 1024;
/** ssh itself failed, not the command. */
const SSH_FAILED = 255;
const NO_SSH = 200;
/** On a Mac the path of a socket has at most 104 bytes, and ssh adds 17 to that of its own for a moment. */
const DIRECTORY_MAX_CHARACTERS = 70;
/** What `-S` and `-L` take as it is. */
const PLAIN_PATH = /^\/[^:\\%$\n]*$/;

/** Ctrl-C is left to us: what it breaks off is undone over the same login. */
const LOG_IN = `command -v ssh >/dev/null || exit ${NO_SSH}; trap "" INT HUP; exec ssh "$@"`;

export class SshLogin {
  readonly #endpoint: Endpoint;
  /** As each ssh takes it. */
  readonly #host: readonly string[];
  #dial: readonly string[];
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
    this.#host = ['-o', 'ConnectTimeout=30', '-T', ...(endpoint.ssh ?? []), ...user, ...port, '--', host];
    const socket = decodeURIComponent(url.pathname).replace(/^\/$/, '') || undefined;
    this.#dial = dialling(socket && `unix://${socket}`);

    const options = ['ControlMaster=yes', 'ControlPersist=no', 'ServerAliveInterval=20'];
    const master = [...options.flatMap((one) => ['-o', one]), '-S', this.#control];
    const ssh = [...master, ...this.#host, ...question(this.#mark, socket)];
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
    if (answer?.state === 'sudo') this.#dial = ['sudo', '-n', ...dialling(answer.address)];
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

  /** Bytes that are free there on the disk of `path`; undefined where the host does not say. Never throws. */
  async freeBytesAt(path: string): Promise<number | undefined> {
    if (!this.#shared) return undefined;
    const { child, closed } = start('ssh', ['-S', this.#control, ...this.#host, ...freeSpaceAt(path)], true);
    const late = setTimeout(() => child.kill(), LOOK_TIMEOUT_MS);
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (more: string) => {
      said = (said + more).slice(-NOISE_MAX_CHARACTERS);
    });
    child.stdin.end();
    await closed;
    clearTimeout(late);
    return freeSpaceIn(said);
  }

  /** Resolves once it is known whether a connection broke since ssh has lost the other host. */
  async settled(): Promise<void> {
    if (this.lost === undefined) await settledWithin(this.#login.ended, ENDING_MS);
  }

  /** What ssh said when it lost the other host; undefined where it has not. */
  get lost(): string | undefined {
    const login = this.#login;
    // A session is killed with the connection that it was for.
    const session = this.#session?.child.exitCode === SSH_FAILED ? this.#session : undefined;
    const failed = hasFailed(login.child) ? login : session;
    return failed && (failed.words() || 'ssh has ended');
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
    const { child } = this.#login;
    let polling: NodeJS.Timeout | undefined;
    let waiting = true;
    const answer = new Promise<Answer | undefined>((resolve, reject) => {
      let text = '';
      child.stdout.setEncoding('utf8').on('data', (more: string) => {
        text = (text + more).slice(-NOISE_MAX_CHARACTERS);
        const answered = answerIn(text, this.#mark);
        if (answered) resolve(answered);
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
        const said = this.#login.said() || `ssh ended with ${status ?? 'a signal'}`;
        reject(status === NO_SSH ? noSsh() : loginFailed(said, this.#endpoint, this.#place));
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
        'log in there as root, or as a member of the group that owns the socket (often "docker"), or let this user run docker by sudo without a password',
      );
    if (socket !== undefined && answer?.state === 'missing')
      return error(
        `no docker engine: there is no socket ${socket} at ${where}`,
        'is docker running there? name another socket as ssh://host/path/of/docker.sock',
      );
    const hint = `check with \`ssh ${this.#place} docker info\` that ssh and docker work`;
    return error(`no docker engine answers at ${where}: ${said}`, hint);
  }

  /** As people would give it to ssh. */
  get #place(): string {
    return this.#host.slice(3).join(' ');
  }
}

/** Of what runs on the other host. `address`: as docker's `--host` has it. */
function dialling(address: string | undefined): readonly string[] {
  return ['docker', ...(address === undefined ? [] : ['--host', quoted(address)]), 'system', 'dial-stdio'];
}

/** Not the command that it ran. */
function hasFailed({ exitCode, signalCode }: Ssh['child']): boolean {
  return exitCode === SSH_FAILED || signalCode !== null;
}

function noSsh(): ImgmvError {
  return new ImgmvError('engine-unavailable', 'the docker engine cannot be reached: this host has no ssh', {
    hint: 'ssh:// needs the OpenSSH client (package openssh-client), in PATH',
  });
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
