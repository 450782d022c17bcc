/**
 * The only file that knows ws: dials and upgrades WebSockets and turns them into `Socket`s that carry binary
 * messages. It knows nothing of Noise or of what the messages mean.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket as NetSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { dialError, silent } from './dial-error.ts';
import { codeOfClose, errorToldByPeer, ImgmvError, toImgmvError } from './errors.ts';
import {
  CLOSE_TIMEOUT_MS,
  NOISE_MESSAGE_MAX_BYTES,
  PROTOCOL_VERSION,
  WEBSOCKET_PINGS_MAX_PER_10_S,
} from './limits.ts';

const SUBPROTOCOL_PREFIX = 'imgmv.';
/** The WebSocket subprotocol (RFC 6455 section 1.9) that carries the protocol version. */
export const SUBPROTOCOL = `${SUBPROTOCOL_PREFIX}${PROTOCOL_VERSION}`;
/** All that we speak, the highest version first: a listener selects the first of them that was offered. */
const SPOKEN: readonly string[] = [SUBPROTOCOL];

const OPTIONS = {
  perMessageDeflate: false,
  maxPayload: NOISE_MESSAGE_MAX_BYTES,
  // A message of ours is one frame; a few fragments may come of a proxy, thousands only of an attacker.
  maxFragments: 64,
  maxBufferedChunks: 4096,
  closeTimeout: CLOSE_TIMEOUT_MS,
} as const;

/** Messages that may wait before anybody reads them: a handshake never has more than two on their way. */
const UNREAD_MAX_MESSAGES = 8;

/** What the two sides said of versions in the opening handshake, as this side sent and received it. */
export interface Negotiation {
  /** All subprotocols that the dialler offered, in its order. */
  readonly offered: readonly string[];
  readonly selected: string;
}

export interface SocketClose {
  readonly code: number;
  readonly reason: string;
  readonly error?: Error;
}

/** One WebSocket that carries binary messages, in order. Ends once; `closed` never rejects. */
export class Socket {
  readonly closed: Promise<SocketClose>;
  readonly negotiation: Negotiation;
  readonly #ws: WebSocket;
  #backlog = 0;
  #handler: ((message: Buffer) => void) | undefined;
  #unread: Buffer[] = [];
  #waiting: ((message: Buffer | undefined) => void) | undefined;
  #drained: (() => void)[] = [];
  #ended: SocketClose | undefined;
  #pings = 0;
  #pingsSince = -Infinity;
  bytesSent = 0;
  bytesReceived = 0;

