/**
 * One engine and the calls that imgmv makes of its API, each with a deadline and with its errors named. The
 * only file that knows dockerode; `save`, `load` and `push` are requests of our own over the same connection,
 * since dockerode's hang when the other end goes away in the body.
 */
import type { IncomingMessage, RequestOptions } from 'node:http';
import Docker from 'dockerode';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import type { Secret } from '../../proto/secret.ts';
import type { Digest, Platform } from '../model/image.ts';
import { type Call, Calls, type Modem } from './calls.ts';
import { ContentStore } from './containerd/content.ts';
import { type Endpoint, type EndpointOptions, findEndpoint } from './endpoint.ts';
import { describeEngine, type EngineInfo, messageOf, type ToldVersion, unavailable } from './engine-info.ts';
import { fullDisk } from './full-disk.ts';
import { asDockerShows, fullName } from './podman/podman-names.ts';
import type { OpenOptions } from './ssh.ts';
import { type Transport, transportTo } from './transport.ts';

const PING_TIMEOUT_MS = 15_000;
/** Of a figure that is only nice to have. */
const MEASURE_TIMEOUT_MS = 30_000;
const LIST_TRIES_MAX = 10;
/** Set explicitly: docker-modem takes a missing option from DOCKER_HOST and the like, even if there is a socketPath. */
const NOT_NAMED = Object.fromEntries(
  ['host', 'port', 'socketPath', 'timeout', 'ca', 'cert', 'key'].map((name) => [name, undefined]),
);

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

export interface PushRequest {
  readonly auth: Secret | undefined;
  readonly platform: Platform | undefined;
  readonly signal: AbortSignal;
}

export interface EngineOptions extends EndpointOptions, Pick<OpenOptions, 'lendTerminal'> {
  /** Aborted with an ImgmvError when the command is to stop. */
  readonly signal?: AbortSignal;
}

