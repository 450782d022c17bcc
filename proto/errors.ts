/** The one error type of imgmv and the one table from its codes to exit status, close code and retry. */

interface Row {
  /** Exit status of the process, as CONTRACT and README list them. */
  readonly exit: number;
  /** WebSocket close code (RFC 6455 section 7.4.2, private range) that tells the other side. */
  readonly close: number;
  /** Whether the same command may succeed when it is run again with nothing changed by hand. */
  readonly retry: boolean;
}

/** Where rows share a close code, the first is what the other side takes it for. */
const TABLE = {
  internal: { exit: 1, close: 4001, retry: false },
  /** A part of this installation is missing or does not run here. */
  'not-installed': { exit: 1, close: 4001, retry: false },
  usage: { exit: 2, close: 4002, retry: false },
  'image-not-found': { exit: 10, close: 4010, retry: false },
  'peer-lost': { exit: 11, close: 4011, retry: true },
  'host-not-found': { exit: 11, close: 4011, retry: false },
  'connection-refused': { exit: 11, close: 4011, retry: true },
  'no-answer': { exit: 11, close: 4011, retry: true },
  'not-imgmv': { exit: 11, close: 4011, retry: false },
  'peer-stopped': { exit: 11, close: 4111, retry: true },
  'session-unknown': { exit: 11, close: 4211, retry: false },
  'session-too-long': { exit: 11, close: 4311, retry: true },
  'peer-failed': { exit: 11, close: 4411, retry: false },
  'wrong-code': { exit: 12, close: 4012, retry: false },
  'bad-code': { exit: 12, close: 4012, retry: false },
  'code-used': { exit: 12, close: 4112, retry: false },
  'code-expired': { exit: 12, close: 4212, retry: false },
  'code-burnt': { exit: 12, close: 4312, retry: false },
  'try-later': { exit: 12, close: 4412, retry: true },
  'handshake-failed': { exit: 12, close: 4512, retry: false },
  integrity: { exit: 13, close: 4013, retry: true },
  'channel-corrupt': { exit: 13, close: 4113, retry: true },
  'protocol-violation': { exit: 13, close: 4213, retry: false },
  'engine-unavailable': { exit: 14, close: 4014, retry: true },
  'engine-refused': { exit: 14, close: 4114, retry: true },
  'version-mismatch': { exit: 15, close: 4015, retry: false },
  'role-mismatch': { exit: 15, close: 4115, retry: false },
  refused: { exit: 16, close: 4016, retry: false },
  partial: { exit: 17, close: 4017, retry: false },
  'push-failed': { exit: 17, close: 4017, retry: false },
  sighup: { exit: 129, close: 4111, retry: false },
  sigint: { exit: 130, close: 4111, retry: false },
  sigterm: { exit: 143, close: 4111, retry: false },
} as const satisfies Record<string, Row>;

export type ErrorCode = keyof typeof TABLE;

export const ERROR_CODES = Object.keys(TABLE) as ErrorCode[];

/**
 * What an error is about, where its code leaves open what can be done. Whoever shows it knows what the commands are
 * called, and gives the hint.
 */
export type About =
  | 'altered-handshake'
  | 'connection-broke'
  | 'engine-images'
  | 'long-name'
  | 'no-name'
  | 'no-registry-named'
  /** It happened on the other host, which has sent its own hint, or none. */
  | 'on-peer'
  | 'other-web-server'
  | 'port-in-use'
  | 'push-not-allowed'
  | 'push-patterns'
  /** It was there a moment ago. */
  | 'receiver-gone'
  /** It took the connection. */
  | 'silent-port'
  /** The other host has said so, by how it closed the connection. */
  | 'told-by-peer'
  | 'too-many';

export interface ErrorOptions {
  readonly cause?: unknown;
  /** What the reader can do about it, one sentence. It names no command of this program. */
  readonly hint?: string | undefined;
  /** For the hint, where there is none. */
  readonly about?: About | undefined;
  /** Which host failed, where that is the other one. */
  readonly host?: string;
  /** How long the other host wants to be left alone. */
  readonly waitMs?: number | undefined;
  /** Goes to the other host in place of the message, if the message may show what is on this host. */
  readonly forPeer?: string | undefined;
  /** A disk is full: another try helps only if something else goes from it meanwhile. */
  readonly noRoom?: true | undefined;
}

