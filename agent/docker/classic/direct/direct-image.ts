/** An image of a classic engine, read layer by layer where it lies; what cannot be, by `docker save`. */
import { BlobGivenUp } from '../../../../proto/entry.ts';
import type { Blob, Digest, LayerBlob, ReadBy } from '../../../model/image.ts';
import { integrity } from '../../../streams/errors.ts';
import { once } from '../../../streams/file-bytes.ts';
import type { Readable, Save } from '../../image-store.ts';
import type { LayerThread } from './layer-thread.ts';
import type { FoundImage, FoundLayer } from './layout.ts';
import { Odd } from './odd.ts';

export class DirectImage implements Readable {
  /** Each once, bottom first. */
  readonly layers: readonly LayerBlob[];
  readonly #thread: LayerThread;
  readonly #config: Buffer;
  readonly #id: Digest;
  readonly #found: ReadonlyMap<Digest, FoundLayer>;
  /** Layers that turned out not to be readable, and why. */
  readonly #odd = new Map<Digest, Odd>();

  constructor(thread: LayerThread, id: Digest, { config, layers }: FoundImage) {
    this.#thread = thread;
    this.#id = id;
    this.#config = Buffer.from(config.buffer, config.byteOffset, config.byteLength);
    this.#found = new Map(layers.map((layer) => [layer.diffId, layer]));
    this.layers = [...this.#found.values()].map(({ diffId, bytes }) => ({ digest: diffId, size: bytes }));
  }

  get readBy(): ReadBy {
    const [[, odd] = []] = this.#odd;
    return odd ? { way: 'save', why: odd.message } : { way: 'store' };
  }

  async *blobs(wanted: readonly Digest[] | undefined, signal: AbortSignal, save: Save): AsyncGenerator<Blob> {
    const chosen = wanted && new Set(wanted);
    const layers = [...this.#found.values()].filter(({ diffId }) => chosen?.has(diffId) !== false);
    for (const layer of layers) {
      const blob = await this.#blobOf(layer, signal);
      if (blob) yield blob;
    }
    const left = layers.map(({ diffId }) => diffId).filter((diffId) => this.#odd.has(diffId));
    if (left.length > 0) return yield* save(left, signal);
    yield { kind: 'config', digest: this.#id, size: this.#config.length, body: once(this.#config) };
  }

  async #blobOf(layer: FoundLayer, signal: AbortSignal): Promise<Blob | undefined> {
    const { diffId } = layer;
    if (this.#odd.has(diffId)) return undefined;
    try {
      const size = await this.#thread.measure(layer);
      const verified = () => diffId;
      const release = (chunk: Buffer) => this.#thread.release(chunk);
      return { kind: 'layer', digest: diffId, size, body: this.#read(layer, signal), release, verified };
    } catch (error) {
      this.#give(diffId, error);
      return undefined;
    }
  }

  async *#read(layer: FoundLayer, signal: AbortSignal): AsyncGenerator<Buffer> {
    try {
      yield* this.#thread.read(layer, signal);
    } catch (error) {
      const odd = this.#give(layer.diffId, error);
      throw new BlobGivenUp(`layer ${layer.diffId} cannot be read where it lies: ${odd.message}`, {
        cause: odd,
      });
    }
  }

  #give(diffId: Digest, error: unknown): Odd {
    if (!(error instanceof Odd)) throw error;
    if (error.hopeless)
      throw integrity(`layer ${diffId} cannot be read, and not saved by docker either: ${error.message}`);
    this.#odd.set(diffId, error);
    return error;
  }
}
