/**
 * The side that waits: an HTTP server that does nothing but upgrade, an authority that says who may meet it, and the
 * session that comes of it. Nobody gets work or memory out of it before the proof. docs/SECURITY.md says against whom.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket as NetSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  acceptChannel,
  type Channel,
  type Credentials,
  emptyBytes16,
  newSessionId,
  type Preamble,
  type Role,
} from '../../proto/channel.ts';
import { type Deferred, deferred } from '../../proto/deferred.ts';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import {
  GIVE_UP_MS,
  HANDSHAKE_TIMEOUT_MS,
  HEADERS_TIMEOUT_MS,
  HTTP_HEADERS_MAX_BYTES,
} from '../../proto/limits.ts';
import type { Hello } from '../../proto/messages.ts';
import { step } from '../../proto/steps.ts';
import { type Socket, SUBPROTOCOL, upgrade, versionOffered } from '../../proto/websocket.ts';
import type { Emit } from '../model/events.ts';
import { type Clock, SYSTEM_CLOCK } from '../streams/clock.ts';
import { onAbort } from '../streams/on-abort.ts';
import { Admission, type Stranger } from './admission.ts';
import { Answers } from './answers.ts';
import type { Authority } from './authority.ts';
import { listenError } from './listen-error.ts';
import { Session } from './session.ts';

const EXPIRY_CHECK_MS = 250;

export interface ListenOptions {
  /** Undefined: all addresses, IPv4 and IPv6. */
  readonly address: string | undefined;
  /** 0 picks a free one. */
  readonly port: number;
  readonly role: Role;
  /** Asked for each session. */
  readonly hello: () => Omit<Hello, 'type' | 'role'>;
  readonly emit: Emit;
  readonly clock?: Clock;
  /** How long to wait for a lost connection to come back. */
  readonly patienceMs?: number | undefined;
  readonly unauthenticatedPerAddress?: number | undefined;
  /** Of a session, in bytes a second. */
  readonly limit?: number | undefined;
}

export interface AcceptedSession {
  readonly session: Session;
  readonly peerAddress: string;
}

/** A dialler that has been let into the handshake: under an authority it begins a session, else it joins ours. */
interface Admitted {
  /** Ours. */
  readonly preamble: Preamble;
  readonly credentials: Credentials | Promise<Credentials>;
  readonly authority?: Authority;
}

export class Listener {
  readonly address: string;
  readonly port: number;
  readonly #server: Server;
  readonly #options: ListenOptions;
  readonly #admission: Admission;
  readonly #answers: Answers;
  readonly #sockets = new Set<Duplex>();
  #authority: Authority | undefined;
  /** What people were told of the diallers of an authority. */
  readonly #told = new WeakMap<Authority, Set<string>>();
  /** Who waits for a session. */
  #accept: Deferred<AcceptedSession> | undefined;
  /** The session whose lanes are taken in. */
  #running: Session | undefined;

  private constructor(server: Server, options: ListenOptions) {
    const bound = server.address() as AddressInfo;
    this.address = bound.address;
    this.port = bound.port;
    this.#server = server;
    this.#options = options;
    const { clock = SYSTEM_CLOCK } = options;
    const now = () => clock.monotonic();
    this.#answers = new Answers(now);
    this.#admission = new Admission({ now, perAddressMax: options.unauthenticatedPerAddress });
    server.on('connection', (socket) => this.#connected(socket));
    // A request that expects something would otherwise be answered by Node, which keeps its connection.
    for (const event of ['request', 'checkContinue', 'checkExpectation'])
      server.on(event, (_request: IncomingMessage, response: ServerResponse) => {
        response
          .writeHead(426, {
            Connection: 'close',
            Upgrade: 'websocket',
            'Sec-WebSocket-Protocol': SUBPROTOCOL,
          })
          .end();
      });
    server.on('upgrade', (request, duplex, head) => void this.#upgrade(request, duplex, head));
  }

  /** Throws usage for an address that is in use or not of this host. */
  static async listen(options: ListenOptions): Promise<Listener> {
    const server = createServer({
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: HTTP_HEADERS_MAX_BYTES,
      keepAlive: true,
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(options, error)));
      server.listen(
        { port: options.port, ...(options.address !== undefined && { host: options.address }) },
        resolve,
      );
    });
    return new Listener(server, options);
  }

