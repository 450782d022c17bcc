/**
 * A lane: an ordered stream of bytes each way over a channel, and over the next one when that one breaks, with
 * offsets, credits, and an end of its own. The control lane (0) carries messages, the others blobs. PROTOCOL.md
 * section 5. A lane knows nothing of what its bytes mean.
 */
import type { Channel } from './channel.ts';
import { deferred } from './deferred.ts';
import { ImgmvError, violation } from './errors.ts';
import { Incoming } from './incoming.ts';
import { DATA_HEADER_BYTES, DATA_MAX_BYTES, NOISE_TAG_BYTES, SOCKET_BACKLOG_MAX_BYTES } from './limits.ts';
import { Outgoing } from './outgoing.ts';
import { type Pace, Waits } from './pace.ts';
import { Pings } from './pings.ts';
import { CREDIT, DATA, END, PING, PONG, pairRecord, RESUME, readPair, writeDataHeader } from './record.ts';
import { Stopwatch } from './stopwatch.ts';
import { Turns } from './turns.ts';

/** How long was waited so far, in milliseconds, and for what. */
export interface LaneWaits {
  /** The kernel did not take what was sent, or there was no connection: the network is the limit. */
  readonly socketMs: number;
  /** The reader did not take what was sent: its engine is the limit. */
  readonly creditMs: number;
  /** Our own reader had nothing to read: the other side is. */
  readonly dataMs: number;
  /** It was not its turn yet by `paces`, to send or to be read: the limit of this side is. */
  readonly paceMs: number;
}

export interface LaneOptions {
  /** Bytes that the other side may send before our reader takes them. */
  readonly windowBytes: number;
  /** Whether this side dials the lane's connections: the listener is the first to speak on each. */
  readonly dialled: boolean;
  /** Called when a channel breaks that may be replaced. Absent: a break ends the lane. */
  readonly onBreak?: (error: ImgmvError) => void;
  /** What is sent keeps to `out`, and what is read to `in`; absent: as fast as it goes. */
  readonly paces?: Paces | undefined;
}

export interface Paces {
  readonly out?: Pace;
  readonly in?: Pace;
}

export class Lane {
  readonly #forSocket = new Stopwatch();
  readonly #forCredit = new Stopwatch();
  readonly #forData = new Stopwatch();
  readonly #forTurnOut = new Stopwatch();
  readonly #forTurnIn = new Stopwatch();
  readonly #close = deferred<ImgmvError | undefined>();
  /** Resolves with the reason when the lane is over: undefined when both sides ended it, an error else. */
  readonly closed = this.#close.promise;
  readonly #fault = deferred<ImgmvError>();
  /** Resolves as soon as this side ends the lane for a fault; `closed` waits for the closing handshake. */
  readonly failed = this.#fault.promise;
  readonly #dialled: boolean;
  readonly #onBreak: ((error: ImgmvError) => void) | undefined;
  readonly #paces: Paces;
  readonly #turns = new Waits();
  #channel: Channel;
  /** On the channels before this one, both ways. */
  #pastWireBytes = 0;
  #connected = true;

  readonly #outgoing = new Outgoing();
  #creditWaiters: (() => void)[] = [];
  readonly #writing = new Turns();
  #flushing = false;
  /** The channel that was given the END: another one gets it again. */
  #endGivenTo: Channel | undefined;
  /** Every DATA record is put together here: the channel encrypts it into memory of its own. */
  readonly #record = Buffer.allocUnsafeSlow(DATA_HEADER_BYTES + DATA_MAX_BYTES);

  readonly #incoming: Incoming;
  #reader: (() => void) | undefined;
  /** The channel that has brought the END. */
  #endBroughtBy: Channel | undefined;
  /** Whether the other side has said where it goes on over the channel at hand, and so have we. */
  #resumed = false;

  #over = false;
  #error: ImgmvError | undefined;
  #lastHeard = performance.now();
  readonly #pings = new Pings();
  readonly #peerEnd = deferred<void>();
  /** Resolves once the other side's END has come, or the lane is over. */
  readonly peerEnded = this.#peerEnd.promise;
  readonly #ready = deferred<void>();
  /** Resolves once both sides have said where they begin. Rejects with the lane's error. */
  readonly ready = this.#ready.promise;

