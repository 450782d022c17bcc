/**
 * One authenticated meeting of two peers: its control lane, its blob lanes, the watch over whether the other
 * side still answers, and the way back after a break. Knows who dialled, not who sends.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel, Preamble, Role } from '../../proto/channel.ts';
import { type Deferred, deferred } from '../../proto/deferred.ts';
import { ImgmvError, toImgmvError, violation } from '../../proto/errors.ts';
import { Lane, type Paces } from '../../proto/lane.ts';
import {
  CLOSE_TIMEOUT_MS,
  CONTROL_WINDOW_BYTES,
  HANDSHAKE_TIMEOUT_MS,
  LANE_SILENCE_MS,
  LANE_WINDOW_BYTES,
  LANES_MAX,
  PING_INTERVAL_MS,
  SILENCE_MS,
} from '../../proto/limits.ts';
import { Control, type Hello, KINDS, type Message } from '../../proto/messages.ts';
import type { KeyPair } from '../../proto/noise.ts';
import { Pace } from '../../proto/pace.ts';
import { step } from '../../proto/steps.ts';
import type { Emit } from '../model/events.ts';
import { onAbort } from '../streams/on-abort.ts';
import { settledWithin } from '../streams/settled-within.ts';
import { type Dial, lost, Redial } from './redial.ts';

export interface SessionOptions {
  readonly role: Role;
  /** Of the side that dialled: connects a lane, for the first time or, of a generation above 0, anew. The other side waits. */
  readonly connect?: (lane: number, generation: number, signal: AbortSignal) => Promise<Channel>;
  /** How long a lane may be without a connection. */
  readonly patienceMs: number;
  /** Our static key of this session; lanes prove it again. */
  readonly s: KeyPair;
  readonly sessionId: Buffer;
  readonly hello: Omit<Hello, 'type' | 'role'>;
  readonly emit: Emit;
  /** Bytes a second that this side sends at most, and that it takes at most; undefined: as fast as it goes. */
  readonly limit?: number | undefined;
}

interface Line {
  readonly lane: Lane;
  readonly redial: Redial;
  /** Of its connection; rises with each. */
  generation: number;
  connectedAt: number;
  giveUp: NodeJS.Timeout | undefined;
}

/** Between two looks whether a connection is back. */
const DELIVERY_CHECK_MS = 100;
/** More than a ping takes on any link that is of use. */
const ANSWER_MS = 1_000;
/** Less costs more words of credit than it keeps off the link. */
const WINDOW_MIN_BYTES = 64 * 1024;

/** The window comes as fast as the other side can send it: of a limit it is what comes in a second. */
function windowFor(limit: number | undefined): number {
  return Math.min(LANE_WINDOW_BYTES, Math.max(WINDOW_MIN_BYTES, limit ?? LANE_WINDOW_BYTES));
}

export class Session {
  readonly role: Role;
  readonly s: KeyPair;
  readonly rs: Buffer;
  readonly sessionId: Buffer;
  readonly peer: Hello;
  readonly control: Control;
  /** Aborted with the reason once the session is lost; not by a normal end. */
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  /** Aborted when the session is over, be it lost or at its end. */
  readonly #dialling = new AbortController();
  readonly #options: SessionOptions;
  readonly #paces: Paces | undefined;
  /** By number; 0 is the control lane. */
  readonly #lines = new Map<number, Line>();
  /** Blob lanes that this side has asked for. */
  #lanesAsked = 0;
  /** By number: asked for here, or come from the other side, whichever was first. */
  readonly #coming = new Map<number, Deferred<Lane>>();
  readonly #watch: NodeJS.Timeout;
  /** The lane whose tries are told; others that broke with it come back silently. */
  #toldLane: number | undefined;
  #finishing = false;
  #over = false;

