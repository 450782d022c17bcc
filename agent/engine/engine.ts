/** One engine and the calls that imgmv makes of its API, each with a deadline and with its errors named. */
import type { IncomingMessage, RequestOptions } from 'node:http';
import { ImgmvError } from '../../proto/errors.ts';
import type { Secret } from '../../proto/secret.ts';
import type { Digest, Platform, Store } from '../image.ts';
import { answerTo, ask, type Question, Refusal, readError } from './ask.ts';
import { ContentStore } from './content.ts';
import { type Endpoint, type EndpointOptions, findEndpoint } from './endpoint.ts';
import { type Transport, transportTo } from './transport.ts';

/** Inspecting is quick, yet an engine that is loading gigabytes may take its time. */
const CALL_TIMEOUT_MS = 60_000;
const PING_TIMEOUT_MS = 15_000;
const LIST_TRIES_MAX = 10;

export interface EngineInfo {
  readonly kind: 'docker' | 'podman';
  readonly version: string;
  readonly store: Store;
  readonly platform: Platform;
  /** Where the engine keeps its data, in its own view of the file system. */
  readonly dataRoot: string | undefined;
}

/** What of `GET /images/X/json` we use; `Manifests` and `Descriptor` come from 27 on with a containerd store. */
export interface InspectedImage {
  readonly Id: Digest;
  readonly RepoTags: readonly string[] | null;
  readonly RootFS: { readonly Type?: string; readonly Layers?: readonly Digest[] };
  readonly Os: string;
  readonly Architecture: string;
  readonly Variant?: string;
  readonly Size: number;
  readonly Descriptor?: { readonly mediaType: string; readonly digest: Digest; readonly size: number };
  readonly Manifests?: readonly InspectedManifest[];
}

/** What of `GET /images/json` we use; a containerd store gives `Descriptor` from 28 on, and `Manifests` from 27 on. */
export interface ListedByEngine {
  readonly Id: Digest;
  readonly RepoTags: readonly string[] | null;
  readonly RepoDigests: readonly string[] | null;
  readonly Labels: Readonly<Record<string, string>> | null;
  /** Seconds since 1970. */
  readonly Created: number;
  readonly Size: number;
  readonly Descriptor?: { readonly mediaType: string; readonly digest: Digest };
  readonly Manifests?: readonly InspectedManifest[];
}

export interface InspectedManifest {
  readonly ID: Digest;
  readonly Available: boolean;
  readonly Kind: string;
}

/** What of `GET /containers/json` we use. */
export interface ListedContainer {
  readonly Names: readonly string[];
  readonly Image: string;
  readonly ImageID: string;
}

/** What of `GET /version` we use. */
interface Version {
  readonly Version: string;
  readonly Os: string;
  readonly Arch: string;
  readonly Components?: readonly { readonly Name: string }[];
}

/** What of `GET /info` we use. */
interface Info {
  readonly DriverStatus?: readonly (readonly [string, string])[] | null;
  readonly DockerRootDir?: unknown;
}

export class Engine {
  readonly endpoint: Endpoint;
  readonly info: EngineInfo;
  readonly transport: Transport;
  #content: Promise<ContentStore | undefined> | undefined;

  private constructor(endpoint: Endpoint, transport: Transport, info: EngineInfo) {
    this.endpoint = endpoint;
    this.transport = transport;
    this.info = info;
  }

  /** Finds the engine and asks what it is. Throws engine-unavailable with what to do about it. */
  static async connect(options: EndpointOptions): Promise<Engine> {
    const endpoint = await findEndpoint(options);
    const transport = transportTo(endpoint);
    try {
      const [version, info] = await Promise.all([
        ask(transport, { path: '/version' }, PING_TIMEOUT_MS),
        ask(transport, { path: '/info' }, PING_TIMEOUT_MS),
      ]);
      return new Engine(endpoint, transport, describe(version as Partial<Version>, info as Info));
    } catch (error) {
      throw unavailable(endpoint, error, options.env);
    }
  }

