/** A throwaway registry: Debian's docker-registry, on the loopback by itself, with all that it keeps in a directory of its own. */
import { spawn } from 'node:child_process';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, tied } from './command.ts';
import type { Host } from './hosts.ts';
import { scratchDirectory } from './scratch.ts';
import { requirePrograms, type Support, supportOf } from './support.ts';

export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:40123`, what names in it begin with; engines reach it there without TLS. */
  readonly address: string;
  /** Of its CA, in PEM; with `tls` alone. */
  readonly ca: string | undefined;
  /** What it answers for a tag of a repository, or, with `tls` or `host`, has for it on its disk; undefined for none. */
  digestOf(repository: string, tag: string): Promise<string | undefined>;
}

export interface RegistryOptions {
  /** Lets nobody in but USER with PASSWORD. */
  readonly htpasswd?: boolean;
  /** With a certificate of a CA of its own. */
  readonly tls?: boolean;
  /** In place of this host's loopback: on the cable of another one. */
  readonly host?: Host;
  /** With `host`: on that host's loopback, at this port. */
  readonly port?: number;
}

export const USER = 'mover';
export const PASSWORD = 'right-horse-battery';
/** bcrypt of the password above. */
const HASH = '$2b$05$abcdefghijklmnopqrstuu/2rhj5a9/IlEXX0IrD./Rs8eisoBM3i';
const MANIFESTS = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];

const PROGRAM = 'docker-registry';
const START_TIMEOUT_MS = 120_000;
const POLL_MS = 20;

/** Whether this machine can run registries. */
export async function registrySupport(): Promise<Support> {
  return supportOf(() => requirePrograms(PROGRAM, 'openssl'));
}

/** Starts a registry and waits until it listens. Any number may run side by side. Throws if it does not start. */
export async function startRegistry({
  htpasswd,
  tls,
  host,
  port = 0,
}: RegistryOptions = {}): Promise<Registry> {
  const directory = await scratchDirectory();
  const at = (name: string) => join(directory.path, name);
  const ip = port === 0 ? (host?.address ?? '127.0.0.1') : '127.0.0.1';
  if (htpasswd) await writeFile(at('htpasswd'), `${USER}:${HASH}\n`);
  if (tls) await makeCertificate(directory.path, ip);
  const config = {
    version: '0.1',
    storage: { filesystem: { rootdirectory: at('data') } },
    // The kernel picks the port, the log tells it.
    http: { addr: `${ip}:${port}`, ...(tls && { tls: { certificate: at('cert.pem'), key: at('key.pem') } }) },
    ...(htpasswd && { auth: { htpasswd: { realm: 'test', path: at('htpasswd') } } }),
  };
  // JSON is YAML, too.
  await writeFile(at('config.yml'), JSON.stringify(config));
  const log = await open(at('log'), 'w');
  const serve = [PROGRAM, 'serve', at('config.yml')];
  const [command = '', ...args] = tied(host ? host.argv(serve) : serve);
  // REGISTRY_… in the environment would change the configuration.
  const env = { PATH: process.env.PATH, HOME: directory.path };
  const server = spawn(command, args, { stdio: ['ignore', log.fd, log.fd], env });
  const exited = new Promise<void>((resolve) => {
    server.once('error', () => resolve());
    server.once('close', () => resolve());
  });
  await log.close();
  const dispose = async () => {
    server.kill('SIGKILL');
    await exited;
    await directory[Symbol.asyncDispose]();
  };

  try {
    const deadline = Date.now() + START_TIMEOUT_MS;
    let address: string | undefined;
    while (address === undefined) {
      const said = await readFile(at('log'), 'utf8');
      address = /listening on ([0-9.]+:[0-9]+)/.exec(said)?.[1];
      if (address === undefined && (server.exitCode !== null || Date.now() > deadline))
        throw new Error(`registry did not start:\n${said.trim().split('\n').slice(-5).join('\n')}`);
      await sleep(POLL_MS);
    }
    return {
      address,
      ca: tls ? await readFile(at('ca.pem'), 'utf8') : undefined,
      digestOf: (repository, tag) =>
        tls || host
          ? linkOf(join(at('data'), 'docker/registry/v2/repositories', repository, '_manifests/tags', tag))
          : headOf(`http://${address}/v2/${repository}/manifests/${tag}`),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function headOf(url: string): Promise<string | undefined> {
  const authorization = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`;
  const response = await fetch(url, { method: 'HEAD', headers: { accept: MANIFESTS.join(), authorization } });
  return response.headers.get('docker-content-digest') ?? undefined;
}

function linkOf(tag: string): Promise<string | undefined> {
  return readFile(join(tag, 'current/link'), 'utf8').catch(() => undefined);
}

/** `ca.pem`, and `cert.pem` with `key.pem` for the address. */
async function makeCertificate(cwd: string, address: string): Promise<void> {
  const openssl = (...args: string[]) => run(['openssl', ...args], { cwd });
  const newKey = ['-newkey', 'rsa:2048', '-nodes', '-days', '2'];
  await openssl('req', '-x509', ...newKey, '-subj', '/CN=test CA', '-keyout', 'ca.key', '-out', 'ca.pem');
  await openssl(
    'req',
    '-new',
    ...newKey.slice(0, 3),
    '-subj',
    '/CN=test',
    '-keyout',
    'key.pem',
    '-out',
    'csr',
  );
  await writeFile(join(cwd, 'ext'), `subjectAltName=IP:${address}\n`);
  const ca = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial'];
  await openssl('x509', '-req', '-in', 'csr', ...ca, '-days', '2', '-extfile', 'ext', '-out', 'cert.pem');
}