  private constructor(options: SessionOptions, control: Control, peer: Hello, paces: Paces | undefined) {
    this.role = options.role;
    this.s = options.s;
    this.rs = control.lane.channel.rs;
    this.sessionId = options.sessionId;
    this.peer = peer;
    this.signal = this.#abort.signal;
    this.#options = options;
    this.#paces = paces;
    this.control = control;
    this.#watch = this.#startWatch();
    this.#take(0, control.lane);
    onAbort(this.signal, () => {
      for (const { reject } of this.#coming.values()) reject(this.signal.reason);
    });
  }

  /**
   * Makes a session of a freshly authenticated channel: key confirmation first, then `hello` both ways. The
   * dialler of a pairing says nothing before the listener's first record has been decrypted.
   */
  static async begin(channel: Channel, options: SessionOptions): Promise<Session> {
    let session: Session | undefined;
    const { limit } = options;
    const paces = limit === undefined ? undefined : { out: new Pace(limit), in: new Pace(limit) };
    const lane: Lane = new Lane(channel, {
      windowBytes: CONTROL_WINDOW_BYTES,
      dialled: options.connect !== undefined,
      // What is said here is little, and never waits to be read behind blobs.
      paces: paces && { out: paces.out },
      onBreak: (error) => (session ? session.#broken(0, error) : lane.fail(error)),
    });
    const control = new Control(lane);
    const message = `the other host did not say hello within ${HANDSHAKE_TIMEOUT_MS / 1000} s`;
    const late = setTimeout(() => lane.fail(new ImgmvError('no-answer', message)), HANDSHAKE_TIMEOUT_MS);
    try {
      await lane.ready;
      const { role, hello } = options;
      const capabilities = [...KINDS, ...hello.capabilities];
      await control.send({ type: 'hello', role, ...hello, capabilities });
      const peer = await control.receive();
      if (peer?.type !== 'hello' || peer.role === role)
        throw violation('it did not begin with a valid hello');
      session = new Session(options, control, peer, paces);
      step('session', () => `begun with ${peer.name}, which is ${peer.software}; here is the ${role}`);
      return session;
    } catch (error) {
      lane.fail(toImgmvError(error));
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  /** Bytes of this session on the wire, both ways, WebSocket payloads. */
  get wireBytes(): number {
    return this.#lanes.reduce((sum, { wireBytes }) => sum + wireBytes, 0);
  }

  /** Bytes a second that this side sends and takes at most; undefined: as many as the link gives. */
  get limit(): number | undefined {
    return this.#options.limit;
  }

  get #lanes(): readonly Lane[] {
    return [...this.#lines.values()].map(({ lane }) => lane);
  }

  /** Whether the other side is connected, and has answered what it was asked last. */
  get heard(): boolean {
    const { lane } = this.control;
    return lane.connected && lane.silenceMs < PING_INTERVAL_MS + ANSWER_MS;
  }

  send(message: Message): Promise<void> {
    return this.control.send(message);
  }

  /** The same, unless the session is lost; what keeps the message from going out ends the session. Does not throw. */
  async tell(message: Message): Promise<void> {
    if (!this.signal.aborted)
      await this.send(message).catch((error: unknown) => this.fail(toImgmvError(error)));
  }

  /** Hands every message to `handler` until the other side ends its control lane; a fault ends the session. */
  async run(handler: (message: Message) => void): Promise<void> {
    try {
      for (let message = await this.control.receive(); message; message = await this.control.receive())
        handler(message);
    } catch (error) {
      this.fail(toImgmvError(error));
    }
  }

  /**
   * The next blob lane, of both sides the same: who has dialled the session dials it, again and again if that fails,
   * and the other side waits for it. Rejects when the session is lost.
   */
  async nextLane(): Promise<Lane> {
    this.signal.throwIfAborted();
    const number = ++this.#lanesAsked;
    const coming = this.#laneComing(number).promise;
    const { connect } = this.#options;
    if (!connect) return coming;
    const dial: Dial = (signal) => connect(number, 0, signal);
    const channel = await dial(this.#dialling.signal).catch((error: unknown) =>
      this.#openAgain(number, dial, toImgmvError(error)),
    );
    if (!channel || this.#ending) {
      channel?.close();
      this.signal.throwIfAborted();
      // A session that ends well meanwhile has no use for the lane: it does not come, on this side as on the other.
      return coming;
    }
    const ready = this.#addLane(number, channel);
    this.#tellNoMore();
    return ready;
  }

  async #openAgain(number: number, dial: Dial, failure: ImgmvError): Promise<Channel | undefined> {
    const giveUp = this.#giveUpLater(failure);
    this.#toldLane ??= number;
    const channel = await this.#connect(this.#redialOf(number), dial, failure);
    clearTimeout(giveUp);
    return channel;
  }

  async #addLane(number: number, channel: Channel, generation = 0): Promise<Lane> {
    const lane = new Lane(channel, {
      windowBytes: windowFor(this.#options.limit),
      dialled: this.#options.connect !== undefined,
      paces: this.#paces,
      onBreak: (error) => this.#broken(number, error),
    });
    this.#take(number, lane, generation);
    await lane.ready;
    return lane;
  }

  #laneComing(number: number): Deferred<Lane> {
    const coming = this.#coming.get(number) ?? deferred();
    this.#coming.set(number, coming);
    return coming;
  }

  /**
   * Whether there is a place for a connection that the other side dials: a lane that is new, or one that is newer than
   * the lane's. A lane may begin with a reconnect: its first connection can break when the dialler alone is through
   * with the handshake.
   */
  takes({ kind, lane, generation }: Preamble): boolean {
    const line = this.#lines.get(lane);
    if (this.#ending || lane > LANES_MAX) return false;
    if (line || generation > 0) return kind === 'reconnect' && generation > (line?.generation ?? 0);
    return kind === 'lane';
  }

  /** Takes in a channel that the other side has dialled; `takes` says whether it may. */
  async join({ lane: number, generation }: Preamble, channel: Channel): Promise<void> {
    const line = this.#lines.get(number);
    if (!line) return this.#laneComing(number).resolve(await this.#addLane(number, channel, generation));
    line.generation = generation;
    this.#connected(line, channel);
  }

  get #ending(): boolean {
    return this.#finishing || this.#over;
  }

  /** Ends the session for a fault of either side; everything that waits in it gets `error`. */
  fail(error: ImgmvError): void {
    if (this.#over) return;
    step('session', () => `failed: ${error.code}`);
    this.#end();
    for (const lane of this.#lanes) lane.fail(error);
    this.#abort.abort(error);
  }

  /** Resolves when every connection is closed: a process that ends before may cut off the reason that it gave. */
  async closed(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.closed));
  }

  /** Resolves once the other side has got all that was sent so far, over however many connections; or the session is lost. */
  async delivered(): Promise<void> {
    const { signal } = this;
    // An answer comes behind all that went before its question.
    while (!signal.aborted && (await this.control.lane.ping()) === undefined)
      await sleep(DELIVERY_CHECK_MS, undefined, { signal }).catch(() => {});
  }

  /** Does `work`; what it throws ends the session, so that the other side hears why. */
  async during<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      this.fail(toImgmvError(error));
      throw error;
    }
  }

