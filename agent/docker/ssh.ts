/** Engines of other hosts: all connections to one of them, by however many engines of this process, share a login. */
import { Agent } from 'node:http';
import type { Duplex } from 'node:stream';
import { ImgmvError } from '../../proto/errors.ts';
import { orAborted } from '../streams/or-aborted.ts';
import type { Endpoint } from './endpoint.ts';
import { SshLogin } from './ssh-login.ts';

/**
 * sshd gives a login 10 sessions (MaxSessions), one of which holds the login. Calls wait for one another and are
 * short; streams never wait, since one may need another to go on: ssh makes logins of their own for those that are
 * too many, which takes more than two `--jobs`.
 */
const SESSIONS_FOR_CALLS = 4;
const IDLE_SESSIONS_MAX = 4;

export interface OpenOptions {
  readonly signal?: AbortSignal;
  /** Told of what ssh says while it waits, maybe for somebody. */
  readonly warn?: (message: string) => void;
  /** Does the work with the terminal left to ssh, which may ask for a password there. */
  readonly lendTerminal?: (<T>(work: () => Promise<T>) => Promise<T>) | undefined;
}

const links = new Map<string, Link>();

/** The agents of a connection for node:http, and how it is opened and closed; see transport.ts. */
export function sshConnection(endpoint: Endpoint) {
  const key = JSON.stringify([endpoint.address, endpoint.ssh]);
  const link = links.get(key) ?? new Link(endpoint);
  links.set(key, link);
  link.users++;
  let closed = false;
  return {
    agent: link.streams,
    callAgent: link.calls,
    async open({ lendTerminal, signal, warn }: OpenOptions): Promise<void> {
      link.lendTerminal ??= lendTerminal;
      const login = link.login(warn);
      await (signal ? orAborted(login, signal) : login);
    },
    forwards: () => link.usable?.forwards === true,
    lost: () => link.lost,
    settled: async () => link.settled(),
    freeBytesAt: async (path: string) => (await link.login()).freeBytesAt(path),
    close(): void {
      if (closed) return;
      closed = true;
      if (--link.users > 0) return;
      links.delete(key);
      link.close();
    },
  };
}

/** One login at a time to one engine. */
class Link {
  users = 0;
  lendTerminal: OpenOptions['lendTerminal'];
  readonly streams = new LinkAgent(this, Number.POSITIVE_INFINITY);
  readonly calls = new LinkAgent(this, SESSIONS_FOR_CALLS);
  readonly #endpoint: Endpoint;
  #newest: SshLogin | undefined;
  #lostBefore: string | undefined;
  #opening: Promise<SshLogin> | undefined;
  #closed = false;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** The login that connections can be made by at once, if there is one. */
  get usable(): SshLogin | undefined {
    return this.#opening || this.#newest?.broken ? undefined : this.#newest;
  }

  /** What ssh said when it lost the other host, which this process has not reached again. */
  get lost(): string | undefined {
    return this.#newest?.lost ?? this.#lostBefore;
  }

  async settled(): Promise<void> {
    if (this.lost === undefined) await this.#newest?.settled();
  }

  /** Makes a new one where there is none, or it broke. Throws engine-unavailable. */
  login(warn?: OpenOptions['warn']): Promise<SshLogin> {
    if (this.usable) return Promise.resolve(this.usable);
    this.#opening ??= this.#open(warn).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #open(warn: OpenOptions['warn']): Promise<SshLogin> {
    if (this.#closed) throw new ImgmvError('engine-unavailable', 'the ssh connection was closed');
    const { lendTerminal = (work) => work() } = this;
    return lendTerminal(() => this.#logIn(warn));
  }

  async #logIn(warn: OpenOptions['warn']): Promise<SshLogin> {
    this.#lostBefore = this.lost;
    const login = new SshLogin(this.#endpoint);
    this.#newest = login;
    try {
      await login.open(warn);
      this.#lostBefore = undefined;
    } catch (error) {
      login.end();
      throw error;
    }
    this.calls.maxSockets = login.forwards ? Number.POSITIVE_INFINITY : SESSIONS_FOR_CALLS;
    return login;
  }

  close(): void {
    this.#closed = true;
    this.streams.destroy();
    this.calls.destroy();
    this.#newest?.end();
  }
}

class LinkAgent extends Agent {
  readonly #link: Link;

  constructor(link: Link, maxSockets: number) {
    super({ keepAlive: true, maxSockets, maxFreeSockets: IDLE_SESSIONS_MAX });
    this.#link = link;
  }

  override createConnection(
    _options: unknown,
    created?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | undefined {
    // The agent counts what comes at once, and bounds nothing else.
    if (this.#link.usable) return this.#link.usable.connect();
    this.#link.login().then(
      (login) => created?.(null, login.connect()),
      (error) => created?.(error, undefined as never),
    );
    return undefined;
  }
}
