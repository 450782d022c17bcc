/**
 * One question to a program that keeps docker's credentials: `docker-credential-NAME get`, the registry on its
 * standard input, JSON on its standard output. github.com/docker/docker-credential-helpers. Of what it writes
 * nothing gets into an error: that may be the password.
 */
import { spawn } from 'node:child_process';
import * as v from 'valibot';
import { ImgmvError } from '../../proto/errors.ts';
import type { Environment } from '../docker/docker-config.ts';
import { HELPER_ANSWER_MAX_BYTES, HELPER_ANSWER_MS } from './limits.ts';

export interface CredentialOptions {
  readonly env: Environment;
  readonly signal: AbortSignal;
  readonly helperMs?: number;
  /** Told why there are none where docker would go on without. */
  readonly warn?: (message: string) => void;
  /** What came of questions that a helper did not answer in time: these are not asked again. One for a run. */
  readonly hung?: Map<string, ImgmvError>;
}

/** What helpers say, with a status of failure, where they have nothing for a host. */
const NOT_FOUND = 'credentials not found in native keychain';
/** In place of a user name: the secret is an identity token. */
const TOKEN_USER = '<token>';

/** There are none to be had, and docker would push without. */
export class NoCredentials extends ImgmvError {
  constructor(message: string, hint: string) {
    super('push-failed', message, { hint });
  }
}

const helperAnswer = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({ Username: v.string(), Secret: v.string() }),
);

export function helperProgram(helper: string): string {
  return `docker-credential-${helper}`;
}

/** The fields of an AuthConfig; undefined where the helper has none. `file` is what names the helper. */
export async function askHelper(
  helper: string,
  server: string,
  file: string,
  options: CredentialOptions,
): Promise<Readonly<Record<string, string>> | undefined> {
  if (!/^[A-Za-z0-9._-]+$/.test(helper))
    throw new ImgmvError(
      'push-failed',
      `no credentials for the push: ${file} names the helper ${JSON.stringify(helper)}, which is not a valid name`,
      { hint: 'credsStore and credHelpers hold the NAME of a program docker-credential-NAME' },
    );
  const program = helperProgram(helper);
  const failure = (what: string, hint: string) =>
    new ImgmvError('push-failed', `no credentials for the push: ${program} (${file}) ${what}`, { hint });
  const question = JSON.stringify([program, server]);
  const before = options.hung?.get(question);
  if (before) throw before;
  const end = await runHelper(program, server, options);
  const see = `\`echo ${server} | ${program} get\` on that host shows what is wrong; if nothing is, it shows the password`;
  if ('missing' in end)
    throw new NoCredentials(
      failure('does not exist', '').message,
      'install it on that host, or remove it from that file',
    );
  if ('broken' in end) {
    const broken = failure(end.broken, see);
    if (end.hung) options.hung?.set(question, broken);
    throw broken;
  }
  if (end.status !== 0) {
    if (end.output.trim() === NOT_FOUND) return undefined;
    throw failure(`ended with ${end.status === null ? 'a signal' : `status ${end.status}`}`, see);
  }
  const parsed = v.safeParse(helperAnswer, end.output);
  if (!parsed.success) throw failure('did not return credentials', see);
  const { Username, Secret } = parsed.output;
  if (Username === TOKEN_USER) return { identitytoken: Secret };
  return Username === '' && Secret === '' ? undefined : { username: Username, password: Secret };
}

type HelperEnd =
  | { readonly missing: true }
  /** `hung`: it did not answer in time. */
  | { readonly broken: string; readonly hung: boolean }
  | { readonly status: number | null; readonly output: string };

function runHelper(
  program: string,
  server: string,
  { env, signal, helperMs = HELPER_ANSWER_MS }: CredentialOptions,
): Promise<HelperEnd> {
  signal.throwIfAborted();
  return new Promise<HelperEnd>((resolve, reject) => {
    // A group of its own: what it has started itself is ended with it.
    const child = spawn(program, ['get'], {
      env: { ...env },
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    const kill = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
      child.stdout?.destroy();
    };
    const late = setTimeout(() => {
      giveUp(`did not answer within ${helperMs / 1000} s`, { hung: true });
    }, helperMs);
    const stop = () => {
      release();
      kill();
      reject(signal.reason);
    };
    const release = () => {
      clearTimeout(late);
      signal.removeEventListener('abort', stop);
      process.removeListener('exit', kill);
    };
    const giveUp = (broken: string, { hung = false } = {}) => {
      release();
      kill();
      resolve({ broken, hung });
    };
    signal.addEventListener('abort', stop, { once: true });
    // A second signal of the user's ends this process at once, and reaches no other group.
    process.once('exit', kill);
    // First of all: without a file descriptor left there is this event, and none of the streams below.
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') return giveUp(`cannot be run: ${error.code}`);
      release();
      resolve({ missing: true });
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    child.stdout?.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > HELPER_ANSWER_MAX_BYTES) giveUp(`gave more than ${HELPER_ANSWER_MAX_BYTES} bytes`);
    });
    child.once('close', (status) => {
      release();
      resolve({ status, output: Buffer.concat(chunks).toString('utf8') });
    });
    // It need not read what it is asked.
    child.stdin?.on('error', () => {});
    child.stdin?.end(server);
  });
}
