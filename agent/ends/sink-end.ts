/** Where images go: an engine, one archive or layout, or an archive for each image. */
import { resolve } from 'node:path';
import { ImgmvError } from '../../proto/errors.ts';
import { EachSink } from '../archive/each-sink.ts';
import { makeDirectories } from '../archive/made-directories.ts';
import { OciStore } from '../archive/oci-layout/oci-store.ts';
import { openSink, type WriteOptions } from '../archive/open-store.ts';
import { Engine, type EngineOptions } from '../docker/engine.ts';
import { EngineSink } from '../docker/engine-sink.ts';
import { type Emit, warnBy } from '../model/events.ts';
import type { Sink } from '../model/sink.ts';
import type { PushPolicy } from '../push/policy.ts';
import { pushBy } from '../push/push.ts';
import { PushingSink } from '../push/pushing-sink.ts';
import { endpointText, type SinkEndpoint } from './endpoint.ts';
import { archiveHost, connectEngine, type Host } from './host.ts';

export interface SinkEndOptions extends WriteOptions {
  /** What of the images is pushed on, where the sender wants it (`asked`) or not; undefined: nothing. */
  readonly pushPolicy: (asked: boolean) => PushPolicy | undefined;
  readonly pushes: boolean;
  readonly emit: Emit;
}

export interface SinkEnd extends AsyncDisposable {
  /** Throws what would keep images from going there, long before any comes. */
  check(): Promise<void>;
  /** Behind `check`: what the other host is told of it. */
  host(): Host;
  /** For one run or session. `asked`: its sender wants the images pushed. */
  open(asked: boolean): Promise<Sink>;
}

export function sinkEnd(endpoint: SinkEndpoint, options: SinkEndOptions): SinkEnd {
  if (endpoint.kind === 'docker-daemon') return new EngineEnd(endpoint.engine, options);
  return new FileEnd(endpoint, options);
}

class EngineEnd implements SinkEnd {
  readonly #found: EngineOptions;
  readonly #options: SinkEndOptions;
  #engine: Engine | undefined;

  constructor(found: EngineOptions, options: SinkEndOptions) {
    this.#found = found;
    this.#options = options;
  }

  async check(): Promise<void> {
    this.#engine = await connectEngine(this.#found, this.#options.emit);
    const policy = this.#options.pushPolicy(true);
    const why = policy && !policy.trusts && (await EngineSink.whyUnseen(this.#engine));
    if (why)
      throw new ImgmvError('refused', `nothing can be pushed from this engine: ${why}`, {
        hint: 'an image can be made so that an engine with a classic store pushes files of its host, and imgmv has to look: run it as root on that host, or without pushing',
      });
  }

  host(): Host {
    const { info } = this.#engine as Engine;
    return { info, pushes: this.#options.pushes };
  }

  async open(asked: boolean): Promise<Sink> {
    const { emit, pushPolicy } = this.#options;
    const engine = await this.#connectAnew();
    const sink = await EngineSink.open(engine, this.#options);
    const policy = pushPolicy(asked);
    if (!policy) return sink;
    const push = pushBy(engine, this.#found.env, { warn: warnBy(emit) });
    return new PushingSink(sink, { push, policy, emit });
  }

  /** It may have been restarted since it was connected, and what it did not answer then it may answer now. */
  async #connectAnew(): Promise<Engine> {
    const told = this.#engine;
    // What there is to warn of has been said.
    const engine = told
      ? await Engine.connect({ ...this.#found, warn: () => {} })
      : await connectEngine(this.#found, this.#options.emit);
    this.#engine = engine;
    told?.[Symbol.dispose]();
    if (told) requireSame(told, engine);
    return engine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#engine?.[Symbol.dispose]();
  }
}

/** The sender has been told of the engine as it was. Throws engine-refused. */
function requireSame({ info: told }: Engine, { info: now }: Engine): void {
  if (told.kind === now.kind && told.store === now.store) return;
  throw new ImgmvError(
    'engine-refused',
    `the engine here was ${told.kind} with the ${told.store} store when the session began, and is ${now.kind} with the ${now.store} store`,
    { hint: 'it was restarted in the meantime; send again' },
  );
}

type FileEndpoint = Exclude<SinkEndpoint, { kind: 'docker-daemon' }>;

class FileEnd implements SinkEnd {
  readonly #endpoint: FileEndpoint;
  readonly #options: SinkEndOptions;
  #told = false;

  constructor(endpoint: FileEndpoint, options: SinkEndOptions) {
    this.#endpoint = endpoint;
    this.#options = options;
  }

  /** Nothing is there afterwards that was not before, but the directory of `each`; a layout is read when it is opened. */
  async check(): Promise<void> {
    const { kind, path } = this.#endpoint;
    if (!(kind === 'oci' && (await OciStore.isThere(path)))) {
      const { signal } = new AbortController();
      const options = { ...this.#options, ignoreSpace: true, stdout: async () => {}, signal };
      await using _ = await openFiles(this.#endpoint, options);
    }
    this.#tell();
  }

  host(): Host {
    const { kind } = this.#endpoint;
    return kind === 'each' ? archiveHost('docker-archive') : archiveHost(kind, kind !== 'oci');
  }

  async open(): Promise<Sink> {
    const sink = await openFiles(this.#endpoint, this.#options);
    this.#tell();
    return sink;
  }

  #tell(): void {
    if (!this.#told) this.#options.emit({ event: 'writing', archive: endpointText(this.#endpoint) });
    this.#told = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

async function openFiles(endpoint: FileEndpoint, options: WriteOptions): Promise<Sink> {
  if (endpoint.kind !== 'each') return openSink(endpoint, options);
  const { format, path } = endpoint;
  await makeDirectories(resolve(path));
  return new EachSink(path, format, options);
}
