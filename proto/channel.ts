/**
 * An authenticated, encrypted connection: preamble each way, a Noise handshake, then records, one Noise
 * transport message each. PROTOCOL.md sections 2 to 4. It knows nothing of lanes or messages.
 */
import { randomBytes } from 'node:crypto';
import type { CipherState } from './cipher-state.ts';
import { deferred } from './deferred.ts';
import { ImgmvError, violation } from './errors.ts';
import { countGarbage } from './garbage.ts';
import { HANDSHAKE_TIMEOUT_MS, PREAMBLE_BYTES, SALT_BYTES, SESSION_ID_BYTES } from './limits.ts';
import { HandshakeState, type KeyPair, type Pattern } from './noise.ts';
import { errorOfClose, type Negotiation, type Socket, type SocketClose } from './websocket.ts';

export type Role = 'sender' | 'receiver';
export type ConnectionKind = 'pair' | 'trusted' | 'reconnect' | 'lane';

/** What each side says in the clear before the handshake; both are in the Noise prologue. */
export interface Preamble {
  readonly kind: ConnectionKind;
  /** What the writer of this preamble does in the session; independent of who dials. */
  readonly role: Role;
  /** 0 is the control lane. */
  readonly lane: number;
  /** Rises with every connection of the same lane. */
  readonly generation: number;
  /** 16 bytes; zeros from a dialler that does not know it yet. */
  readonly sessionId: Buffer;
  /** 16 bytes for the code's scrypt, from the listener of a pairing; zeros otherwise. */
  readonly salt: Buffer;
}

const MAGIC = Buffer.from('IMGM', 'latin1');
const KINDS: readonly ConnectionKind[] = ['pair', 'trusted', 'reconnect', 'lane'];
const ROLES: readonly Role[] = ['sender', 'receiver'];
const ZEROS = Buffer.alloc(16);

export function emptyBytes16(): Buffer {
  return ZEROS;
}

export function newSessionId(): Buffer {
  return randomBytes(SESSION_ID_BYTES);
}

export function newSalt(): Buffer {
  return randomBytes(SALT_BYTES);
}

