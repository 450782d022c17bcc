/**
 * One authenticated meeting of two peers: its control lane, its blob lanes, and the watch over whether the
 * other side still answers. Knows who dialled, not who sends.
 */
import type { Channel, Role } from '../../proto/channel.ts';
import { ImgmvError, toImgmvError, violation } from '../../proto/errors.ts';
import { Lane } from '../../proto/lane.ts';
import {
  CLOSE_TIMEOUT_MS,
  CONTROL_WINDOW_BYTES,
  GIVE_UP_MS,
  HANDSHAKE_TIMEOUT_MS,
  LANE_WINDOW_BYTES,
  PING_INTERVAL_MS,
  SILENCE_MS,
} from '../../proto/limits.ts';
import { Control, type Hello, type Message } from '../../proto/messages.ts';
import type { KeyPair } from '../../proto/noise.ts';
import type { Emit } from '../events.ts';

export interface SessionOptions {
  readonly role: Role;
  readonly dialled: boolean;
  /** Our static key of this session; lanes prove it again. */
  readonly s: KeyPair;
  readonly sessionId: Buffer;
  readonly hello: Omit<Hello, 'type' | 'role'>;
  readonly emit: Emit;
}

export class Session {
  readonly role: Role;
  readonly s: KeyPair;
  readonly rs: Buffer;
  readonly sessionId: Buffer;
  readonly peer: Hello;
  /** Aborted with the reason once the session is lost; not by a normal end. */
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #control: Control;
  readonly #lanes: Lane[] = [];
  readonly #watch: NodeJS.Timeout;
  #finishing = false;
  #over = false;

  private constructor(options: SessionOptions, control: Control, peer: Hello) {
    this.role = options.role;
    this.s = options.s;
    this.rs = control.lane.channel.rs;
    this.sessionId = options.sessionId;
    this.peer = peer;
    this.signal = this.#abort.signal;
    this.#control = control;
    this.#watch = this.#startWatch(options.emit);
    this.#follow(control.lane);
  }

  /**
   * Makes a session of a freshly authenticated channel: key confirmation first, then `hello` both ways. The
   * dialler of a pairing says nothing before the listener's first record has been decrypted.
   */
  static async begin(channel: Channel, options: SessionOptions): Promise<Session> {
    const lane = new Lane(channel, { windowBytes: CONTROL_WINDOW_BYTES });
    const control = new Control(lane);
    const late = setTimeout(() => {
      lane.fail(
        new ImgmvError(
          'no-answer',
          `the other host did not say hello within ${HANDSHAKE_TIMEOUT_MS / 1000} s`,
        ),
      );
    }, HANDSHAKE_TIMEOUT_MS);
    try {
      await startLane(lane, options.dialled);
      await control.send({ type: 'hello', role: options.role, ...options.hello });
      const peer = await control.receive();
      if (peer?.type !== 'hello' || peer.role === options.role)
        throw violation('it did not begin with a fitting hello');
      return new Session(options, control, peer);
    } catch (error) {
      lane.fail(toImgmvError(error));
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  /** Bytes of this session on the wire, both ways, WebSocket payloads. */
  get wireBytes(): number {
    return [this.#control.lane, ...this.#lanes].reduce(
      (sum, { channel }) => sum + channel.socket.bytesSent + channel.socket.bytesReceived,
      0,
    );
  }

  send(message: Message): Promise<void> {
    return this.#control.send(message);
  }

  get control(): Control {
    return this.#control;
  }

  /** Hands every message to `handler` until the other side ends its control lane; a fault ends the session. */
  async run(handler: (message: Message) => void): Promise<void> {
    try {
      for (let message = await this.#control.receive(); message; message = await this.#control.receive())
        handler(message);
    } catch (error) {
      this.fail(toImgmvError(error));
    }
  }

  /** Takes a channel of kind `lane` into the session. */
  async addLane(channel: Channel, dialled: boolean): Promise<Lane> {
    const lane = new Lane(channel, { windowBytes: LANE_WINDOW_BYTES });
    this.#lanes.push(lane);
    this.#follow(lane);
    await startLane(lane, dialled);
    return lane;
  }

  /** Ends the session for a fault of either side; everything that waits in it gets `error`. */
  fail(error: ImgmvError): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#watch);
    for (const lane of [...this.#lanes, this.#control.lane]) lane.fail(error);
    this.#abort.abort(error);
  }

  /** Resolves when every connection is closed: a process that ends before may cut off the reason that it gave. */
  async closed(): Promise<void> {
    await Promise.all([...this.#lanes, this.#control.lane].map((lane) => lane.closed));
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

  /** A normal end: END on every lane, then the closing handshake. Both sides call it; it does not throw. */
  async finish(): Promise<void> {
    if (this.#over) return;
    this.#finishing = true;
    const lanes = [...this.#lanes, this.#control.lane];
    await Promise.allSettled(lanes.map((lane) => lane.end()));
    const ended = Promise.all(lanes.map((lane) => lane.peerEnded));
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      ended,
      new Promise((resolve) => {
        timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
      }),
    ]);
    clearTimeout(timer);
    clearInterval(this.#watch);
    this.#over = true;
    for (const lane of lanes) lane.channel.close();
    await this.closed();
  }

  #follow(lane: Lane): void {
    // Before its connection is closed: the other side hears of the fault on one lane and closes them all, and
    // the reason that it gives for that must not come here first.
    for (const end of [lane.channel.failed, lane.closed])
      void end.then((error) => {
        if (error && !this.#finishing) this.fail(error);
      });
  }

  /** A peer whose engine is slow still answers pings: silence is the network's, or the process is stopped. */
  #startWatch(emit: Emit): NodeJS.Timeout {
    const { lane } = this.#control;
    let told = 0;
    return setInterval(() => {
      void lane.ping();
      const silence = lane.silenceMs;
      if (silence < SILENCE_MS) {
        told = 0;
        return;
      }
      if (silence >= GIVE_UP_MS)
        return this.fail(
          new ImgmvError(
            'peer-lost',
            `no answer from ${this.peer.name} for ${Math.round(silence / 1000)} s`,
            {
              hint: 'run both commands again: `imgmv receive` there, `imgmv send` here',
            },
          ),
        );
      if (silence - told < SILENCE_MS) return;
      told = silence;
      emit({ event: 'silent', seconds: Math.round(silence / 1000) });
    }, PING_INTERVAL_MS);
  }
}

async function startLane(lane: Lane, dialled: boolean): Promise<void> {
  if (!dialled) lane.resume();
  await lane.ready;
  if (dialled) lane.resume();
}