  constructor(channel: Channel, options: LaneOptions) {
    this.#channel = channel;
    this.#incoming = new Incoming(options.windowBytes);
    this.#dialled = options.dialled;
    this.#onBreak = options.onBreak;
    this.#paces = options.paces ?? {};
    void this.closed.then(this.#ready.reject);
    this.#take(channel);
  }

  get channel(): Channel {
    return this.#channel;
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Whether both sides have said where they go on over the channel at hand. */
  get resumed(): boolean {
    return this.#resumed;
  }

  /** WebSocket payloads of all its channels, both ways. */
  get wireBytes(): number {
    const { bytesSent, bytesReceived } = this.#channel.socket;
    return this.#pastWireBytes + bytesSent + bytesReceived;
  }

  /** Goes on over another channel where both sides left off; the one before is destroyed. */
  replace(channel: Channel): void {
    this.#pastWireBytes = this.wireBytes;
    this.#pings.forget();
    this.#channel.socket.destroy();
    this.#channel = channel;
    this.#connected = true;
    this.#resumed = false;
    this.#lastHeard = performance.now();
    this.#take(channel);
  }

  /**
   * The listener says at once at which offset it goes on; the dialler answers that, since the first record of
   * a pairing's listener proves that it knows the code.
   */
  #take(channel: Channel): void {
    void channel.failed.then((error) => {
      if (channel === this.#channel) this.#fault.resolve(error);
    });
    void channel.ended().then((error) => {
      if (channel === this.#channel) this.#ended(error);
    });
    if (!this.#dialled) this.#sendPair(RESUME, ...this.#incoming.resume());
    channel.consume((record) => {
      if (channel === this.#channel) this.#receive(record);
    });
  }

  #ended(error: ImgmvError): void {
    this.#connected = false;
    this.#pings.forget();
    const faultless = this.#channel.failure === undefined;
    const clean = this.#outgoing.ended && this.#incoming.ended && faultless;
    // A close code of ours tells why it is over; all else is a break of the connection alone.
    if (!clean && !this.#over && faultless && error.code === 'peer-lost' && this.#onBreak) {
      this.#wakeAll();
      return this.#onBreak(error);
    }
    if (!clean) this.#error ??= error;
    this.#over = true;
    this.#peerEnd.resolve();
    this.#wakeAll();
    this.#close.resolve(clean ? undefined : this.#error);
  }

  get waits(): LaneWaits {
    return {
      socketMs: this.#forSocket.ms,
      creditMs: this.#forCredit.ms,
      dataMs: this.#forData.ms,
      paceMs: this.#forTurnOut.ms + this.#forTurnIn.ms,
    };
  }

  /** Milliseconds since anything was heard on this lane. */
  get silenceMs(): number {
    return performance.now() - this.#lastHeard;
  }

  get bytesSent(): number {
    return this.#outgoing.to;
  }

  /** What of it need not be sent again, as far as is known. */
  get bytesKept(): number {
    return this.#outgoing.kept;
  }

  get bytesReceived(): number {
    return this.#incoming.offset;
  }

  /**
   * Sends bytes, in the order of the calls; resolves when the socket has them, or, on a broken lane, when they
   * are kept for the next one. Throws the lane's error once it is over. Several parts are one run of bytes;
   * they may be reused once it resolves.
   */
  write(...parts: readonly Buffer[]): Promise<void> {
    return this.#writing.take(() => this.#writeNow(parts));
  }

  /** Sends END after all that was written: the other side's reader sees the end. */
  end(): Promise<void> {
    return this.#writing.take(async () => {
      this.#check();
      this.#outgoing.ended = true;
      await this.#flush();
    });
  }

  /**
   * The next bytes, which are valid until the next call, or undefined after the other side's END. One reader at a time.
   * Throws the lane's error.
   */
  async read(): Promise<Buffer | undefined> {
    const bytes = this.#incoming.shift() ?? (await this.#wait());
    const wait = bytes ? (this.#paces.in?.reserve(bytes.length) ?? 0) : 0;
    if (wait > 0) await this.#forTurnIn.during(this.#turns.wait(wait));
    // The writer is told before its window runs dry.
    const credit = bytes && this.#mayTell ? this.#incoming.credit() : undefined;
    if (credit) this.#sendPair(CREDIT, ...credit);
    return bytes;
  }

  /**
   * Asks for an answer; resolves with the round trip in milliseconds, or with undefined where the connection breaks
   * before it has come, or there is none.
   */
  ping(): Promise<number | undefined> {
    if (!this.#connected || !this.#mayTell) return Promise.resolve(undefined);
    return this.#pings.ask((id) => this.#sendPair(PING, id));
  }

  /** Our RESUME is the first record on every channel; the listener's stands there from the start. */
  get #mayTell(): boolean {
    return !this.#over && (this.#resumed || !this.#dialled);
  }

  /** Ends the lane for a fault of either side; readers and writers get `error`. */
  fail(error: ImgmvError): void {
    this.#error ??= error;
    this.#over = true;
    this.#channel.fail(error);
    this.#pings.forget();
    this.#wakeAll();
    // There is no connection left whose end would say so.
    if (!this.#connected) {
      this.#peerEnd.resolve();
      this.#close.resolve(this.#error);
    }
  }

  async #wait(): Promise<Buffer | undefined> {
    while (this.#incoming.empty) {
      if (this.#error) throw this.#error;
      if (this.#incoming.ended || this.#over) return undefined;
      await this.#forData.during(
        new Promise<void>((resolve) => {
          this.#reader = resolve;
        }),
      );
    }
    return this.#incoming.shift();
  }

  async #writeNow(parts: readonly Buffer[]): Promise<void> {
    for (const part of parts) {
      for (let at = 0; at < part.length; ) {
        if (this.#outgoing.room <= 0) await this.#waitForCredit();
        this.#check();
        at += this.#outgoing.add(part.subarray(at));
      }
    }
    await this.#flush();
    this.#check();
  }

  /** Gives the channel what it has not been given yet, as fast as the kernel takes it; END behind the last. */
  async #flush(): Promise<void> {
    if (this.#flushing) return;
    this.#flushing = true;
    while (this.#resumed && !this.#over && !this.#outgoing.given) {
      if (this.#channel.socket.backlog >= SOCKET_BACKLOG_MAX_BYTES) await this.#waitForSocket();
      else if (this.#paces.out) await this.#sendInTurn(this.#paces.out);
      else this.#sendData(...this.#outgoing.give(DATA_MAX_BYTES));
    }
    this.#flushing = false;
    if (!this.#resumed || this.#over || !this.#outgoing.ended || this.#endGivenTo === this.#channel) return;
    this.#endGivenTo = this.#channel;
    this.#sendPair(END, this.#outgoing.to);
  }

  /** A break wakes it, and may come with another channel or with none: then it is for the next round. */
  async #sendInTurn(pace: Pace): Promise<void> {
    const channel = this.#channel;
    const bytes = Math.min(DATA_MAX_BYTES, pace.stepBytes, this.#outgoing.ungiven);
    const wait = pace.reserve(bytes + DATA_HEADER_BYTES + NOISE_TAG_BYTES);
    if (wait > 0) await this.#forTurnOut.during(this.#turns.wait(wait));
    if (this.#resumed && !this.#over && channel === this.#channel)
      this.#sendData(...this.#outgoing.give(bytes));
  }

  #sendData(offset: number, bytes: Buffer): void {
    const record = this.#record.subarray(0, DATA_HEADER_BYTES + bytes.length);
    writeDataHeader(record, offset);
    bytes.copy(record, DATA_HEADER_BYTES);
    this.#channel.send(record);
  }

  async #waitForCredit(): Promise<void> {
    await this.#flush();
    while (this.#outgoing.room <= 0) {
      this.#check();
      // A break wakes it, so that each is counted for what it is.
      const watch = this.#connected ? this.#forCredit : this.#forSocket;
      await watch.during(new Promise<void>((resolve) => this.#creditWaiters.push(resolve)));
    }
  }

  async #waitForSocket(): Promise<void> {
    await this.#forSocket.during(this.#channel.socket.drainedBelow(SOCKET_BACKLOG_MAX_BYTES / 2));
  }

  #check(): void {
    if (this.#error) throw this.#error;
    if (this.#over || this.#outgoing.ended) throw new ImgmvError('internal', 'a lane was used after its end');
  }

  #wakeAll(): void {
    this.#turns.wake();
    this.#wakeReader();
    this.#wakeWriters();
  }

  #wakeReader(): void {
    this.#reader?.();
    this.#reader = undefined;
  }

  #wakeWriters(): void {
    for (const wake of this.#creditWaiters.splice(0)) wake();
  }

  #receive(record: Buffer): void {
    this.#lastHeard = performance.now();
    const type = record[0];
    if (!this.#resumed && type !== RESUME) throw violation('a lane must begin with RESUME');
    switch (type) {
      case DATA:
        this.#incoming.data(record);
        return this.#wakeReader();
      case CREDIT:
        this.#outgoing.credit(...readPair(record, CREDIT));
        return this.#wakeWriters();
      case RESUME: {
        if (this.#resumed) throw violation('a second RESUME on one connection');
        this.#outgoing.resume(...readPair(record, RESUME));
        if (this.#dialled) this.#sendPair(RESUME, ...this.#incoming.resume());
        this.#resumed = true;
        this.#ready.resolve();
        void this.#flush();
        return this.#wakeWriters();
      }
      case END: {
        const [offset] = readPair(record, END);
        if (this.#endBroughtBy === this.#channel) throw violation('a second END');
        this.#endBroughtBy = this.#channel;
        this.#incoming.end(offset);
        this.#peerEnd.resolve();
        return this.#wakeAll();
      }
      case PING: {
        const [id] = readPair(record, PING);
        if (this.#channel.socket.backlog > 2 * SOCKET_BACKLOG_MAX_BYTES)
          throw violation('PINGs whose answers it does not read');
        return this.#sendPair(PONG, id);
      }
      case PONG: {
        const [id] = readPair(record, PONG);
        return this.#pings.answer(id);
      }
      default:
        throw violation(`an unknown record type ${type}`);
    }
  }

  #sendPair(type: number, first: number, second?: number): void {
    this.#channel.send(pairRecord(type, first, second));
  }
}
