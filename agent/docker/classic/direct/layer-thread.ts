/** Reads the layers of a classic engine in a thread of its own, which begins with the first question. */
import { Worker } from 'node:worker_threads';
import { type Deferred, deferred } from '../../../../proto/deferred.ts';
import { ImgmvError } from '../../../../proto/errors.ts';
import { step } from '../../../../proto/steps.ts';
import type { Digest } from '../../../model/image.ts';
import type { Request, Response, WorkerData } from './layer-messages.ts';
import type { FoundImage, FoundLayer, Position } from './layout.ts';
import { Odd } from './odd.ts';

/** V8 would let garbage of small objects grow to 48 MB before it looks. */
const YOUNG_MB = 4;

/** The worker as text, where the program is one file. */
declare const LAYER_WORKER: string | undefined;

/** Questions may overlap. They throw Odd where something is not as the engine leaves it. */
export class LayerThread implements AsyncDisposable {
  readonly #data: WorkerData;
  #worker: Worker | undefined;
  readonly #listeners = new Map<number, (response: Response | Error) => void>();
  #asked = 0;
  /** Chunks that others have, and those that came back: they travel with the next word. */
  readonly #lent = new WeakSet<ArrayBufferLike>();
  readonly #spare: ArrayBuffer[] = [];
  /** Of a processor, that went into reading. */
  #seconds = 0;

  constructor(data: WorkerData) {
    this.#data = data;
  }

  async find(image: Digest, positions: readonly Position[]): Promise<FoundImage> {
    const response = await this.#answer({ type: 'find', image, positions });
    return (response as Extract<Response, { type: 'found' }>).image;
  }

  async measure(layer: FoundLayer): Promise<number> {
    const response = await this.#answer({ type: 'measure', layer });
    return (response as Extract<Response, { type: 'measured' }>).bytes;
  }

  /** Whether the engine finds nothing but the layer's own files under their names: throws Odd if not. */
  async check(layer: FoundLayer): Promise<void> {
    await this.#answer({ type: 'check', layer });
  }

  /** The layer's tar. What is not taken holds the thread back. Throws Odd in place of its end where it is another. */
  async *read(layer: FoundLayer, signal: AbortSignal): AsyncGenerator<Buffer> {
    const come: (Response | Error)[] = [];
    let news: Deferred<void> = deferred();
    const id = this.#listen((response) => {
      come.push(response);
      news.resolve();
    });
    const wake = () => news.resolve();
    signal.addEventListener('abort', wake, { once: true });
    try {
      this.#tell({ type: 'read', id, layer });
      for (;;) {
        signal.throwIfAborted();
        const response = come.shift();
        if (response === undefined) {
          await news.promise;
          news = deferred();
          continue;
        }
        const answer = wellSaid(response);
        if (answer.type === 'end') this.#seconds = answer.seconds;
        if (answer.type !== 'chunk') return;
        const { buffer, byteOffset, byteLength } = answer.bytes;
        this.#lent.add(buffer);
        yield Buffer.from(buffer, byteOffset, byteLength);
        const spare = this.#spare.pop();
        this.#tell({ type: 'more', id, spare }, spare && [spare]);
      }
    } finally {
      signal.removeEventListener('abort', wake);
      this.#tell({ type: 'stop', id });
      this.#leave(id);
    }
  }

  /** Takes back a chunk of `read` that nobody reads any more: its memory goes away. */
  release({ buffer }: Buffer): void {
    if (this.#lent.delete(buffer)) this.#spare.push(buffer as ArrayBuffer);
  }

  async #answer(
    request: Without<Extract<Request, { type: 'find' | 'measure' | 'check' }>, 'id'>,
  ): Promise<Response> {
    const answered = deferred<Response | Error>();
    const id = this.#listen(answered.resolve);
    try {
      this.#tell({ ...request, id });
      return wellSaid(await answered.promise);
    } finally {
      this.#leave(id);
    }
  }

  #listen(listener: (response: Response | Error) => void): number {
    const id = this.#asked++;
    this.#listeners.set(id, listener);
    this.#worker?.ref();
    return id;
  }

  /** An idle thread does not keep the process running. */
  #leave(id: number): void {
    this.#listeners.delete(id);
    if (this.#listeners.size === 0) this.#worker?.unref();
  }

  #tell(request: Request, moved: readonly ArrayBuffer[] = []): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(request, moved);
  }

  #start(): Worker {
    const worker = newWorker(this.#data);
    worker.on('message', (response: Response) => this.#listeners.get(response.id)?.(response));
    const over = (error: Error) => {
      for (const listener of [...this.#listeners.values()]) listener(error);
    };
    const ended = 'the thread that reads layers has ended';
    worker.on('error', (cause) => over(new ImgmvError('internal', `${ended}: ${cause.message}`, { cause })));
    worker.on('exit', () => over(new ImgmvError('internal', ended)));
    return worker;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#seconds > 0) step('layers', () => `read with ${this.#seconds.toFixed(2)} s of a processor`);
    await this.#worker?.terminate();
  }
}

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never;

function wellSaid(response: Response | Error): Response {
  if (response instanceof Error) throw response;
  if (response.type === 'odd') throw new Odd(response.why, undefined, response);
  if (response.type === 'failed') throw response.error;
  return response;
}

function newWorker(workerData: WorkerData): Worker {
  // Node's own flags and environment are those of whoever runs the program; the thread needs none of them.
  const code = typeof LAYER_WORKER === 'string' ? LAYER_WORKER : fromSources();
  const options = { workerData, env: {}, argv: [], execArgv: [], stdin: false };
  return new Worker(code, { ...options, eval: true, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB } });
}

/** In a checkout nothing is bundled, so the thread loads tsx before the TypeScript. */
function fromSources(): string {
  const worker = JSON.stringify(new URL('layer-worker.ts', import.meta.url).href);
  return `import('tsx/esm/api').then(({ register }) => { register(); return import(${worker}); });`;
}