  /** Undefined where there is no such image. `name` is a reference, an id, or a prefix of one. */
  async inspect(name: string): Promise<InspectedImage | undefined> {
    const path = `/images/${encodeName(name)}/json`;
    const query = this.info.store === 'containerd' ? { query: { manifests: 'true' } } : {};
    try {
      return await this.#call<InspectedImage>(`inspect ${name}`, { path, ...query });
    } catch (error) {
      // Some names are none: nothing has them.
      if (error instanceof NotFound || isRefusal((error as Error).cause, 400)) return undefined;
      throw error;
    }
  }

  /** The blobs of a containerd store; undefined for other stores, and where the engine does not show them. */
  content(): Promise<ContentStore | undefined> {
    this.#content ??=
      this.info.store === 'containerd' && this.info.kind === 'docker'
        ? ContentStore.open(this)
        : Promise.resolve(undefined);
    return this.#content;
  }

  /** Bytes that each step of its history added, bottom first: of a layer about what it takes unpacked. */
  async history(id: Digest): Promise<readonly number[]> {
    const path = `/images/${encodeName(id)}/history`;
    const steps = await orNone(
      this.#call<readonly { Size: number }[]>(`read the history of ${id}`, { path }),
    );
    return (steps ?? []).map(({ Size }) => Size).reverse();
  }

  /** All images but those that are only steps of others. It takes a containerd store milliseconds for each. */
  async list({ all = false } = {}): Promise<readonly ListedByEngine[]> {
    const query = {
      ...(all && { all: 'true' }),
      ...(this.info.store === 'containerd' && { manifests: 'true' }),
    };
    for (let tries = 1; ; tries++) {
      try {
        return await this.#call<readonly ListedByEngine[]>('list images', { path: '/images/json', query });
      } catch (error) {
        // With a containerd store the engine stumbles over an image that is removed while it makes the list.
        if (!(error instanceof NotFound) || tries === LIST_TRIES_MAX) throw error;
      }
    }
  }

  /** Those that run. */
  containers(): Promise<readonly ListedContainer[]> {
    return this.#call('list containers', { path: '/containers/json' });
  }

  /** Points `repository:tag` to `name`. False where `name` is not there (any more). */
  async tag(name: string, repository: string, tag: string): Promise<boolean> {
    const path = `/images/${encodeName(name)}/tag`;
    const tagged = this.#call(`tag ${name}`, { method: 'POST', path, query: { repo: repository, tag } });
    return (await orNone(tagged.then(() => true))) ?? false;
  }

  /** Drops one name. Only private names of ours are ever given here: by id, docker would drop the user's too. */
  async dropName(name: string): Promise<void> {
    const path = `/images/${encodeName(name)}`;
    await orNone(this.#call(`remove ${name}`, { method: 'DELETE', path, query: { noprune: '1' } }));
  }

  /** The stream of `GET /images/{id}/get`: a tar. Destroy it to stop. */
  async save(id: string, signal: AbortSignal): Promise<IncomingMessage> {
    const path = `/images/${encodeName(id)}/get`;
    const response = await this.#answerTo(`save ${id}`, { method: 'GET', path, signal });
    if (response.statusCode === 200) return response;
    const message = await readError(response);
    if (response.statusCode === 404)
      throw new ImgmvError('image-not-found', `the engine has no image ${id} any more: ${message}`);
    throw new ImgmvError(
      'engine-refused',
      `the engine cannot save ${id}: ${message} (HTTP ${response.statusCode})`,
    );
  }

  /**
   * The stream of `POST /images/{name}/push`: a JSON object a line, push-answer.ts. `auth` is an AuthConfig of
   * docker's as JSON. Destroy it to stop; the image stays as it is here.
   */
  async push(
    repository: string,
    tag: string,
    auth: Secret | undefined,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const path = `/images/${encodeName(repository)}/push?tag=${encodeURIComponent(tag)}`;
    // With padding: an engine takes what it cannot decode for no credentials at all. Without the header it refuses.
    const base64 = Buffer.from(auth?.reveal() ?? '{}').toString('base64');
    const headers = { 'X-Registry-Auth': base64.replaceAll('+', '-').replaceAll('/', '_') };
    const what = `push ${repository}:${tag}`;
    const response = await this.#answerTo(what, { method: 'POST', path, headers, signal });
    if (response.statusCode === 200) return response;
    const message = await readError(response);
    throw new ImgmvError('engine-refused', `${message} (HTTP ${response.statusCode})`);
  }

  /** The error for a connection to this engine that broke while doing `what`. */
  lost(what: string, cause: unknown): ImgmvError {
    if (cause instanceof ImgmvError) return cause;
    return new ImgmvError(
      'engine-unavailable',
      `lost the docker engine at ${this.endpoint.address} (${what}): ${messageOf(cause)}`,
      {
        cause,
        hint: 'is dockerd still running? `docker info` and its log tell',
      },
    );
  }

  /** The head of an answer whose body is a stream. */
  async #answerTo(what: string, given: RequestOptions & { signal: AbortSignal }): Promise<IncomingMessage> {
    try {
      return await answerTo(this.transport, given);
    } catch (error) {
      given.signal.throwIfAborted();
      throw this.lost(what, error);
    }
  }

