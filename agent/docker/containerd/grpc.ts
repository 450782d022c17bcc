/**
 * gRPC over an engine's own API: `POST /grpc` (moby api/server/router/grpc) turns a connection into HTTP/2
 * without TLS of its own, over whatever carries the API. The only file that knows HTTP/2 and the framing of
 * gRPC (its PROTOCOL-HTTP2.md); it knows no service.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { ImgmvError } from '../../../proto/errors.ts';
import type { Transport } from '../transport.ts';

const MIB = 1024 * 1024;
/** HTTP/2 begins with 64 KiB, with which a read waits for the link more than it reads. */
const STREAM_WINDOW_BYTES = 4 * MIB;
const CONNECTION_WINDOW_BYTES = 8 * MIB;
/** HTTP/2 begins with 16 KiB; the larger a frame, the less work per byte. */
const FRAME_MAX_BYTES = 1 * MIB;
/** A flag for compression and the length of the message. */
const PREFIX_BYTES = 5;
/** containerd's defaults.DefaultMaxSendMsgSize. */
const MESSAGE_MAX_BYTES = 16 * MIB;
const PING_INTERVAL_MS = 30_000;
const REASON_MAX_CHARACTERS = 1_000;

/** gRPC's statuscodes.md. */
export const NOT_FOUND = 5;

export interface GrpcEngine {
  readonly transport: Transport;
  lost(what: string, cause: unknown): ImgmvError;
}

export interface CallOptions {
  /** What the call is for, as it stands in errors: `list blobs`. */
  readonly what: string;
  /** The call fails when nothing comes for so long; left out, it waits while the engine answers pings. */
  readonly silenceMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** The cause of the `engine-refused` that a call fails with when the engine answers with a status but OK. */
export class GrpcStatus extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** One connection for any number of calls at a time. It holds the process only while a call is under way. */
export class GrpcConnection {
  readonly #engine: GrpcEngine;
  readonly #socket: Socket;
  readonly #session: ClientHttp2Session;
  #failure: unknown;
  #calls = 0;
  #pings: NodeJS.Timeout | undefined;
  #answersPings = true;

  /** Undefined where the engine does not upgrade, refuses, cannot be reached, or `signal` is aborted before. */
  static open(engine: GrpcEngine, signal: AbortSignal): Promise<GrpcConnection | undefined> {
    const { request, options } = engine.transport;
    return new Promise((resolve) => {
      const sent = request({
        ...options,
        method: 'POST',
        path: '/grpc',
        headers: { Connection: 'Upgrade', Upgrade: 'h2c' },
        signal,
      });
      // At once: what the engine sends next is HTTP/2 already.
      sent.once('upgrade', (_response, socket, head) => resolve(new GrpcConnection(engine, socket, head)));
      sent.once('response', (response) => {
        response.destroy();
        resolve(undefined);
      });
      sent.on('error', () => resolve(undefined));
      sent.end();
    });
  }

