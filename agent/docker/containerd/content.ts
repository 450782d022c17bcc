/**
 * What a containerd store holds, blob for blob, read through the engine's API with no socket of containerd's.
 * Behind `POST /grpc` an engine serves its BuildKit (moby builder/builder-next), whose control.Controller
 * registers (`Register`) a read-only containerd.services.content.v1.Content on the store that it builds into;
 * with the containerd image store that is the store of the images. The engine chooses the namespace.
 * Messages: containerd api/services/content/v1/content.proto.
 */

import { ImgmvError } from '../../../proto/errors.ts';
import type { Digest } from '../../model/image.ts';
import { integrity } from '../../streams/errors.ts';
import { GrpcConnection, type GrpcEngine, GrpcStatus, NOT_FOUND } from './grpc.ts';
import { DELIMITED, encodeString, type Field, fieldsOf, readVarint, VARINT } from './protobuf.ts';

const SERVICE = '/containerd.services.content.v1.Content';
const OPEN_TIMEOUT_MS = 5_000;
const SILENCE_MS = 15_000;
/** Far more than any store holds; keeps an engine that never ends its list from filling the memory. */
const LIST_MAX_BLOBS = 1_000_000;
/** Field 1 with an offset and field 2 with a length, each a byte of tag and a varint of at most ten. */
const READ_HEAD_MAX_BYTES = 22;
const NOBODYS: Digest = `sha256:${'0'.repeat(64)}`;
const UNCOMPRESSED_LABEL = 'containerd.io/uncompressed';

export interface ContentInfo {
  readonly digest: Digest;
  readonly size: number;
  /** diffID of a compressed layer that the engine has unpacked. */
  readonly uncompressed?: Digest;
}

/**
 * The blobs of one engine, over a connection of its own that whoever opened it closes; while idle it does not
 * hold the process, and where it broke the next call has a new one. Calls may overlap. They throw
 * engine-unavailable where the engine is lost, or is silent for 15 s (but for reading, where the disk may be
 * slow), and engine-refused where it fails or answers what is none.
 */
export class ContentStore {
  readonly #engine: GrpcEngine;
  #connection: GrpcConnection;
  #opening: Promise<GrpcConnection> | undefined;
  #closed = false;

  private constructor(engine: GrpcEngine, connection: GrpcConnection) {
    this.#engine = engine;
    this.#connection = connection;
  }