  /** `duplex`: what `ws` runs on. */
  constructor(ws: WebSocket, duplex: Duplex, offered: readonly string[]) {
    this.#ws = ws;
    // RFC 6455 section 4.1: ws lets nobody select what was not offered.
    this.negotiation = { offered, selected: ws.protocol };
    // The other side has closed its half and reads no more. What it has not taken would keep ws waiting for
    // ever, since there is no deadline but for a closing handshake that it began itself.
    duplex.once('end', () => setImmediate(() => ws.terminate()));
    let error: Error | undefined;
    ws.on('error', (e) => {
      error = e;
    });
    ws.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    // We send no pings: a pong is as idle as a ping.
    for (const idle of ['ping', 'pong'] as const) ws.on(idle, () => this.#countPing());
    this.closed = new Promise((resolve) => {
      ws.on('close', (code, reason) => {
        const close: SocketClose = { code, reason: reason.toString(), ...(error && { error }) };
        this.#ended = close;
        this.#waiting?.(undefined);
        for (const wake of this.#drained.splice(0)) wake();
        resolve(close);
      });
    });
  }

  /** Bytes given to `send` that the kernel has not taken yet. */
  get backlog(): number {
    return this.#backlog;
  }

  get open(): boolean {
    return this.#ended === undefined && this.#ws.readyState === WebSocket.OPEN;
  }

  /** Queues one message; sending on a closed socket does nothing, `closed` tells. */
  send(message: Buffer): void {
    if (!this.open) return;
    this.#backlog += message.length;
    this.bytesSent += message.length;
    this.#ws.send(message, { binary: true, compress: false }, () => {
      this.#backlog -= message.length;
      for (const wake of this.#drained.splice(0)) wake();
    });
  }

  /** Resolves when the backlog is below `bytes` or the socket has closed. */
  async drainedBelow(bytes: number): Promise<void> {
    while (this.#backlog >= bytes && this.#ended === undefined)
      await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  /** The next message, or undefined once the socket has closed. One reader at a time, and none after `consume`. */
  next(): Promise<Buffer | undefined> {
    const message = this.#unread.shift();
    if (message) return Promise.resolve(message);
    if (this.#ended) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#waiting = (value) => {
        this.#waiting = undefined;
        resolve(value);
      };
    });
  }

  /** From now on every message goes to `handler`, those that wait first. */
  consume(handler: (message: Buffer) => void): void {
    this.#handler = handler;
    for (const message of this.#unread.splice(0)) handler(message);
  }

  /** Starts the closing handshake; ws ends the connection after CLOSE_TIMEOUT_MS if the other side does not. */
  close(code: number, reason = ''): void {
    if (this.#ws.readyState === WebSocket.CLOSED) return;
    this.#ws.close(code, truncateUtf8(reason, 123));
  }

  destroy(): void {
    this.#ws.terminate();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    // What is behind a message that made us close is not worth reading.
    if (!this.open) return;
    this.bytesReceived += data.length;
    if (!isBinary) return this.close(1003, 'binary messages only');
    if (this.#handler) return this.#handler(data);
    if (this.#waiting) return this.#waiting(data);
    this.#unread.push(data);
    if (this.#unread.length > UNREAD_MAX_MESSAGES) this.destroy();
  }

  #countPing(): void {
    const now = performance.now();
    if (now - this.#pingsSince > 10_000) {
      this.#pings = 0;
      this.#pingsSince = now;
    }
    if (++this.#pings > WEBSOCKET_PINGS_MAX_PER_10_S) this.destroy();
  }
}

/** RFC 6455 section 5.5.1: a close reason is at most 123 bytes of valid UTF-8. */
function truncateUtf8(text: string, maxBytes: number): string {
  let cut = text;
  while (Buffer.byteLength(cut) > maxBytes) cut = cut.slice(0, -1);
  return cut;
}

/**
 * Dials `url` (ws:// or wss://). Rejects with an ImgmvError that tells apart an unknown host, a refused
 * port, a silent one, another server, and another version of this protocol.
 */
export function dial(
  url: string,
  options: { timeoutMs: number; signal?: AbortSignal; offered?: readonly string[] },
): Promise<Socket> {
  const { timeoutMs, signal, offered = SPOKEN } = options;
  const started = performance.now();
  return new Promise((resolve, reject) => {
    let taken: NetSocket | undefined;
    const tried = () => ({ url, timeoutMs, bytes: taken?.bytesRead });
    const ws = new WebSocket(url, [...offered], {
      ...OPTIONS,
      handshakeTimeout: timeoutMs,
      followRedirects: false,
      // RFC 6455 section 5.3 wants the mask unpredictable so that a page cannot steer bytes past a proxy.
      // What we send is ciphertext already, and masking with zeros is five times as fast.
      generateMask: (mask: Buffer) => mask.fill(0),
      finishRequest: (request) => {
        request.once('socket', (socket) =>
          socket.once('connect', () => {
            taken = socket;
          }),
        );
        request.end();
      },
    });
    let failure: ImgmvError | undefined;
    const onAbort = () => ws.terminate();
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    // ws counts silence only: a server that drips its headers would hold us for hours.
    const deadline = setTimeout(() => {
      failure ??= silent(tried());
      ws.terminate();
    }, timeoutMs);
    ws.on('unexpected-response', (_request, response) => {
      failure = answerError(url, offered, response);
      ws.terminate();
    });
    ws.on('error', (error) => {
      failure ??= signal?.aborted
        ? toImgmvError(signal.reason)
        : dialError(error, tried(), performance.now() - started);
    });
    ws.on('close', () => {
      clearTimeout(deadline);
      signal?.removeEventListener('abort', onAbort);
      reject(failure ?? new ImgmvError('no-answer', `${url} closed the connection before it was open`));
    });
    let duplex: Duplex | undefined;
    ws.on('upgrade', ({ socket }) => {
      duplex = socket;
    });
    ws.on('open', () => {
      clearTimeout(deadline);
      signal?.removeEventListener('abort', onAbort);
      ws.removeAllListeners();
      resolve(new Socket(ws, duplex as Duplex, offered));
    });
  });
}

function answerError(url: string, offered: readonly string[], response: IncomingMessage): ImgmvError {
  const spoken = response.headers['sec-websocket-protocol'];
  if (response.statusCode === 426 && spoken?.startsWith(SUBPROTOCOL_PREFIX))
    return new ImgmvError(
      'version-mismatch',
      `${url} speaks ${quoteHeader(spoken)}, this imgmv ${offered.join(', ')}`,
    );
  return new ImgmvError(
    'not-imgmv',
    `${url} answered HTTP ${response.statusCode}: this is not an imgmv receiver`,
    { about: 'other-web-server' },
  );
}

function quoteHeader(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}

const server = new WebSocketServer({
  ...OPTIONS,
  noServer: true,
  clientTracking: false,
  handleProtocols: (offered) => SPOKEN.find((version) => offered.has(version)) ?? false,
});

/** The subprotocols of an upgrade request. White space and the number of headers are a proxy's to change. */
function offeredBy(request: IncomingMessage): readonly string[] {
  return (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
}

/** Whether an upgrade request offers a version that we speak, only others of this protocol, or none. */
export function versionOffered(request: IncomingMessage): 'ours' | 'other' | 'none' {
  const offered = offeredBy(request);
  if (SPOKEN.some((version) => offered.includes(version))) return 'ours';
  return offered.some((name) => name.startsWith(SUBPROTOCOL_PREFIX)) ? 'other' : 'none';
}

/** Completes the opening handshake (RFC 6455 section 4.2) of a request whose version is 'ours'. */
export function upgrade(request: IncomingMessage, duplex: Duplex, head: Buffer): Promise<Socket> {
  const address = request.socket.remoteAddress ?? 'unknown';
  return new Promise((resolve, reject) => {
    const onClose = () => reject(new ImgmvError('not-imgmv', `${address} sent no valid WebSocket upgrade`));
    duplex.once('close', onClose);
    server.handleUpgrade(request, duplex, head, (ws) => {
      duplex.removeListener('close', onClose);
      resolve(new Socket(ws, duplex, offeredBy(request)));
    });
  });
}

/** What the end of a connection means to this side: told by a close code of ours, or a break. */
export function errorOfClose(close: SocketClose): ImgmvError {
  const code = codeOfClose(close.code);
  if (code !== undefined) return errorToldByPeer(code, close.reason);
  const options = { cause: close.error, about: 'connection-broke' } as const;
  return new ImgmvError('peer-lost', 'the connection to the other host was lost', options);
}