  private constructor(engine: GrpcEngine, socket: Socket, head: Buffer) {
    this.#engine = engine;
    this.#socket = socket;
    if (head.length > 0) socket.unshift(head);
    // The agent of node:http gave it one, for requests.
    socket.setTimeout(0);
    this.#session = connect('http://docker', {
      createConnection: () => socket,
      settings: {
        enablePush: false,
        initialWindowSize: STREAM_WINDOW_BYTES,
        maxFrameSize: FRAME_MAX_BYTES,
      },
    });
    this.#session.once('connect', (session) => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
    this.#session.on('error', (error) => {
      this.#failure = error;
    });
    // The session forwards its errors while it lives, and is deaf to them once it is destroyed.
    socket.on('error', () => {});
    socket.unref();
  }

  /**
   * Calls `method` (`/package.Service/Method`) with one message and gives those of the answer, in order. Each
   * must be read to its end before the next is asked for; leaving early cancels the call. Throws
   * engine-unavailable where the connection breaks or is silent, engine-refused with a `GrpcStatus` as its
   * cause or for what is no gRPC, and the reason of `signal`.
   */
  async *call(method: string, request: Buffer, options: CallOptions): AsyncGenerator<Message> {
    const { what, signal } = options;
    signal?.throwIfAborted();
    const lost = (error: unknown) =>
      signal?.aborted ? signal.reason : this.#engine.lost(what, this.#failure ?? error);
    let answer: Answer | undefined;
    const cancel = () => answer?.cancel();
    this.#begin();
    signal?.addEventListener('abort', cancel);
    try {
      answer = new Answer(this.#start(method, request, lost), options, lost);
      yield* answer.messages();
    } finally {
      signal?.removeEventListener('abort', cancel);
      answer?.cancel();
      this.#end();
    }
  }

  get broken(): boolean {
    return this.#session.destroyed || this.#session.closed;
  }

  #begin(): void {
    if (this.#calls++ > 0) return;
    this.#socket.ref();
    this.#answersPings = true;
    this.#pings = setInterval(() => this.#ping(), PING_INTERVAL_MS);
  }

  #end(): void {
    if (--this.#calls > 0) return;
    this.#socket.unref();
    clearInterval(this.#pings);
  }

  /** Finds a host that is gone without a word, and a session that node has given up after a broken frame. */
  #ping(): void {
    if (this.#session.destroyed) return;
    if (!this.#answersPings) {
      this.#failure ??= new Error(`no sign of life for ${PING_INTERVAL_MS / 1000} s`);
      return this.close();
    }
    this.#answersPings = false;
    this.#session.ping((error) => {
      this.#answersPings = error === null;
    });
  }

  /** Calls that are under way fail. May be called twice. */
  close(): void {
    this.#failure ??= new Error('the connection was closed');
    this.#session.destroy();
    // The session closes the socket, unless the engine takes no bytes; in the same tick as the reset of a
    // stream this would leave it open for good.
    setImmediate(() => this.#socket.destroy());
  }

  #start(method: string, request: Buffer, lost: (error: unknown) => unknown): ClientHttp2Stream {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(request.length, 1);
    const headers = {
      ':method': 'POST',
      ':path': method,
      'content-type': 'application/grpc',
      te: 'trailers',
    };
    try {
      const stream = this.#session.request(headers);
      stream.end(Buffer.concat([prefix, request]));
      return stream;
    } catch (error) {
      // A session that has ended throws at once.
      throw lost(error);
    }
  }
}

/** One message of an answer, to be read once. Reading it throws what the call would. */
export interface Message {
  readonly bytes: number;
  /** The first bytes that are unread, as many as are wanted or left; they stay unread. */
  peek(bytes: number): Promise<Buffer>;
  /** The unread bytes behind the first `skip`, as they come. */
  body(skip: number): AsyncGenerator<Buffer>;
  all(): Promise<Buffer>;
}

class Answer {
  readonly #stream: ClientHttp2Stream;
  readonly #what: string;
  readonly #lost: (error: unknown) => unknown;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #timer: NodeJS.Timeout | undefined;
  #piece: Buffer = Buffer.alloc(0);
  #httpStatus: number | undefined;
  /** From the trailers, or from the headers where the answer is nothing else. */
  #status: string | undefined;
  #reason = '';

