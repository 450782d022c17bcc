/**
 * The layers of a classic engine as they lie on its disk, read without the engine. moby layer/filestore.go and
 * image/fs.go have what lies where; it is the same from 1.10 on. All of it is believed only as far as it hashes to what
 * it was asked for.
 */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, readSync } from 'node:fs';
import type { Digest } from '../../../model/image.ts';
import { Beneath } from './beneath.ts';
import { Odd } from './odd.ts';
import { type Part, partsOf } from './tar-split.ts';

const CONFIG_MAX_BYTES = 4 * 2 ** 20;
const FACT_MAX_BYTES = 256;
const CHUNK_BYTES = 256 * 2 ** 10;
const SPARE_CHUNKS_MAX = 16;
const CACHE_ID = /^[0-9A-Za-z][0-9A-Za-z_-]{0,127}$/;

/** Where each driver has the files of a layer, below the engine's data. */
const FILES: Readonly<Record<string, (cacheId: string) => string>> = {
  overlay2: (cacheId) => `overlay2/${cacheId}/diff`,
  'fuse-overlayfs': (cacheId) => `fuse-overlayfs/${cacheId}/diff`,
  vfs: (cacheId) => `vfs/dir/${cacheId}`,
};

export function isReadable(driver: string): boolean {
  return Object.hasOwn(FILES, driver);
}

export interface Position {
  readonly chainId: Digest;
  readonly diffId: Digest;
}

export interface FoundLayer {
  readonly diffId: Digest;
  /** Where its files are, and where tar-split has the rest of it: below the engine's data. */
  readonly files: string;
  readonly split: string;
  /** Of its files. Its tar is somewhat more: `measure`. */
  readonly bytes: number;
}

export interface FoundImage {
  readonly config: Uint8Array;
  /** Bottom first. */
  readonly layers: readonly FoundLayer[];
}

/** All calls throw Odd if a file is missing, or is not as the engine would have left it. */
export class LayerFiles implements Disposable {
  readonly #beneath: Beneath;
  /** Memory of chunks that are not read any more. */
  readonly #spare: Buffer[] = [];
  readonly #driver: string;

  /** Throws what the system says of `root`, the engine's data. `driver` is one that `isReadable`. */
  constructor(root: string, driver: string) {
    this.#beneath = new Beneath(root);
    this.#driver = driver;
  }

  /** That the config hashes to the image's id shows that this is the engine's data. */
  find(id: Digest, positions: readonly Position[]): FoundImage {
    this.#beneath.forget();
    const path = `image/${this.#driver}/imagedb/content/sha256/${hexOf(id)}`;
    const config = this.#beneath.read(path, CONFIG_MAX_BYTES);
    if (sha256(config) !== id) throw new Odd(`hashes to ${sha256(config)}`, path);
    return { config, layers: positions.map((position) => this.#layer(position)) };
  }

  #layer({ chainId, diffId }: Position): FoundLayer {
    const place = `image/${this.#driver}/layerdb/sha256/${hexOf(chainId)}`;
    const fact = (name: string) => this.#beneath.read(`${place}/${name}`, FACT_MAX_BYTES).toString().trim();
    if (fact('diff') !== diffId) throw new Odd(`is not of layer ${diffId}`, `${place}/diff`);
    const cacheId = fact('cache-id');
    if (!CACHE_ID.test(cacheId)) throw new Odd('has no name of a directory', `${place}/cache-id`);
    const bytes = Number(fact('size'));
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new Odd('has no size', `${place}/size`);
    const split = `${place}/tar-split.json.gz`;
    closeSync(this.#beneath.open(split).fd);
    return { diffId, split, bytes, files: (FILES[this.#driver] as (cacheId: string) => string)(cacheId) };
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

function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

function sha256(bytes: Buffer): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
