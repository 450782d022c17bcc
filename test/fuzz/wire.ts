/** What stands in for a WebSocket under a channel, and for a lane under its readers: no network, no waiting. */
import { Channel } from '../../proto/channel.ts';
import { CipherState } from '../../proto/cipher-state.ts';
import type { Lane } from '../../proto/lane.ts';
import type { HandshakeState } from '../../proto/noise.ts';
import { type Negotiation, type Socket, type SocketClose, SUBPROTOCOL } from '../../proto/websocket.ts';

/** As much of a `Socket` as channels use. Give it `messages`; what it was given is in `sent`. */
export class FakeSocket {
  readonly sent: Buffer[] = [];
  readonly closed: Promise<SocketClose>;
  readonly negotiation: Negotiation = { offered: [SUBPROTOCOL], selected: SUBPROTOCOL };
  bytesSent = 0;
  bytesReceived = 0;
  backlog = 0;
  close_: SocketClose | undefined;
  #closed: (close: SocketClose) => void = () => {};
  readonly #unread: Buffer[];
  #handler: ((message: Buffer) => void) | undefined;

  /** Once these are read the connection breaks, unless a handler wants more. */
  constructor(messages: readonly Buffer[] = []) {
    this.#unread = [...messages];
    this.closed = new Promise((resolve) => {
      this.#closed = resolve;
    });
  }

  get asSocket(): Socket {
    return this as unknown as Socket;
  }

  get open(): boolean {
    return this.close_ === undefined;
  }

  send(message: Buffer): void {
    if (!this.open) return;
    this.bytesSent += message.length;
    this.sent.push(message);
  }

  async next(): Promise<Buffer | undefined> {
    const message = this.#unread.shift();
    if (message === undefined) this.close(1006);
    return this.open ? message : undefined;
  }

  consume(handler: (message: Buffer) => void): void {
    this.#handler = handler;
  }

  /** A message of the other side, for a handler. */
  receive(message: Buffer): void {
    if (!this.open) return;
    this.bytesReceived += message.length;
    this.#handler?.(message);
  }

  async drainedBelow(): Promise<void> {}

  close(code: number, reason = ''): void {
    this.close_ ??= { code, reason };
    this.#closed(this.close_);
  }

  destroy(): void {
    this.close(1006);
  }
}

/** A channel whose handshake is done, and the other side's ends of it. Each connection has keys of its own. */
export function fakeChannel(connection = 0): {
  channel: Channel;
  socket: FakeSocket;
  send: CipherState;
  receive: CipherState;
} {
  const socket = new FakeSocket();
  const [k1, k2] = [Buffer.alloc(32, 2 * connection), Buffer.alloc(32, 2 * connection + 1)];
  const handshake = {
    split: () => ({ send: new CipherState(k1), receive: new CipherState(k2) }),
    rs: Buffer.alloc(32, 3),
    h: Buffer.alloc(32, 4),
  } as unknown as HandshakeState;
  const channel = new Channel(socket.asSocket, handshake);
  return { channel, socket, send: new CipherState(k2), receive: new CipherState(k1) };
}

/** As much of a `Lane` as its readers use: it gives these bytes, then its END. */
export function laneOf(pieces: readonly Buffer[]): Lane {
  const left = pieces.filter(({ length }) => length > 0);
  return { read: async () => left.shift() } as unknown as Lane;
}

/** As much of a `Lane` as its writers use, and all that was written. */
export function writtenLane(): { lane: Lane; written: () => Buffer } {
  const parts: Buffer[] = [];
  const write = async (...bytes: readonly Buffer[]) => {
    for (const part of bytes) parts.push(Buffer.from(part));
  };
  return { lane: { write } as unknown as Lane, written: () => Buffer.concat(parts) };
}