  /**
   * A normal end: END on every lane, then the closing handshake. Both sides call it, each when nothing is lost
   * any more: a lane that is broken now stays so. It does not throw.
   */
  async finish(): Promise<void> {
    if (this.#over) return;
    this.#finishing = true;
    step('session', () => `ends well, ${this.wireBytes} bytes on the wire`);
    for (const lane of this.#lanes) if (!lane.connected) lane.fail(lost(this.peer.name));
    await Promise.allSettled(this.#lanes.map((lane) => lane.end()));
    await settledWithin(Promise.all(this.#lanes.map((lane) => lane.peerEnded)), CLOSE_TIMEOUT_MS);
    this.#end();
    for (const lane of this.#lanes) lane.channel.close();
    await this.closed();
  }

  #end(): void {
    this.#over = true;
    this.#dialling.abort();
    clearInterval(this.#watch);
    for (const { giveUp } of this.#lines.values()) clearTimeout(giveUp);
  }

  #take(number: number, lane: Lane, generation = 0): void {
    this.#lines.set(number, {
      lane,
      generation,
      redial: this.#redialOf(number),
      connectedAt: performance.now(),
      giveUp: undefined,
    });
    for (const end of [lane.failed, lane.closed])
      void end.then((error) => {
        if (error && !this.#finishing) this.fail(error);
      });
  }

  #broken(number: number, error: ImgmvError): void {
    step('session', () => `lane ${number} broke: ${error.code}`);
    const line = this.#lines.get(number);
    if (!line || this.#ending) return line?.lane.fail(error);
    if (line.lane.resumed) line.redial.broke(performance.now() - line.connectedAt);
    line.giveUp = this.#giveUpLater(error);
    this.#toldLane ??= number;
    const { connect } = this.#options;
    if (connect) void this.#reopen(line, (signal) => connect(number, ++line.generation, signal));
    else this.#tell(number, 0);
  }

  #giveUpLater(error: ImgmvError): NodeJS.Timeout {
    return setTimeout(() => this.fail(lost(this.peer.name, error)), this.#options.patienceMs);
  }

  async #reopen(line: Line, dial: Dial): Promise<void> {
    const channel = await this.#connect(line.redial, dial);
    if (channel) this.#connected(line, channel);
  }

  /** Undefined if the session is over before it is connected, or because it is not. `failure`: of a try before. */
  async #connect(redial: Redial, dial: Dial, failure?: ImgmvError): Promise<Channel | undefined> {
    const { signal } = this.#dialling;
    try {
      if (failure) redial.missed(failure);
      const channel = await redial.connect(dial, signal);
      if (!this.#ending) return channel;
      channel.close();
    } catch (error) {
      if (!signal.aborted) this.fail(toImgmvError(error));
    }
    return undefined;
  }

  #redialOf(number: number): Redial {
    return new Redial(this.peer.name, (attempt) => this.#tell(number, attempt));
  }

  #connected(line: Line, channel: Channel): void {
    step('session', () => `a lane goes on, connection ${line.generation}`);
    clearTimeout(line.giveUp);
    line.connectedAt = performance.now();
    line.redial.connected();
    line.lane.replace(channel);
    // Where one connection fell silent and another gets through, the rest of that time may be dead as well.
    for (const { lane } of this.#lines.values())
      if (lane.connected && lane.silenceMs >= SILENCE_MS) lane.channel.socket.destroy();
    this.#tellNoMore();
  }

  #tellNoMore(): void {
    if (this.#lanes.every((lane) => lane.connected)) this.#toldLane = undefined;
  }

  #tell(number: number, attempt: number): void {
    if (number !== this.#toldLane) return;
    const blobs = [...this.#lines].flatMap(([at, { lane }]) => (at === 0 ? [] : lane));
    const kept = blobs.reduce((sum, lane) => sum + lane.bytesKept + lane.bytesReceived, 0);
    this.#options.emit({ event: 'reconnecting', attempt, kept });
  }

  /**
   * A peer whose engine is slow still answers pings: silence is the network's, or the process is stopped. What
   * is silent is cut, since a new connection may get through where the old one hangs.
   */
  #startWatch(): NodeJS.Timeout {
    return setInterval(() => {
      for (const [number, { lane }] of this.#lines) {
        if (!lane.connected) continue;
        void lane.ping();
        // A blob lane's answers stand in line behind its blobs.
        if (lane.silenceMs < (number === 0 ? SILENCE_MS : LANE_SILENCE_MS)) continue;
        this.#options.emit({ event: 'silent', seconds: Math.round(lane.silenceMs / 1000) });
        lane.channel.socket.destroy();
      }
    }, PING_INTERVAL_MS);
  }
}