  /**
   * Waits for one dialler that may meet this side; what was asked for before, if anything, is over. Throws the death of
   * `authority`, or the reason of `signal`.
   */
  async accept(authority: Authority, signal: AbortSignal): Promise<AcceptedSession> {
    const accepted = deferred<AcceptedSession>();
    this.#running = undefined;
    this.#authority = authority;
    this.#accept = accepted;
    using _ = onAbort(signal, () => accepted.reject(toImgmvError(signal.reason)));
    const timer = setInterval(() => {
      const { death } = authority;
      if (death && death.code !== 'code-used') accepted.reject(death);
    }, EXPIRY_CHECK_MS);
    try {
      return await accepted.promise;
    } finally {
      clearInterval(timer);
      this.#accept = undefined;
    }
  }

  /** Stops listening and breaks what is still connected. */
  async close(): Promise<void> {
    this.#running = undefined;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** From the first byte on a stranger holds one of few places; Node's own deadlines hold until the upgrade. */
  #connected(socket: NetSocket): void {
    const stranger: Stranger = {
      // A listener on all addresses sees IPv4 as ::ffff:192.0.2.1.
      address: socket.remoteAddress?.replace(/^::ffff:(?=[0-9.]+$)/, '') ?? 'unknown',
      evict: () => socket.destroy(),
    };
    socket.on('error', () => {});
    if (!this.#admission.admit(stranger)) return void socket.destroy();
    this.#sockets.add(socket);
    strangers.set(socket, stranger);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#admission.leave(stranger);
    });
  }

  async #upgrade(request: IncomingMessage, duplex: Duplex, head: Buffer): Promise<void> {
    const stranger = strangers.get(duplex);
    if (!stranger) return void duplex.destroy();
    // A browser names the page that dials: no page has business here, and each could use up the tries.
    const version = request.headers.origin === undefined ? versionOffered(request) : 'none';
    if (version !== 'ours') {
      const status = version === 'other' ? '426 Upgrade Required' : '400 Bad Request';
      // A server's sockets stay half open until the client ends its half, which it need never do.
      duplex.end(
        `HTTP/1.1 ${status}\r\nConnection: close\r\n` +
          `Sec-WebSocket-Protocol: ${SUBPROTOCOL}\r\nContent-Length: 0\r\n\r\n`,
        () => duplex.destroy(),
      );
      return;
    }
    try {
      await this.#handshake(await upgrade(request, duplex, head), stranger);
    } catch (error) {
      step('connection', () => `from ${stranger.address} failed: ${toImgmvError(error).code}`);
      // Told to the other side by its close code; a stranger's failure is no event of ours, but a wrong code is.
      if (toImgmvError(error).code === 'internal') duplex.destroy(error as Error);
    }
  }

  async #handshake(socket: Socket, stranger: Stranger): Promise<void> {
    this.#admission.advance(stranger);
    let kept: Admitted | undefined;
    let spent: ImgmvError | undefined;
    let channel: Channel;
    try {
      channel = await acceptChannel(socket, {
        handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
        onStep: () => this.#admission.advance(stranger),
        turn: async () => {
          this.#admission.hold(stranger);
          await this.#answers.turn(stranger.address, socket.closed);
          this.#admission.advance(stranger);
        },
        beforeProof: () => {
          // Of many that guess at once, those behind the last try have to hear of its end, not of theirs.
          const death = kept?.authority?.death;
          if (death) throw death;
        },
        otherCode: (wasMadeWith) => {
          spent = kept?.authority?.spent(wasMadeWith);
          return spent;
        },
        admit: (dialler) => {
          const begins = this.#begins(dialler);
          const waitMs = begins ? this.#admission.penaltyMs(stranger.address) : 0;
          if (waitMs > 0) {
            socket.close(new ImgmvError('try-later', '').closeCode, `wait ${Math.ceil(waitMs / 1000)} s`);
            throw new ImgmvError('try-later', 'an address that gave a wrong code came back too soon');
          }
          if (dialler.role === this.#options.role)
            throw new ImgmvError('role-mismatch', `both sides are ${dialler.role}s`);
          kept = begins ? this.#admit(dialler) : this.#admitLane(dialler);
          return kept;
        },
      });
    } catch (error) {
      const { code } = toImgmvError(error);
      if (kept?.authority && code === 'wrong-code') this.#wrongCode(kept.authority, stranger.address);
      if (kept?.authority && code === 'handshake-failed')
        this.#warnOnce(
          kept.authority,
          'altered',
          `${stranger.address} began to pair, but the handshake failed: it was altered on the way, or the other side is not imgmv`,
        );
      if (kept?.authority && spent)
        this.#warnOnce(
          kept.authority,
          'spent',
          `${stranger.address} gave the pairing code that was shown before this one`,
        );
      throw error;
    }
    this.#admission.leave(stranger);
    if (!kept) return;
    const { kind, lane, generation } = (kept as Admitted).preamble;
    step(
      'connection',
      () => `from ${stranger.address} proven: lane ${lane} (${kind}, generation ${generation})`,
    );
    await this.#authenticated(channel, kept, stranger.address);
  }

  #begins({ kind }: Preamble): boolean {
    return kind === (this.#authority?.kind ?? 'pair');
  }

  #admit(dialler: Preamble): Admitted {
    const authority = this.#authority;
    const death =
      authority?.death ?? (this.#accept ? undefined : new ImgmvError('code-used', 'a session is running'));
    if (!authority || death) throw death ?? new ImgmvError('code-expired', 'there is no code');
    const { s, salt, psk } = authority;
    const preamble = { ...dialler, role: this.#options.role, sessionId: newSessionId(), salt };
    return { preamble, credentials: psk.then((key) => ({ s, ...(key && { psk: key }) })), authority };
  }

  #admitLane(dialler: Preamble): Admitted {
    const session = this.#running;
    const known = session?.sessionId.equals(dialler.sessionId) ?? false;
    if (!session || !known || !session.takes(dialler))
      throw new ImgmvError('session-unknown', `no session takes this ${dialler.kind} connection`);
    const preamble = { ...dialler, role: this.#options.role, salt: emptyBytes16() };
    return { preamble, credentials: session };
  }

  #wrongCode(authority: Authority, address: string): void {
    const left = authority.wrongTry();
    this.#admission.punish(address);
    this.#options.emit({ event: 'attempt', address, left });
  }

  /** Once for each code: strangers can bring it about as often as they like. */
  #warnOnce(authority: Authority, about: 'altered' | 'spent', message: string): void {
    const told = this.#told.get(authority) ?? new Set();
    this.#told.set(authority, told);
    if (told.has(about)) return;
    told.add(about);
    this.#options.emit({ event: 'warning', message });
  }

  async #authenticated(channel: Channel, { preamble, authority }: Admitted, address: string): Promise<void> {
    if (!authority) {
      // It fitted when its handshake began; of two that do, the later one finds the place taken.
      if (this.#running?.takes(preamble)) return this.#running.join(preamble, channel);
      return channel.fail(new ImgmvError('session-unknown', 'the session of this lane is over'));
    }
    const accept = this.#accept;
    // Synchronous until `#accept` is gone: of two diallers that pass at once, one is first.
    try {
      if (!accept || authority !== this.#authority)
        throw authority.death ?? new ImgmvError('code-used', 'another dialler was first');
      authority.admit(channel.rs);
    } catch (error) {
      return channel.fail(toImgmvError(error));
    }
    this.#accept = undefined;
    const { role, hello, emit, limit, patienceMs = GIVE_UP_MS } = this.#options;
    const { sessionId } = preamble;
    const { s } = authority;
    const options = { role, hello: hello(), emit, limit, patienceMs, s, sessionId };
    const beginning = Session.begin(channel, options);
    // The code is used up: whoever waits for its session has to hear that there is none.
    beginning.catch(accept.reject);
    const session = await beginning;
    this.#running = session;
    accept.resolve({ session, peerAddress: address });
  }
}

/** node:http hands the same socket to 'connection' and 'upgrade'. */
const strangers = new WeakMap<Duplex, Stranger>();