  async #call<T>(what: string, question: Question): Promise<T> {
    try {
      return (await ask(this.transport, question, CALL_TIMEOUT_MS)) as T;
    } catch (error) {
      if (!(error instanceof Refusal)) throw this.lost(what, error);
      const Refused = error.status === 404 ? NotFound : ImgmvError;
      throw new Refused('engine-refused', `the docker engine refused to ${what}: ${error.message}`, {
        cause: error,
      });
    }
  }
}

/** HTTP 404: what the call is about is not there. */
class NotFound extends ImgmvError {}

function isRefusal(error: unknown, status: number): boolean {
  return error instanceof Refusal && error.status === status;
}

/** Undefined where what the call is about is not there. */
async function orNone<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof NotFound) return undefined;
    throw error;
  }
}

/** Docker takes names with slashes in a path as they are; only what would end the path is escaped. */
function encodeName(name: string): string {
  return name.replace(/[^A-Za-z0-9._:@/-]/g, encodeURIComponent);
}

function describe(version: Partial<Version> | undefined, info: Info | undefined): EngineInfo {
  const { Version, Os, Arch, Components = [] } = version ?? {};
  if (!Version || !Os || !Arch || !info)
    throw new Error('what answers there does not say which engine it is');
  const podman = Components.some(({ Name }) => /podman/i.test(Name));
  const status = info.DriverStatus ?? [];
  const containerd = status.some(
    ([key, value]) => key === 'driver-type' && value.startsWith('io.containerd.snapshotter'),
  );
  return {
    kind: podman ? 'podman' : 'docker',
    version: Version,
    store: containerd ? 'containerd' : 'classic',
    platform: { os: Os, architecture: Arch },
    dataRoot: typeof info.DockerRootDir === 'string' ? info.DockerRootDir : undefined,
  };
}

function unavailable(endpoint: Endpoint, error: unknown, env: EndpointOptions['env']): ImgmvError {
  const code = (error as NodeJS.ErrnoException).code;
  const where = `${endpoint.address} (${endpoint.foundBy})`;
  const sudo = env.SUDO_USER
    ? `; under sudo this is root's engine: for ${env.SUDO_USER}'s own give --docker-host or --context`
    : '';
  const options = (hint: string) => ({ cause: error, hint: hint + sudo });
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return new ImgmvError(
        'engine-unavailable',
        `no permission on the docker socket ${where}`,
        options('run as root, or as a member of the group that owns the socket (often "docker")'),
      );
    case 'ENOENT':
      return new ImgmvError(
        'engine-unavailable',
        `no docker engine: there is no socket ${where}`,
        options('is docker installed and running? another engine is given with --docker-host or --context'),
      );
    case 'ECONNREFUSED':
      return new ImgmvError(
        'engine-unavailable',
        `no docker engine answers at ${where}`,
        options('is dockerd running? `systemctl status docker` tells on most systems'),
      );
    default:
      return new ImgmvError(
        'engine-unavailable',
        `no docker engine answers at ${where}: ${messageOf(error)}`,
        options('check with `docker info` that docker itself works there'),
      );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error);
}