  /**
   * Undefined where the engine has no such service that answers within 5 s: older ones, podman, a proxy that
   * does not upgrade, a refusal of any kind. Callers go without. Only for engines with a containerd store: a
   * classic one may answer too, and shows BuildKit's own store, in which there are no images.
   */
  static async open(engine: GrpcEngine): Promise<ContentStore | undefined> {
    const signal = AbortSignal.timeout(OPEN_TIMEOUT_MS);
    const connection = await GrpcConnection.open(engine, signal);
    if (connection === undefined) return undefined;
    const store = new ContentStore(engine, connection);
    try {
      // Whether it upgrades says nothing of the service; that nobody's blob is not there does.
      if ((await store.#info(NOBODYS, signal)) === undefined) return store;
    } catch {
      // Whatever it is, there is no service to be used.
    }
    connection.close();
    return undefined;
  }

  /** Undefined where the store has no such blob. */
  info(digest: Digest): Promise<ContentInfo | undefined> {
    return this.#info(digest);
  }

  /**
   * All blobs, in no order; those whose digest is no sha256 are left out. The engine's garbage collector may
   * take what belongs to no image at any time: what is listed need not be there any more when it is read.
   */
  async list(): Promise<readonly ContentInfo[]> {
    const what = 'list blobs';
    const blobs: ContentInfo[] = [];
    const options = { what, silenceMs: SILENCE_MS };
    const connection = await this.#connected(what);
    for await (const message of connection.call(`${SERVICE}/List`, Buffer.alloc(0), options)) {
      for (const field of decode(what, await message.all())) {
        if (field.number !== 1) continue;
        const info = decodeInfo(what, bytesOf(what, field));
        if (info !== undefined) blobs.push(info);
      }
      if (blobs.length > LIST_MAX_BLOBS) throw malformed(what, `more than ${LIST_MAX_BLOBS} blobs`);
    }
    return blobs;
  }

  /**
   * The bytes of a blob, in order, as they come; what is not taken holds the engine back (4 MiB may be on
   * their way). Leaving early, or `signal`, ends the reading at the engine. Nothing is hashed: whoever takes
   * the bytes compares them with the digest. Throws image-not-found where there is no such blob, integrity
   * where a piece is missing, and the reason of `signal`.
   */
  async *read(digest: Digest, signal?: AbortSignal): AsyncGenerator<Buffer> {
    const what = `read blob ${digest}`;
    let position = 0;
    try {
      const request = encodeString(1, digest);
      const connection = await this.#connected(what);
      for await (const message of connection.call(`${SERVICE}/Read`, request, { what, signal })) {
        const head = await message.peek(READ_HEAD_MAX_BYTES);
        const { offset, dataAt } = decodeReadHead(what, head, message.bytes);
        if (offset !== position)
          throw integrity(`${what}: got bytes at ${offset}, want those at ${position}`);
        yield* message.body(dataAt);
        position += message.bytes - dataAt;
      }
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw new ImgmvError('image-not-found', `the engine no longer has the blob ${digest}`, {
        cause: error,
      });
    }
  }

  /** The first bytes of a blob, at most so many. Throws as `read`. */
  async readHead(digest: Digest, bytes: number): Promise<Buffer> {
    let head = Buffer.alloc(0);
    for await (const piece of this.read(digest)) {
      head = Buffer.concat([head, piece.subarray(0, bytes - head.length)]);
      if (head.length === bytes) break;
    }
    return head;
  }

  /** A whole blob, for metadata. Throws as `read`, and integrity where it has more than `maxBytes`. */
  async readAll(digest: Digest, maxBytes: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let bytes = 0;
    for await (const piece of this.read(digest)) {
      bytes += piece.length;
      if (bytes > maxBytes) throw integrity(`the metadata blob ${digest} has more than ${maxBytes} bytes`);
      pieces.push(piece);
    }
    return Buffer.concat(pieces, bytes);
  }

  /** Calls that are under way fail, and so do later ones. May be called twice. */
  close(): void {
    this.#closed = true;
    this.#connection.close();
  }

  /** An engine that was started again has forgotten the connection. */
  async #connected(what: string): Promise<GrpcConnection> {
    if (this.#closed || !this.#connection.broken) return this.#connection;
    this.#opening ??= this.#reopen(what).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #reopen(what: string): Promise<GrpcConnection> {
    const connection = await GrpcConnection.open(this.#engine, AbortSignal.timeout(OPEN_TIMEOUT_MS));
    if (!connection) throw this.#engine.lost(what, new Error('it no longer shows its blobs'));
    if (this.#closed) connection.close();
    this.#connection = connection;
    return connection;
  }

  async #info(digest: Digest, signal?: AbortSignal): Promise<ContentInfo | undefined> {
    const what = `look for blob ${digest}`;
    const options = { what, silenceMs: SILENCE_MS, signal };
    let info: ContentInfo | undefined;
    try {
      const request = encodeString(1, digest);
      const connection = await this.#connected(what);
      for await (const message of connection.call(`${SERVICE}/Info`, request, options)) {
        if (info !== undefined) throw malformed(what, 'more than one answer');
        for (const field of decode(what, await message.all()))
          if (field.number === 1) info = decodeInfo(what, bytesOf(what, field));
        if (info?.digest !== digest) throw malformed(what, `it is of ${info?.digest ?? 'nothing'}`);
      }
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
    // Success without a message is none.
    if (info === undefined) throw malformed(what, 'it is empty');
    return info;
  }
}

/** `Info`; undefined for a digest that we have no use for. */
function decodeInfo(what: string, bytes: Buffer): ContentInfo | undefined {
  let digest = '';
  let size = 0;
  let uncompressed: string | undefined;
  for (const field of decode(what, bytes)) {
    if (field.number === 1) digest = bytesOf(what, field).toString();
    if (field.number === 2) size = numberOf(what, field);
    if (field.number === 5) {
      const [key, value] = decodeLabel(what, bytesOf(what, field));
      if (key === UNCOMPRESSED_LABEL) uncompressed = value;
    }
  }
  if (!isDigest(digest)) return undefined;
  // Anybody may set a label: one that is no digest says nothing.
  return { digest, size, ...(uncompressed !== undefined && isDigest(uncompressed) && { uncompressed }) };
}

function decodeLabel(what: string, bytes: Buffer): readonly [key: string, value: string] {
  let key = '';
  let value = '';
  for (const field of decode(what, bytes)) {
    if (field.number === 1) key = bytesOf(what, field).toString();
    if (field.number === 2) value = bytesOf(what, field).toString();
  }
  return [key, value];
}

/**
 * Of a `ReadContentResponse` all but the data, which can so be passed on while it comes: Go writes fields in
 * the order of their numbers, so the data is last and the rest of the message. A field of 0 is left out.
 */
function decodeReadHead(
  what: string,
  head: Buffer,
  messageBytes: number,
): { readonly offset: number; readonly dataAt: number } {
  let offset = 0;
  let at = 0;
  if (head[at] === tagOf(1, VARINT)) {
    const read = readVarint(head, at + 1);
    if (read === undefined) throw malformed(what, 'it has a broken offset');
    ({ value: offset, end: at } = read);
  }
  if (at === messageBytes) return { offset, dataAt: at };
  const length = head[at] === tagOf(2, DELIMITED) ? readVarint(head, at + 1) : undefined;
  if (length === undefined || length.end + length.value !== messageBytes)
    throw malformed(what, 'a message lacks an offset or data');
  return { offset, dataAt: length.end };
}

function tagOf(number: number, wireType: number): number {
  return (number << 3) | wireType;
}

function decode(what: string, bytes: Buffer): readonly Field[] {
  const fields = fieldsOf(bytes);
  if (fields === undefined) throw malformed(what, 'it is not protobuf');
  return fields;
}

function bytesOf(what: string, { number, wireType, value }: Field): Buffer {
  if (wireType !== DELIMITED || typeof value === 'number')
    throw malformed(what, `field ${number} is a number`);
  return value;
}

function numberOf(what: string, { number, value }: Field): number {
  if (typeof value !== 'number') throw malformed(what, `field ${number} is not a number`);
  if (!Number.isSafeInteger(value)) throw malformed(what, `field ${number} is out of bounds`);
  return value;
}

function isDigest(text: string): text is Digest {
  return /^sha256:[0-9a-f]{64}$/.test(text);
}

function isNotFound(error: unknown): boolean {
  const cause = error instanceof ImgmvError ? error.cause : undefined;
  return cause instanceof GrpcStatus && cause.status === NOT_FOUND;
}

function malformed(what: string, why: string): ImgmvError {
  return new ImgmvError('engine-refused', `cannot ${what}: the docker engine’s answer is malformed: ${why}`);
}