export class Engine implements Disposable {
  readonly endpoint: Endpoint;
  readonly info: EngineInfo;
  readonly transport: Transport;
  readonly #calls: Calls;
  #content: Promise<ContentStore | undefined> | undefined;
  readonly #stop: AbortSignal | undefined;
  readonly #closeContent = (): void => {
    void this.#content?.then(
      (content) => content?.close(),
      () => {},
    );
  };

  private constructor(
    endpoint: Endpoint,
    transport: Transport,
    calls: Calls,
    info: EngineInfo,
    stop: AbortSignal | undefined,
  ) {
    this.endpoint = endpoint;
    this.transport = transport;
    this.#calls = calls;
    this.info = info;
    this.#stop = stop;
    stop?.addEventListener('abort', this.#closeContent, { once: true });
  }

  /**
   * Finds the engine and asks what it is. Throws engine-unavailable with what to do about it, or the reason of the
   * signal, which ends calls of the engine as calls.ts has it.
   */
  static async connect(options: EngineOptions): Promise<Engine> {
    const endpoint = await findEndpoint(options);
    const transport = transportTo(endpoint);
    const docker = new Docker({
      ...NOT_NAMED,
      ...transport.options,
      agent: transport.callAgent,
      protocol: transport.protocol,
    } as unknown as Docker.DockerOptions);
    const calls = new Calls(docker.modem as Modem, options.signal);
    const ask = <T>(path: string) =>
      calls.answer<T>({ what: 'answer', method: 'GET', path, timeoutMs: PING_TIMEOUT_MS });
    try {
      await transport.open(options);
      const [version, info] = await Promise.all([
        ask<ToldVersion>('/version'),
        ask<Record<string, unknown>>('/info'),
      ]);
      return new Engine(endpoint, transport, calls, describeEngine(version, info), options.signal);
    } catch (error) {
      calls.close();
      transport.close();
      options.signal?.throwIfAborted();
      throw unavailable(endpoint, error, options.env);
    }
  }

  /** Undefined where there is no such image. `name` is a reference, an id, or a prefix of one. */
  async inspect(name: string): Promise<InspectedImage | undefined> {
    const path = `/images/${encodeName(this.#meant(name))}/json?`;
    const manifests = this.info.store === 'containerd' ? { manifests: true } : {};
    try {
      const found = await this.#call<InspectedImage>({
        what: `inspect ${name}`,
        method: 'GET',
        path,
        options: manifests,
      });
      return found && this.#shown(found);
    } catch (error) {
      // A name that can be none: nothing has it.
      if (statusOf((error as Error).cause) === 400) return undefined;
      throw error;
    }
  }

  /** Podman would take a short name for one of `localhost/`, if it has that. */
  #meant(name: string): string {
    return this.info.kind === 'podman' ? fullName(name) : name;
  }

  #meantRepository(repository: string, tag: string): string {
    return this.#meant(`${repository}:${tag}`).slice(0, -tag.length - 1);
  }

  #shown<T extends ListedByEngine | InspectedImage>(image: T): T {
    return this.info.kind === 'podman' ? asDockerShows(image) : image;
  }

  /** The blobs of a containerd store; undefined for other stores, and where the engine does not show them. */
  content(): Promise<ContentStore | undefined> {
    this.#content ??=
      this.info.store === 'containerd' && this.info.kind === 'docker'
        ? ContentStore.open(this)
        : Promise.resolve(undefined);
    return this.#content;
  }

  /** Ends all its connections; no call is made any more. May be called twice. */
  [Symbol.dispose](): void {
    this.#stop?.removeEventListener('abort', this.#closeContent);
    this.#calls.close();
    this.#closeContent();
    this.transport.close();
  }

  /** Bytes that each step of its history added, bottom first, where it tells: of a layer about what it takes unpacked. */
  async history(id: Digest): Promise<readonly number[]> {
    const path = `/images/${encodeName(id)}/history`;
    const what = `read the history of ${id}`;
    try {
      const steps = await this.#call<readonly { Size: number }[]>({ what, method: 'GET', path });
      return (steps ?? []).map(({ Size }) => Size).reverse();
    } catch (error) {
      // Podman stumbles over steps without a date.
      if (this.info.kind === 'podman' && toImgmvError(error).code === 'engine-refused') return [];
      throw error;
    }
  }

  /** All images but those that are only steps of others. It takes a containerd store milliseconds for each. */
  async list({ all = false } = {}): Promise<readonly ListedByEngine[]> {
    const options = { ...(all && { all }), ...(this.info.store === 'containerd' && { manifests: true }) };
    for (let tries = 1; ; tries++) {
      try {
        const call = { what: 'list images', method: 'GET', path: '/images/json?', options } as const;
        return (await this.#guard<readonly ListedByEngine[]>(call)).map((image) => this.#shown(image));
      } catch (error) {
        // With a containerd store the engine stumbles over an image that is removed while it makes the list.
        if (!(error instanceof NotFound) || tries === LIST_TRIES_MAX) throw error;
      }
    }
  }

  /**
   * Bytes that the layers of all images take, each once, as the engine measures them; undefined where it does not say,
   * or takes too long: before 23.0 it looks through all volumes as well.
   */
  async layerBytes(): Promise<number | undefined> {
    try {
      const used = await this.#call<{ LayersSize?: unknown }>({
        what: 'measure its layers',
        method: 'GET',
        path: '/system/df?',
        options: { type: 'image' },
        timeoutMs: MEASURE_TIMEOUT_MS,
      });
      return typeof used?.LayersSize === 'number' ? used.LayersSize : undefined;
    } catch {
      this.#stop?.throwIfAborted();
      // Nothing depends on it: an engine that is gone fails the next call.
      return undefined;
    }
  }

  async containers(): Promise<readonly Docker.ContainerInfo[]> {
    return this.#guard({ what: 'list containers', method: 'GET', path: '/containers/json' });
  }

  /** Points `repository:tag` to `name`. False where `name` is not there (any more). */
  async tag(name: string, repository: string, tag: string): Promise<boolean> {
    const path = `/images/${encodeName(this.#meant(name))}/tag?`;
    const options = { repo: this.#meantRepository(repository, tag), tag };
    const done = await this.#call({ what: `tag ${name}`, method: 'POST', path, options, status: 201 });
    return done !== undefined;
  }

  /**
   * Drops one name, and with its last name the image. Only names are given here that we set: by id, docker would drop
   * the user's too.
   */
  async dropName(name: string): Promise<void> {
    const path = `/images/${encodeName(this.#meant(name))}?`;
    await this.#call({ what: `remove ${name}`, method: 'DELETE', path, options: { noprune: 1 } });
  }

  /** The stream of `GET /images/{id}/get`: a tar. Destroy it to stop. */
  async save(id: string, signal: AbortSignal): Promise<IncomingMessage> {
    const path = `/images/${encodeName(id)}/get`;
    const response = await this.#answerTo(`save ${id}`, { method: 'GET', path, signal });
    if (response.statusCode === 200) return response;
    const message = await readError(response);
    if (response.statusCode === 404)
      throw new ImgmvError('image-not-found', `the engine no longer has the image ${id}: ${message}`);
    throw new ImgmvError(
      'engine-refused',
      `the engine cannot save ${id}: ${message} (HTTP ${response.statusCode})`,
      fullDisk(message, 'a save needs about the size of the image'),
    );
  }

  /**
   * The stream of `POST /images/{name}/push`: a JSON object a line, push-answer.ts. `auth` is an AuthConfig of
   * docker's as JSON. With a platform, of an index only that manifest is pushed. Destroy it to stop; the image stays as
   * it is here.
   */
  async push(
    repository: string,
    tag: string,
    { auth, platform, signal }: PushRequest,
  ): Promise<IncomingMessage> {
    const query = new URLSearchParams({ tag, ...(platform && { platform: JSON.stringify(platform) }) });
    const path = `/images/${encodeName(this.#meantRepository(repository, tag))}/push?${query}`;
    // With padding: an engine takes what it cannot decode for no credentials at all. Without the header it refuses.
    const base64 = Buffer.from(auth?.reveal() ?? '{}').toString('base64');
    const headers = { 'X-Registry-Auth': base64.replaceAll('+', '-').replaceAll('/', '_') };
    const what = `push ${repository}:${tag}`;
    const response = await this.#answerTo(what, { method: 'POST', path, headers, signal });
    if (response.statusCode === 200) return response;
    const message = await readError(response);
    throw new ImgmvError('engine-refused', `${message} (HTTP ${response.statusCode})`);
  }

  /** As `lost`, once it is known what has broken. */
  async lostBy(what: string, cause: unknown): Promise<ImgmvError> {
    if (!(cause instanceof ImgmvError)) await this.transport.settled?.();
    return this.lost(what, cause);
  }

  /** The error for a connection to this engine that broke while doing `what`. */
  lost(what: string, cause: unknown): ImgmvError {
    if (cause instanceof ImgmvError) return cause;
    const { address, isPeer } = this.endpoint;
    const words = this.transport.lost?.();
    if (words !== undefined)
      return new ImgmvError(
        isPeer ? 'peer-lost' : 'engine-unavailable',
        `lost the ssh connection to ${new URL(address).host} (${what}): ${words}`,
        { cause, hint: 'run it again: what has arrived whole is kept' },
      );
    return new ImgmvError(
      'engine-unavailable',
      `lost the docker engine at ${address} (${what}): ${messageOf(cause)}`,
      {
        cause,
        hint: 'is dockerd still running? see `docker info` and its log',
      },
    );
  }

  async #answerTo(what: string, given: RequestOptions & { signal: AbortSignal }): Promise<IncomingMessage> {
    const { request, options } = this.transport;
    const sent = request({ ...options, ...given });
    try {
      return await new Promise<IncomingMessage>((resolve, reject) => {
        sent.once('response', resolve);
        sent.once('error', reject);
        sent.end();
      });
    } catch (error) {
      given.signal.throwIfAborted();
      throw await this.lostBy(what, error);
    }
  }

  /** Undefined where what it is about is not there. */
  #call<T>(call: Call): Promise<T | undefined> {
    return this.#guard<T>(call).catch((error: unknown) => {
      if (error instanceof NotFound) return undefined;
      throw error;
    });
  }

  async #guard<T>(call: Call): Promise<T> {
    try {
      return await this.#calls.answer<T>(call);
    } catch (error) {
      const status = statusOf(error);
      if (status === undefined) throw await this.lostBy(call.what, error);
      const Refusal = status === 404 ? NotFound : ImgmvError;
      const said = messageOf(error);
      throw new Refusal('engine-refused', `the docker engine refused to ${call.what}: ${said}`, {
        cause: error,
        ...fullDisk(said, 'even a name needs a little'),
      });
    }
  }
}

/** HTTP 404: what the call is about is not there. */
class NotFound extends ImgmvError {}

async function readError(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) if (text.length < 4096) text += chunk;
  try {
    return String((JSON.parse(text) as { message?: unknown }).message ?? text);
  } catch {
    return text.trim();
  }
}

/** Docker takes names with slashes in a path as they are; only what would end the path is escaped. */
function encodeName(name: string): string {
  return name.replace(/[^A-Za-z0-9._:@/-]/g, encodeURIComponent);
}

function statusOf(error: unknown): number | undefined {
  return (error as { statusCode?: number } | undefined)?.statusCode;
}