  /** `lost` makes the error for a stream that broke. */
  constructor(
    stream: ClientHttp2Stream,
    { what, silenceMs }: CallOptions,
    lost: (error: unknown) => unknown,
  ) {
    this.#stream = stream;
    this.#what = what;
    this.#lost = lost;
    this.#chunks = stream[Symbol.asyncIterator]();
    // The iterator throws it, unless nobody is reading just then.
    stream.on('error', () => {});
    const read = (headers: Readonly<Record<string, unknown>>) => {
      if (headers['grpc-status'] === undefined) return;
      this.#status = String(headers['grpc-status']);
      this.#reason = reasonOf(String(headers['grpc-message'] ?? ''));
    };
    stream.once('response', (headers) => {
      this.#httpStatus = headers[':status'];
      read(headers);
    });
    stream.once('trailers', read);
    if (silenceMs !== undefined)
      this.#timer = setTimeout(
        () => stream.destroy(new Error(`no answer within ${silenceMs / 1000} s`)),
        silenceMs,
      );
  }

  async *messages(): AsyncGenerator<Message> {
    for (;;) {
      const prefix = await this.#peek(PREFIX_BYTES);
      if (prefix.length === 0) return this.#check();
      if (prefix.length < PREFIX_BYTES) throw this.#cutShort();
      if (prefix[0] !== 0) throw this.refused('its answer is compressed, or is not gRPC');
      const bytes = prefix.readUInt32BE(1);
      if (bytes > MESSAGE_MAX_BYTES)
        throw this.refused(`a message of ${bytes} bytes, want at most ${MESSAGE_MAX_BYTES}`);
      this.#piece = this.#piece.subarray(PREFIX_BYTES);
      yield this.#message(bytes);
    }
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#stream.close(constants.NGHTTP2_CANCEL);
    // An engine that reads no more would not get to see the end of the stream, nor would we.
    this.#stream.destroy();
  }

  refused(why: string, status?: GrpcStatus): ImgmvError {
    const options = status && { cause: status };
    return new ImgmvError('engine-refused', `the docker engine refused to ${this.#what}: ${why}`, options);
  }

  #message(bytes: number): Message {
    let left = bytes;
    const body = async function* (this: Answer, skip: number): AsyncGenerator<Buffer> {
      this.#piece = this.#piece.subarray(skip);
      left -= skip;
      while (left > 0) {
        if (this.#piece.length === 0 && !(await this.#more())) throw this.#cutShort();
        const piece = this.#piece.subarray(0, left);
        this.#piece = this.#piece.subarray(piece.length);
        left -= piece.length;
        yield piece;
      }
    }.bind(this);
    return {
      bytes,
      peek: async (wanted) => {
        const most = Math.min(wanted, left);
        const piece = await this.#peek(most);
        if (piece.length < most) throw this.#cutShort();
        return piece;
      },
      body,
      all: async () => {
        const pieces: Buffer[] = [];
        for await (const piece of body(0)) pieces.push(piece);
        return Buffer.concat(pieces);
      },
    };
  }

  /** Fewer bytes than wanted only where the answer ends. */
  async #peek(bytes: number): Promise<Buffer> {
    while (this.#piece.length < bytes && (await this.#more()));
    return this.#piece.subarray(0, bytes);
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#chunks.next().catch((error: unknown) => {
      throw this.#lost(error);
    });
    if (done) return false;
    this.#timer?.refresh();
    this.#piece = this.#piece.length === 0 ? value : Buffer.concat([this.#piece, value]);
    return true;
  }

  /** Throws unless the engine has said that the call succeeded: a stream of a dead connection just ends. */
  #check(): void {
    if (this.#httpStatus !== undefined && this.#httpStatus !== 200)
      throw this.refused(`HTTP ${this.#httpStatus}`);
    if (this.#status === undefined) throw this.#lost(new Error('the answer ended before it was whole'));
    if (this.#status === '0') return;
    const why = `${this.#reason} (gRPC status ${this.#status})`;
    throw this.refused(why, new GrpcStatus(Number(this.#status), this.#reason));
  }

  /** The error for an answer that ends within a message, unless the engine has told of one. */
  #cutShort(): ImgmvError {
    this.#check();
    return this.refused('its answer ends within a message');
  }
}

/** `grpc-message` escapes as URLs do. */
function reasonOf(text: string): string {
  const reason = text.slice(0, REASON_MAX_CHARACTERS);
  try {
    return decodeURIComponent(reason);
  } catch {
    return reason;
  }
}
