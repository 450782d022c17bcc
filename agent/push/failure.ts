/** Why a push failed, what can be done about it, and whether another try may do better. */
import { type ErrorOptions, ImgmvError } from '../../proto/errors.ts';
import type { PushProblem } from '../../proto/messages.ts';
import { familiar, type Reference } from '../model/reference.ts';
import type { Credentials } from './credentials.ts';
import { SAID_MAX_CHARACTERS } from './limits.ts';

/*
 * An engine passes on what the registry said, or what went wrong on the way to it, as text alone, under HTTP 200.
 * So the text is looked at here, which is done nowhere else: another try with a wrong password may lock the
 * account, and one after a reset connection is what people do by hand. Only what is plainly of the second kind
 * is tried again, and nothing that has a word of the first kind in it.
 */
const CREDENTIALS =
  /unauthori[sz]ed|authenti|authoriz|denied|forbidden|credential|password|insufficient_scope|\b40[13]\b/i;
const LOGIN =
  /authentication required|(?:incorrect|invalid|wrong) (?:username|user name|password|credentials)|bad credentials/i;
const CERTIFICATE = /x509|certificate/i;
const PLAIN_HTTP = /server gave HTTP response to HTTPS client/i;
const PASSES =
  /connection refused|connection reset|broken pipe|\bEOF\b|time(?:d )?-?out|deadline exceeded|no such host|temporary failure|unreachable|no route to host|server misbehaving|toomanyrequests|too many requests|\bstatus(?: code)?\b.*\b(?:429|50[0234])\b|use of closed network connection|blob upload (?:unknown|invalid)|\b50[0234] (?:internal|bad gateway|service|gateway)/i;

/** What answers as no registry does. */
const OTHER_SERVICE =
  /error parsing HTTP|invalid character|unexpected (?:HTTP )?status|\b40[45]\b|not found: manifest unknown|malformed HTTP/i;

/** A push that failed. The message may repeat what a registry said; another host is told the problem only. */
export class PushError extends ImgmvError {
  readonly problem: PushProblem;

  constructor(problem: PushProblem, message: string, options: ErrorOptions = {}) {
    super('push-failed', message, options);
    this.problem = problem;
  }
}

export function problemOf(error: ImgmvError): PushProblem {
  if (error instanceof PushError) return error.problem;
  return ['sigint', 'sigterm', 'sighup', 'peer-stopped', 'peer-lost'].includes(error.code)
    ? 'stopped'
    : 'failed';
}

/** Whether what an engine said is about something that may be over soon. */
export function mayPass(said: string, reference: Reference): boolean {
  const why = withoutName(said, reference);
  // What lasts is looked for in all of it, which takes no more than its length.
  return (
    PASSES.test(why.slice(0, SAID_MAX_CHARACTERS)) &&
    ![CREDENTIALS, CERTIFICATE, PLAIN_HTTP].some((lasting) => lasting.test(why))
  );
}

/** Whether it is the login that a registry does not take, whatever is pushed: no word of rights on a repository. */
export function refusesLogin(said: string, reference: Reference): boolean {
  return LOGIN.test(withoutName(said, reference));
}

/** For a name that is not tried, since the login was refused for another one: wrong passwords lock accounts. */
export function notTried(reference: Reference, { from }: Credentials): ImgmvError {
  const { domain } = reference;
  return new PushError(
    'denied',
    `the push of ${familiar(reference)} was not tried: ${domain} has refused these credentials`,
    { hint: `they came from ${from}; \`docker login ${domain}\` on the host that pushes renews them` },
  );
}

/** `why` is what the engine said; `tries` how many there were. */
export function pushFailed(
  reference: Reference,
  why: string,
  credentials: Credentials | undefined,
  tries: number,
): ImgmvError {
  const often = tries > 1 ? `, ${tries} times` : '';
  const shown = credentials ? credentials.hiddenIn(why) : why;
  // An engine may say it over several lines.
  const message = `the push of ${familiar(reference)} failed${often}: ${shown.trim().replaceAll(/\s+/g, ' ').slice(0, 800)}`;
  return new PushError(problemSaid(reference, why), message, { hint: hintFor(reference, why, credentials) });
}

function problemSaid(reference: Reference, said: string): PushProblem {
  const why = withoutName(said, reference);
  if (CERTIFICATE.test(why) || PLAIN_HTTP.test(why)) return 'certificate';
  if (CREDENTIALS.test(why)) return 'denied';
  if (PASSES.test(why.slice(0, SAID_MAX_CHARACTERS))) return 'unreachable';
  return OTHER_SERVICE.test(why.slice(0, SAID_MAX_CHARACTERS)) ? 'not-a-registry' : 'failed';
}

/** A registry may be called `authentik.example`, an image `denied`; one called `auth` is not in `unauthorized`. */
function withoutName(text: string, { domain, path }: Reference): string {
  // Of what a path may hold, only the dot means something to an expression.
  const whole = new RegExp(`(?<![\\w.-])${path.replaceAll('.', '\\.')}(?![\\w.-])`, 'g');
  return text.replaceAll(domain, '').replace(whole, '');
}

function hintFor(
  reference: Reference,
  said: string,
  credentials: Credentials | undefined,
): string | undefined {
  const { domain } = reference;
  const why = withoutName(said, reference);
  const host = domain === 'docker.io' ? '' : ` ${domain}`;
  if (CERTIFICATE.test(why))
    return `the engine does not trust the certificate of ${domain}: put its CA into /etc/docker/certs.d/${domain}/ca.crt on the host of that engine`;
  if (PLAIN_HTTP.test(why))
    return `${domain} does not use TLS: the engine accepts that only from registries that its configuration lists as insecure (\`insecure-registries\` of dockerd)`;
  if (CREDENTIALS.test(why))
    return credentials
      ? `the credentials came from ${credentials.from}; \`docker login${host}\` on the host that pushes renews them`
      : `there are no credentials for ${domain}: \`docker login${host}\` on the host that pushes, as the user that runs imgmv there`;
  if (mayPass(said, reference)) return `is ${domain} up, and can the engine reach it?`;
  return undefined;
}
