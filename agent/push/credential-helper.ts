/**
 * One question to a program that keeps docker's credentials: `docker-credential-NAME get`, the registry on its
 * standard input, JSON on its standard output. github.com/docker/docker-credential-helpers. Of what it writes
 * nothing gets into an error: that may be the password.
 */
import { spawn } from 'node:child_process';
import * as v from 'valibot';
import { ImgmvError } from '../../proto/errors.ts';
import type { CredentialOptions } from './credentials.ts';

/** It may have to ask somebody for a password of its own. */
const ANSWER_TIMEOUT_MS = 60_000;
const ANSWER_MAX_BYTES = 64 * 1024;
/** What helpers say, with a status of failure, where they have nothing for a host. */
const NOT_FOUND = 'credentials not found in native keychain';
/** In place of a user name: the secret is an identity token. */
const TOKEN_USER = '<token>';

const helperAnswer = v.object({ Username: v.string(), Secret: v.string() });

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
      `no credentials for the push: ${file} names the helper ${JSON.stringify(helper)}, which is no name`,
      { hint: 'credsStore and credHelpers have the name of a program docker-credential-NAME' },
    );
  const program = helperProgram(helper);
  const fail = (what: string, hint: string): never => {
    throw new ImgmvError('push-failed', `no credentials for the push: ${program} (${file}) ${what}`, {
      hint,
    });
  };
  const end = await runHelper(program, server, options);
  const see = `\`echo ${server} | ${program} get\` on that host shows what is wrong, and the password if nothing is`;
  if ('missing' in end) return fail('is not there', 'install it on that host, or take it out of that file');
  if ('broken' in end) return fail(end.broken, see);
  if (end.status !== 0) {
    if (end.output.trim() === NOT_FOUND) return undefined;
    return fail(`ended with ${end.status === null ? 'a signal' : `status ${end.status}`}`, see);
  }
  const parsed = v.safeParse(helperAnswer, jsonOf(end.output));
  if (!parsed.success) return fail('gave something else than credentials', see);
  const { Username, Secret } = parsed.output;
  if (Username === TOKEN_USER) return { identitytoken: Secret };
  return Username === '' && Secret === '' ? undefined : { username: Username, password: Secret };
}

type HelperEnd =
  | { readonly missing: true }
  | { readonly broken: string }
  | { readonly status: number | null; readonly output: string };

function runHelper(program: string, server: string, { env, signal }: CredentialOptions): Promise<HelperEnd> {
  signal.throwIfAborted();
  const child = spawn(program, ['get'], { env: { ...env }, stdio: ['pipe', 'pipe', 'ignore'] });
  return new Promise<HelperEnd>((resolve, reject) => {
    const late = setTimeout(
      () => giveUp(`did not answer within ${ANSWER_TIMEOUT_MS / 1000} s`),
      ANSWER_TIMEOUT_MS,
    );
    const stop = () => {
      kill();
      reject(signal.reason);
    };
    const kill = () => {
      clearTimeout(late);
      signal.removeEventListener('abort', stop);
      child.kill('SIGKILL');
      child.stdout.destroy();
    };
    const giveUp = (broken: string) => {
      kill();
      resolve({ broken });
    };
    signal.addEventListener('abort', stop, { once: true });
    const chunks: Buffer[] = [];
    let bytes = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > ANSWER_MAX_BYTES) giveUp(`gave more than ${ANSWER_MAX_BYTES} bytes`);
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') return giveUp(`cannot be run: ${error.code}`);
      kill();
      resolve({ missing: true });
    });
    child.once('close', (status) => {
      kill();
      resolve({ status, output: Buffer.concat(chunks).toString('utf8') });
    });
    // It need not read what it is asked.
    child.stdin.on('error', () => {});
    child.stdin.end(server);
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