/** PROTOCOL.md section 2.1: 48 bytes, integers big-endian. */
export function encodePreamble(preamble: Preamble): Buffer {
  const bytes = Buffer.alloc(PREAMBLE_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt8(KINDS.indexOf(preamble.kind) + 1, 4);
  bytes.writeUInt8(ROLES.indexOf(preamble.role) + 1, 5);
  bytes.writeUInt16BE(preamble.lane, 6);
  bytes.writeUInt32BE(preamble.generation, 8);
  preamble.sessionId.copy(bytes, 16);
  preamble.salt.copy(bytes, 32);
  return bytes;
}

export function decodePreamble(bytes: Buffer): Preamble {
  const kind = KINDS[(bytes[4] ?? 0) - 1];
  const role = ROLES[(bytes[5] ?? 0) - 1];
  if (bytes.length !== PREAMBLE_BYTES || !bytes.subarray(0, 4).equals(MAGIC) || bytes.readUInt32BE(12) !== 0)
    throw new ImgmvError('protocol-violation', `a preamble of ${PREAMBLE_BYTES} bytes was expected`);
  if (kind === undefined || role === undefined)
    throw new ImgmvError('protocol-violation', 'a preamble names an unknown kind of connection or role');
  return {
    kind,
    role,
    lane: bytes.readUInt16BE(6),
    generation: bytes.readUInt32BE(8),
    sessionId: Buffer.from(bytes.subarray(16, 32)),
    salt: Buffer.from(bytes.subarray(32, 48)),
  };
}

/** Noise spec section 7.3 and 9.1: XXpsk3 with the code's key for pairing, XX with pinned keys otherwise. */
function patternOf(kind: ConnectionKind): Pattern {
  return kind === 'pair' ? 'XXpsk3' : 'XX';
}

/**
 * PROTOCOL.md section 3.1. Each side takes in what it sent and received itself, so whoever changes an offer on the
 * way, to make two hosts speak an older version than both know, makes their handshake fail.
 */
function prologueOf({ offered, selected }: Negotiation, dialler: Buffer, listener: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${selected}\n${offered.join(',')}\n`, 'latin1'), dialler, listener]);
}

/** How a connection is to be authenticated. */
export interface Credentials {
  readonly s: KeyPair;
  /** For 'pair': the key that the code stretches to. */
  readonly psk?: Buffer;
  /** For the other kinds: the static public key that the other side must prove. */
  readonly rs?: Uint8Array;
}

export interface DiallerOptions {
  readonly preamble: Preamble;
  /** Called with the listener's preamble. */
  readonly credentials: (listener: Preamble) => Promise<Credentials>;
  readonly handshakeTimeoutMs?: number;
}

export interface ListenerOptions {
  /** Decides on a dialler by its preamble: our own and the credentials, or an ImgmvError that refuses it. */
  readonly admit: (dialler: Preamble) => {
    preamble: Preamble;
    credentials: Credentials | Promise<Credentials>;
  };
  /** Called at each step that the dialler has taken, counted from 1: its preamble, message 1, and a true message 3. */
  readonly onStep?: (step: number) => void;
  /** Awaited before the costly answer to message 1. */
  readonly turn?: () => Promise<void>;
  /** Called before message 3 is tried; what it throws refuses the dialler, and the message stays untried. */
  readonly beforeProof?: () => void;
  /** Called when a true message 3 was made with another code: what it gives refuses the dialler, in place of wrong-code. */
  readonly otherCode?: (wasMadeWith: (psk: Uint8Array) => boolean) => ImgmvError | undefined;
  readonly handshakeTimeoutMs?: number;
}

/** An open channel. `send` and `consume` move whole records; whoever opened it closes it. */
export class Channel {
  readonly closed: Promise<SocketClose>;
  /** The other side's static public key, 32 bytes. */
  readonly rs: Buffer;
  /** The handshake hash (Noise spec section 11.2), unique to this connection. */
  readonly h: Buffer;
  readonly socket: Socket;
  readonly #fault = deferred<ImgmvError>();
  /** Resolves, before the closing handshake, once this side closes the channel for a fault. */
  readonly failed = this.#fault.promise;
  readonly #send: CipherState;
  readonly #receive: CipherState;
  #failure: ImgmvError | undefined;

  constructor(socket: Socket, handshake: HandshakeState) {
    const { send, receive } = handshake.split();
    this.#send = send;
    this.#receive = receive;
    this.rs = handshake.rs as Buffer;
    this.h = handshake.h;
    this.socket = socket;
    this.closed = socket.closed;
  }

  /** The reason why this side closed the channel, if it did so for a fault. */
  get failure(): ImgmvError | undefined {
    return this.#failure;
  }

  /** `record` is at most RECORD_MAX_BYTES. */
  send(record: Buffer): void {
    if (!this.socket.open) return;
    this.socket.send(this.#send.encrypt(record));
    countGarbage(record);
  }

  /** Every record from now on goes to `handler`; a fault in one closes the channel. */
  consume(handler: (record: Buffer) => void): void {
    this.socket.consume((message) => {
      if (this.#failure) return;
      try {
        handler(this.#receive.decrypt(message));
        countGarbage(message);
      } catch (error) {
        this.fail(
          error instanceof ImgmvError ? error : new ImgmvError('internal', String(error), { cause: error }),
        );
      }
    });
  }

  /** Closes with the close code of `error`. The reason is on the wire in clear: it never names anything of ours. */
  fail(error: ImgmvError): void {
    this.#failure ??= error;
    this.#fault.resolve(error);
    this.socket.close(error.closeCode, error.code);
  }

  /** A normal end (RFC 6455 code 1000). */
  close(): void {
    this.socket.close(1000);
  }

  /** What the end of this channel means: our own fault, or what the close code tells. */
  async ended(): Promise<ImgmvError> {
    const close = await this.closed;
    return this.#failure ?? errorOfClose(close);
  }
}

/** Runs the dialler's side. On failure the socket is closed and an ImgmvError thrown. */
export async function dialChannel(socket: Socket, options: DiallerOptions): Promise<Channel> {
  return withDeadline(socket, options.handshakeTimeoutMs, async () => {
    const ours = encodePreamble(options.preamble);
    socket.send(ours);
    const theirs = await nextMessage(socket);
    const listener = decodePreamble(theirs);
    if (listener.role === options.preamble.role)
      throw new ImgmvError('role-mismatch', `both sides are ${listener.role}s`);
    const { kind, lane, generation } = options.preamble;
    if (listener.kind !== kind || listener.lane !== lane || listener.generation !== generation)
      throw violation(`it was asked for a ${kind} connection and gave another`);
    if (kind !== 'pair' && !listener.sessionId.equals(options.preamble.sessionId))
      throw violation('it was asked for one session and gave another');
    const credentials = await options.credentials(listener);
    const handshake = start(true, listener.kind, prologueOf(socket.negotiation, ours, theirs), credentials);
    socket.send(handshake.writeMessage(new Uint8Array()));
    readAnswer(handshake, await nextMessage(socket));
    checkPinned(handshake, credentials);
    socket.send(handshake.writeMessage(new Uint8Array()));
    return new Channel(socket, handshake);
  });
}

/** Runs the listener's side. On failure the socket is closed with the error's close code, and it is thrown. */
export async function acceptChannel(socket: Socket, options: ListenerOptions): Promise<Channel> {
  return withDeadline(socket, options.handshakeTimeoutMs, async () => {
    const theirs = await nextMessage(socket);
    const dialler = decodePreamble(theirs);
    options.onStep?.(1);
    const { preamble, credentials: coming } = options.admit(dialler);
    const ours = encodePreamble(preamble);
    socket.send(ours);
    const credentials = await coming;
    const first = await nextMessage(socket);
    options.onStep?.(2);
    const handshake = start(false, preamble.kind, prologueOf(socket.negotiation, theirs, ours), credentials);
    // Reading it costs no more than a hash and a tag.
    handshake.readMessage(first);
    await options.turn?.();
    if (!socket.open) throw errorOfClose(await socket.closed);
    socket.send(handshake.writeMessage(new Uint8Array()));
    const last = await nextMessage(socket);
    options.beforeProof?.();
    try {
      handshake.readMessage(last);
    } catch (cause) {
      // Only what follows the static key in message 3 depends on the code: see PROTOCOL.md section 3.2.
      if (handshake.wrongPsk)
        throw (
          options.otherCode?.((psk) => handshake.wasMadeWith(psk)) ??
          new ImgmvError('wrong-code', 'the other side gave a wrong code', { cause })
        );
      throw cause;
    }
    options.onStep?.(3);
    checkPinned(handshake, credentials);
    return new Channel(socket, handshake);
  });
}

function start(
  initiator: boolean,
  kind: ConnectionKind,
  prologue: Buffer,
  { s, psk }: Credentials,
): HandshakeState {
  return new HandshakeState({ pattern: patternOf(kind), initiator, prologue, s, ...(psk && { psk }) });
}

/** Message 2 is the first that shows whether both sides have seen the same prologue. */
function readAnswer(handshake: HandshakeState, message: Buffer): void {
  try {
    handshake.readMessage(message);
  } catch (cause) {
    const message = 'the handshake of the two hosts was altered on the way';
    throw new ImgmvError('handshake-failed', message, { cause, about: 'altered-handshake' });
  }
}

function checkPinned(handshake: HandshakeState, { rs }: Credentials): void {
  if (rs && handshake.rs && !handshake.rs.equals(rs))
    throw new ImgmvError('handshake-failed', 'the other side has not the key of this session');
}

async function nextMessage(socket: Socket): Promise<Buffer> {
  const message = await socket.next();
  if (message) return message;
  throw errorOfClose(await socket.closed);
}

/** ws and node:http guard a socket until it is upgraded only; from there the deadline is ours. */
async function withDeadline<T>(
  socket: Socket,
  timeoutMs = HANDSHAKE_TIMEOUT_MS,
  run: () => Promise<T>,
): Promise<T> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    socket.destroy();
  }, timeoutMs);
  try {
    return await run();
  } catch (error) {
    const failure = late
      ? new ImgmvError('no-answer', `the handshake did not finish within ${timeoutMs / 1000} s`, {
          cause: error,
        })
      : error;
    if (failure instanceof ImgmvError) socket.close(failure.closeCode, failure.code);
    else socket.destroy();
    throw failure;
  } finally {
    clearTimeout(timer);
  }
}
