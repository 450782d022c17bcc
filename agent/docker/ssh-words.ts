/** What ssh says when it does not get to a host, and what to do about it. OpenSSH speaks English everywhere. */
import { type ErrorCode, ImgmvError } from '../../proto/errors.ts';
import type { Endpoint } from './endpoint.ts';

interface Failure {
  readonly says: RegExp;
  readonly code: ErrorCode;
  readonly message: string;
  /** `place`: as people would give it to ssh. */
  readonly hint: (place: string) => string;
}

/** The first that fits. sshconnect.c, readconf.c, ssh.c and auth of OpenSSH 9; the errors of the resolver are those of the C library. */
const FAILURES: readonly Failure[] = [
  {
    says: /REMOTE HOST IDENTIFICATION HAS CHANGED|host key .* has changed/i,
    code: 'handshake-failed',
    message: 'the host key has changed',
    hint: (place) =>
      `somebody may be in between; if the host was set up anew, compare its key, and drop the old one with \`ssh-keygen -R\`, then \`ssh ${place}\``,
  },
  {
    says: /Host key verification failed|authenticity of host .* can't be established/i,
    code: 'handshake-failed',
    message: 'the host key is not known',
    hint: (place) => `log in once with \`ssh ${place}\`, and compare the key that it shows`,
  },
  {
    says: /Too many authentication failures/,
    code: 'handshake-failed',
    message: 'ssh offered too many keys',
    hint: () => 'name the right one with -i, and add --ssh-option IdentitiesOnly=yes',
  },
  {
    says: /Permission denied/,
    code: 'handshake-failed',
    message: 'it does not let this user log in',
    hint: (place) => `check that \`ssh ${place}\` logs in; -i names a key, and ssh://USER@HOST another user`,
  },
  {
    says: /contains invalid characters/,
    code: 'usage',
    message: 'ssh takes no such name',
    hint: () => 'check USER and HOST in ssh://USER@HOST',
  },
  {
    says: /Could not resolve hostname/,
    code: 'host-not-found',
    message: 'there is no host of that name',
    hint: () => 'check the name, and the Host entries of ~/.ssh/config',
  },
  {
    says: /Connection refused/,
    code: 'connection-refused',
    message: 'nobody listens there',
    hint: () => 'does sshd run there, on that port?',
  },
  {
    says: /timed out|No route to host|is unreachable/,
    code: 'no-answer',
    message: 'it does not answer',
    hint: () => 'is the host up, and does a firewall let ssh through?',
  },
  {
    says: /Connection (?:closed|reset) by|kex_exchange_identification|Exceeded MaxStartups/,
    code: 'peer-lost',
    message: 'it closed the connection before anybody had logged in',
    hint: () => 'sshd may have too many logins under way (MaxStartups): try again in a moment',
  },
];

/** `said`: all of ssh's standard error. */
export function loginFailed(said: string, { address, foundBy, isPeer }: Endpoint, place: string): ImgmvError {
  const found = FAILURES.find(({ says }) => says.test(said));
  const lines = said.trim().split(/\s*\n\s*/);
  const why = `${found ? `${found.message}: ` : ''}${lines.slice(-3).join(' ')}`;
  const code = isPeer ? (found?.code ?? 'no-answer') : 'engine-unavailable';
  return new ImgmvError(code, `cannot log in at ${address} (${foundBy}): ${why}`, {
    hint: found?.hint(place) ?? `check that \`ssh ${place}\` works`,
  });
}
