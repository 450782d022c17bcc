/**
 * Finds the engine as docker finds it: `--docker-host`, `--context`, DOCKER_HOST, DOCKER_CONTEXT, the current
 * context, the default socket, the rootless socket. Reads files and the environment; connects to nothing.
 * Docker's own order: https://docs.docker.com/engine/manage-resources/contexts/
 */

import { createHash } from 'node:crypto';
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ImgmvError } from '../../proto/errors.ts';
import { usage } from '../streams/errors.ts';
import {
  configDirectory,
  type Environment,
  parseJson,
  readConfig,
  readOptional,
  readOptionalBytes,
} from './docker-config.ts';

const DEFAULT_SOCKET = '/var/run/docker.sock';

interface Tls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly skipVerify: boolean;
}

export interface Endpoint {
  /** As DOCKER_HOST has it: `unix:///var/run/docker.sock`, `tcp://host:2376`, `ssh://user@host/run/docker.sock`. */
  readonly address: string;
  /** What led here, for people: `--docker-host`, `context prod`, `the default socket`. */
  readonly foundBy: string;
  readonly tls?: Tls;
  /** More arguments for ssh. */
  readonly ssh?: readonly string[];
  /** The engine of the other host of a move. Errors then say that this host cannot be reached, and not that the engine fails. */
  readonly isPeer?: true;
}

export interface EndpointOptions {
  readonly dockerHost?: string | undefined;
  readonly context?: string | undefined;
  /** What the two options begin with; `--` when left out. */
  readonly optionPrefix?: string;
  /** What gave them, for people, where that is no option: `/etc/imgmv/config.yaml`. */
  readonly givenBy?: string | undefined;
  /** Of an engine that `ssh://` names. */
  readonly ssh?: readonly string[] | undefined;
  readonly isPeer?: true;
  readonly env: Environment;
  /** Told of a `config.json` that cannot be used, which is passed over then, as docker does; it is an error without. */
  readonly warn?: (message: string) => void;
}

/** Throws usage for an address or a context that cannot be used. */
export async function findEndpoint({
  dockerHost,
  context,
  optionPrefix = '--',
  givenBy,
  ssh,
  isPeer,
  env,
  warn,
}: EndpointOptions): Promise<Endpoint> {
  const [hostOption, contextOption] = [`${optionPrefix}docker-host`, `${optionPrefix}context`];
  if (dockerHost !== undefined && context !== undefined)
    throw usage(`${hostOption} and ${contextOption} exclude each other`);
  if (dockerHost !== undefined)
    return checked({
      ...{ address: dockerHost, foundBy: givenBy ?? hostOption },
      ...(await envTls(env)),
      ...(ssh && { ssh }),
      ...(isPeer && { isPeer }),
    });
  if (context !== undefined) return contextEndpoint(context, givenBy ?? contextOption, env);
  const fromEnv = env.DOCKER_HOST;
  if (fromEnv) return checked({ address: fromEnv, foundBy: 'DOCKER_HOST', ...(await envTls(env)) });
  if (env.DOCKER_CONTEXT) return contextEndpoint(env.DOCKER_CONTEXT, 'DOCKER_CONTEXT', env);
  const current = await currentContext(env, warn);
  if (current !== undefined) return contextEndpoint(current, 'the current context', env);
  return defaultEndpoint(env);
}

