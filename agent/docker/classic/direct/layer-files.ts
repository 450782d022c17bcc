/**
 * The layers of an engine as they lie on its disk, read without the engine. All of it is believed only as far as it hashes
 * to what it was asked for.
 */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, readSync } from 'node:fs';
import type { Digest } from '../../../model/image.ts';
import { Beneath } from './beneath.ts';
import type { FoundImage, FoundLayer, Layout, Position } from './layout.ts';
import { Odd } from './odd.ts';
import { type Part, partsOf } from './tar-split.ts';

const CHUNK_BYTES = 256 * 2 ** 10;
const SPARE_CHUNKS_MAX = 16;

/** All calls throw Odd if a file is missing, or is not as the engine would have left it. */
export class LayerFiles implements Disposable {
  readonly #beneath: Beneath;
  /** Memory of chunks that are not read any more. */
  readonly #spare: Buffer[] = [];
  readonly #layout: Layout;

  /** Throws what the system says of `root`, the engine's data. */
  constructor(root: string, layout: Layout) {
    this.#beneath = new Beneath(root);
    this.#layout = layout;
  }

  find(id: Digest, positions: readonly Position[]): FoundImage {
    this.#beneath.forget();
    return this.#layout.find(this.#beneath, id, positions);
  }

  /** Bytes of the layer's tar. */
  async measure(layer: FoundLayer): Promise<number> {
    let bytes = 0;
    for await (const parts of this.#parts(layer))
      for (const part of parts)
        bytes += 'base64' in part ? Buffer.byteLength(part.base64, 'base64') : part.size;
    return bytes;
  }

  /**
   * Sees that the engine, which opens the layer's files by their names and follows links, gets no others. Throws Odd where
   * it may.
   */
  async check(layer: FoundLayer): Promise<void> {
    for await (const parts of this.#parts(layer))
      for (const part of parts) if ('path' in part) this.#beneath.check(layer.files, part.path);
  }

  /** The layer's tar. Throws Odd in place of its end where it is another than its diffID says. */
  async *read(layer: FoundLayer): AsyncGenerator<Buffer> {
    const hash = createHash('sha256');
    const chunk = new Chunk(this.#spare);
    for await (const parts of this.#parts(layer))
      for (const part of parts)
        for (const full of this.#fill(chunk, part, layer)) {
          hash.update(full);
          yield full;
        }
    const last = chunk.rest();
    hash.update(last);
    if (last.length > 0) yield last;
    const came = `sha256:${hash.digest('hex')}`;
    if (came !== layer.diffId) throw new Odd(`hold ${came}, not layer ${layer.diffId}`, layer.files);
  }

  /** Takes back the memory of a chunk that nobody reads any more. */
  reuse(memory: ArrayBuffer): void {
    if (memory.byteLength === CHUNK_BYTES && this.#spare.length < SPARE_CHUNKS_MAX)
      this.#spare.push(Buffer.from(memory));
  }

  #parts({ split }: FoundLayer): AsyncGenerator<readonly Part[]> {
    return partsOf(createReadStream('', { fd: this.#beneath.open(split).fd }), split);
  }

  *#fill(chunk: Chunk, part: Part, { files, split }: FoundLayer): Generator<Buffer> {
    if ('base64' in part) {
      const bytes = Buffer.from(part.base64, 'base64');
      if (bytes.length !== Buffer.byteLength(part.base64, 'base64'))
        throw new Odd('has a segment that is no base64', split);
      return yield* chunk.copy(bytes);
    }
    const path = `${files}/${part.path}`;
    const { fd, size } = this.#beneath.open(path);
    try {
      if (size !== part.size) throw new Odd(`has ${size} bytes, not ${part.size}`, path);
      yield* chunk.readFrom(fd, size, path);
    } finally {
      closeSync(fd);
    }
  }

  [Symbol.dispose](): void {
    this.#beneath[Symbol.dispose]();
  }
}

/** Takes bytes from wherever they are, and gives them in chunks of one size, each in memory of its own. */
class Chunk {
  readonly #spare: Buffer[];
  #bytes: Buffer;
  #used = 0;

  /** Takes memory out of `spare` as long as there is some. */
  constructor(spare: Buffer[]) {
    this.#spare = spare;
    this.#bytes = this.#memory();
  }

  #memory(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }

  *copy(bytes: Buffer): Generator<Buffer> {
    for (let at = 0; at < bytes.length; ) {
      const copied = bytes.copy(this.#bytes, this.#used, at);
      at += copied;
      yield* this.#add(copied);
    }
  }

  *readFrom(fd: number, size: number, path: string): Generator<Buffer> {
    for (let at = 0; at < size; ) {
      const room = Math.min(size - at, CHUNK_BYTES - this.#used);
      const got = readSync(fd, this.#bytes, this.#used, room, at);
      if (got === 0) throw new Odd('was cut while it was read', path);
      at += got;
      yield* this.#add(got);
    }
  }

  rest(): Buffer {
    return this.#bytes.subarray(0, this.#used);
  }

  *#add(bytes: number): Generator<Buffer> {
    this.#used += bytes;
    if (this.#used < CHUNK_BYTES) return;
    const full = this.#bytes;
    this.#bytes = this.#memory();
    this.#used = 0;
    yield full;
  }
}