/**
 * A failure that imgmv names. `message` is lower case and says doing what to which object, what was got and
 * what was wanted; `hint` says what the reader can do. Neither ever holds a secret.
 */
export class ImgmvError extends Error {
  override readonly name = 'ImgmvError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly about: About | undefined;
  readonly host: string | undefined;
  readonly waitMs: number | undefined;
  readonly noRoom: true | undefined;
  readonly forPeer: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.about = options.about;
    this.host = options.host;
    this.waitMs = options.waitMs;
    this.noRoom = options.noRoom;
    this.forPeer = options.forPeer;
  }

  get exit(): number {
    return TABLE[this.code].exit;
  }

  get closeCode(): number {
    return TABLE[this.code].close;
  }

  get retry(): boolean {
    return TABLE[this.code].retry;
  }
}

export function exitStatusOf(code: ErrorCode): number {
  return TABLE[code].exit;
}

/** The error as it is: what is not ours is wrapped as `internal`, its own error kept as the cause. */
export function toImgmvError(error: unknown): ImgmvError {
  if (error instanceof ImgmvError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ImgmvError('internal', message, { cause: error });
}

/** The code that a close code of the other side stands for; undefined for those that are not ours. */
export function codeOfClose(close: number): ErrorCode | undefined {
  return ERROR_CODES.find((code) => TABLE[code].close === close);
}

/**
 * What a code that the other side sent means on this side. How the other side was called, a fault of its program and
 * a signal that stopped it say nothing about this process: it has lost the other host.
 */
export function codeToldByPeer(code: ErrorCode): ErrorCode {
  switch (code) {
    case 'usage':
    case 'internal':
    case 'not-installed':
      return 'peer-failed';
    case 'sighup':
    case 'sigint':
    case 'sigterm':
      return 'peer-stopped';
    default:
      return code;
  }
}

/** What it means when the other side closes with one of these codes. Before a code is proven anybody may have said
 * so: the words claim no more than that. */
const TOLD: Partial<Record<ErrorCode, string>> = {
  'wrong-code': 'the other host says that the pairing code is wrong',
  'code-used': 'the other host says that its code is used: another sender is connected, or was',
  'code-expired': 'the other host says that its code has expired',
  'code-burnt': 'the other host says that its code was tried too often and is dead',
  'try-later': 'the other host refuses this address for now, after a wrong code',
  'handshake-failed':
    'the other host says that the handshake failed: it was altered on the way, or meant for another host',
  'peer-failed': 'the other host says that imgmv failed there',
  'peer-stopped': 'the other host stopped',
  'session-unknown': 'the other host does not know this session',
  'role-mismatch': 'both hosts send, or both receive',
  'channel-corrupt': 'the other host got bytes that were altered on the way',
  'protocol-violation': 'the other host did not understand what this one sent',
};

/**
 * The error for a close code of the other side, `told`. `detail` is what it gave as the reason: only a number of
 * seconds to wait is taken from it.
 */
export function errorToldByPeer(told: ErrorCode, detail: string): ImgmvError {
  const code = codeToldByPeer(told);
  const message = TOLD[code] ?? `the other host ended the session (${code})`;
  const seconds = /^wait ([0-9]{1,4}) s$/.exec(detail)?.[1];
  const hint = seconds && `wait ${seconds} s, then try again`;
  const waitMs = seconds === undefined ? undefined : Number(seconds) * 1000;
  return new ImgmvError(code, message, { about: 'told-by-peer', hint, waitMs });
}

/** The other side did what PROTOCOL.md does not allow: the connection it did so on is closed. */
export function violation(what: string): ImgmvError {
  return new ImgmvError('protocol-violation', `the other side broke the protocol: ${what}`);
}
