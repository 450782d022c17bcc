/** Why a connection could not be opened, by what the system says, and what to do about it. */
import { type ErrorCode, ImgmvError } from './errors.ts';

/**
 * For how long the kernel looks for a neighbour, at least, before it says that the host is unreachable. A firewall that
 * rejects says the same, and at once.
 */
const UNREACHABLE_AFTER_MS = 900;

export interface DialTry {
  readonly url: string;
  /** How long it might have taken. */
  readonly timeoutMs: number;
  /** Bytes that came back; undefined where nobody took the connection. */
  readonly bytes: number | undefined;
}

/** `afterMs`: how long it took to fail. */
export function dialError(error: Error, tried: DialTry, afterMs: number): ImgmvError {
  const { url } = tried;
  const { hostname, host } = new URL(url);
  const failure = (code: ErrorCode, message: string, hint?: string) =>
    new ImgmvError(code, message, { cause: error, hint });
  switch (systemCode(error)) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAI_NODATA':
      return failure('host-not-found', `no address is known for host ${hostname}`);
    case 'ECONNREFUSED':
      return new ImgmvError(
        'connection-refused',
        `${host} refused the connection: nothing listens there, or a firewall rejects it`,
        { cause: error },
      );
    case 'EHOSTUNREACH':
      if (afterMs >= UNREACHABLE_AFTER_MS)
        return failure(
          'no-answer',
          `${host} cannot be reached: nothing answers at that address`,
          'is the host up, and is its address right?',
        );
      return rejected(url, error);
    // ICMPv6 says so for what a firewall prohibits (RFC 4443 section 3.1), and a firewall on this host may.
    case 'EACCES':
    case 'EPERM':
      return rejected(url, error);
    case 'ENETUNREACH':
      return failure(
        'no-answer',
        `${host} cannot be reached from here: there is no route, or a firewall rejects the connection`,
        'check the address and the network between the two hosts',
      );
    case 'ETIMEDOUT':
      return silent(tried, error);
    default:
  }
  if (error.message === 'Opening handshake has timed out') return silent(tried, error);
  if (greeting(error).startsWith('SSH-')) return failure('not-imgmv', `${host} is an ssh server, not imgmv`);
  return failure('not-imgmv', `${host} does not answer as an imgmv receiver does (${error.message})`);
}

function rejected(url: string, cause: Error): ImgmvError {
  const { host } = new URL(url);
  return new ImgmvError(
    'no-answer',
    `${host} cannot be reached: most likely a firewall rejects the connection`,
    {
      cause,
      hint: wayThrough(url),
    },
  );
}

/** What to do about a firewall. */
function wayThrough(url: string): string {
  const { hostname, port, protocol } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const number = port || (protocol === 'wss:' ? '443' : '80');
  const open = `open TCP port ${number} on ${host} for this host`;
  // A certificate is for the name of the host, which a forwarded port has not.
  if (protocol === 'wss:') return open;
  return `${open}, or run \`ssh -N -L ${number}:localhost:${number} ${host}\` here and give localhost:${number} as the host`;
}

/** Whether `dial` failed since the other side took the connection and then broke it off without a word. */
export function brokenOff(error: ImgmvError): boolean {
  return (
    error.code === 'not-imgmv' && error.cause instanceof Error && systemCode(error.cause) === 'ECONNRESET'
  );
}

/** Nothing came in time, or nothing whole. */
export function silent({ url, timeoutMs, bytes }: DialTry, cause?: Error): ImgmvError {
  const { host } = new URL(url);
  const seconds = `${Math.round(timeoutMs / 1000)} s`;
  if (bytes === undefined)
    return new ImgmvError('no-answer', `${host} did not answer within ${seconds}`, {
      cause,
      hint: `a firewall may drop the connection: ${wayThrough(url)}`,
    });
  const said = bytes === 0 ? 'says nothing' : 'does not answer as an imgmv receiver does';
  const message = `${host} takes the connection, but ${said} for ${seconds}`;
  return new ImgmvError('no-answer', message, { cause, about: 'silent-port' });
}

/** What the other side said before it was asked, where that is no HTTP; empty otherwise. */
function greeting(error: Error): string {
  const { rawPacket } = error as { readonly rawPacket?: unknown };
  return rawPacket instanceof Uint8Array ? Buffer.from(rawPacket).toString('latin1') : '';
}

/** Those that come from the host itself or from a firewall tell more than those that come from this host. */
const TELLING: readonly string[] = ['ECONNREFUSED', 'EHOSTUNREACH', 'EACCES', 'EPERM', 'ETIMEDOUT'];

/** The errno of a failed connect; with several addresses Node collects one error for each. */
function systemCode(error: Error): string | undefined {
  const { code } = error as NodeJS.ErrnoException;
  if (!(error instanceof AggregateError)) return code;
  const codes = error.errors.map((one: NodeJS.ErrnoException) => one.code);
  return TELLING.find((telling) => codes.includes(telling)) ?? codes[0] ?? code;
}