async function defaultEndpoint(env: Environment): Promise<Endpoint> {
  const rootless = env.XDG_RUNTIME_DIR ? join(env.XDG_RUNTIME_DIR, 'docker.sock') : undefined;
  if (!(await exists(DEFAULT_SOCKET)) && rootless !== undefined && (await exists(rootless)))
    return { address: `unix://${rootless}`, foundBy: 'the rootless socket' };
  return { address: `unix://${DEFAULT_SOCKET}`, foundBy: 'the default socket' };
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

async function currentContext(env: Environment, warn: EndpointOptions['warn']): Promise<string | undefined> {
  const { config } = await readConfig(env).catch((error: unknown) => {
    if (!warn || !(error instanceof ImgmvError) || error.code !== 'usage') throw error;
    warn(`${error.message}: no docker context is taken from it`);
    return { config: undefined };
  });
  const name = (config as { currentContext?: unknown } | null | undefined)?.currentContext;
  return typeof name === 'string' && name !== '' && name !== 'default' ? name : undefined;
}

/** docker/cli cli/context/store: a context lives under the sha256 of its name. */
async function contextEndpoint(name: string, foundBy: string, env: Environment): Promise<Endpoint> {
  if (name === 'default') return defaultEndpoint(env);
  const id = createHash('sha256').update(name).digest('hex');
  const base = join(configDirectory(env), 'contexts');
  const file = join(base, 'meta', id, 'meta.json');
  const text = await readOptional(file);
  if (text === undefined)
    throw usage(`${foundBy} names the docker context ${JSON.stringify(name)}, which does not exist`, {
      hint: '`docker context ls` lists those that do',
    });
  const meta = parseJson(text, file) as {
    Endpoints?: { docker?: { Host?: unknown; SkipTLSVerify?: unknown } };
  } | null;
  const endpoint = meta?.Endpoints?.docker;
  if (typeof endpoint?.Host !== 'string' || endpoint.Host === '')
    throw usage(`the docker context ${JSON.stringify(name)} names no docker host (${file})`);
  const tlsDirectory = join(base, 'tls', id, 'docker');
  const tls = await readTls(tlsDirectory, endpoint.SkipTLSVerify === true);
  return checked({ address: endpoint.Host, foundBy: `context ${name}`, ...(tls && { tls }) });
}

/** Of all contexts that docker has stored, but those whose files cannot be read. */
export async function contextNames(env: Environment): Promise<readonly string[]> {
  const base = join(configDirectory(env), 'contexts', 'meta');
  const directories = await readdir(base).catch(() => []);
  const texts = await Promise.all(
    directories.map((directory) => readOptional(join(base, directory, 'meta.json')).catch(() => undefined)),
  );
  return texts.flatMap((text) => /"Name":\s*"([^"\\]+)"/.exec(text ?? '')?.[1] ?? []).sort();
}

/** DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, which hold for tcp:// addresses. */
async function envTls(env: Environment): Promise<{ tls?: Tls }> {
  if (!env.DOCKER_TLS_VERIFY && !env.DOCKER_CERT_PATH) return {};
  const directory = env.DOCKER_CERT_PATH || configDirectory(env);
  const tls = await readTls(directory, !env.DOCKER_TLS_VERIFY);
  return tls ? { tls } : {};
}

async function readTls(directory: string, skipVerify: boolean): Promise<Tls | undefined> {
  const [ca, cert, key] = await Promise.all(
    ['ca.pem', 'cert.pem', 'key.pem'].map((file) => readOptionalBytes(join(directory, file))),
  );
  if (!ca && !cert && !key && !skipVerify) return undefined;
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), skipVerify };
}

function checked(endpoint: Endpoint): Endpoint {
  if (isDockerHost(endpoint.address)) return endpoint;
  throw usage(`${endpoint.foundBy} gives ${JSON.stringify(endpoint.address)}, which is not a docker host`, {
    hint: 'expected unix:///path, tcp://host:port, ssh://user@host or ssh://user@host/path/of/docker.sock',
  });
}

/** What transport.ts can reach: a socket by its path, or a host. */
export function isDockerHost(address: string): boolean {
  if (/^unix:\/\/./.test(address)) return true;
  if (!/^(tcp|http|https|ssh):\/\/./.test(address)) return false;
  try {
    const { hostname, username, password, pathname, protocol, search, hash } = new URL(address);
    decodeURIComponent(username);
    decodeURIComponent(pathname);
    if (protocol === 'ssh:' && password + search + hash !== '') return false;
    return /^[^-]/.test(hostname);
  } catch {
    return false;
  }
}
