/**
 * Reads what `docker save` gives, as a stream: one blob after the other, whatever the engine. Three shapes are
 * known: 20.10 and older (`<v1id>/layer.tar`, `<id>.json`), 25 and newer (`blobs/sha256/<digest>`), and
 * podman (`<diffid>.tar`). moby image/tarexport/save.go
 */

import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { ImgmvError } from '../../../proto/errors.ts';
import { IMAGE_METADATA_MAX_BYTES, METADATA_MAX_BYTES } from '../../../proto/limits.ts';
import type { Stopwatch } from '../../../proto/stopwatch.ts';
import type { Blob, BlobKind, Digest, Image } from '../../model/image.ts';
import { graphOf } from '../../oci/graph.ts';
import { rootKind, digestOf as sha256Of } from '../../oci/metadata.ts';
import { v1Ids } from '../../oci/v1-id.ts';
import { integrity } from '../../streams/errors.ts';
import { once } from '../../streams/file-bytes.ts';
import { isGzip, isZstd, MAGIC_BYTES } from '../../streams/magic.ts';
import { peek } from '../../streams/peek.ts';
import { readAll } from '../../streams/read-all.ts';

const BLOB = /^blobs\/sha256\/([0-9a-f]{64})$/;
const CONFIG = /^([0-9a-f]{64})\.json$/;
const OLD_LAYER = /^([0-9a-f]{64})(\/layer)?\.tar$/;
/** Go prints the offset of a time zone in minutes; some had seconds, too, in 1970. */
const EPOCH_TOLERANCE_MS = 60_000;
const V1_JSON = /^([0-9a-f]{64})\/json$/;

/**
 * The blobs of `image` in a stream of docker save, layers in the order of the stream, then configs, manifests
 * and indexes, each behind all that it points to. A layer that is not `wanted` (undefined: all are) is passed
 * over if its digest is known before it comes; one whose digest is not known is given without it. Metadata is
 * always given. `waited` counts what the engine takes for it. Reads `stream` until all is there, then destroys it; throws what it fails with.
 */
export async function* blobsOfSave(
  stream: Readable,
  image: Image,
  waited: Stopwatch,
  wanted: ReadonlySet<Digest> | undefined,
): AsyncGenerator<Blob> {
  const entries = extract();
  let failure: unknown;
  const pumped = pipeline(stream, entries).catch((error: unknown) => {
    failure = error;
  });
  const bodyOf = async function* (entry: AsyncIterable<Buffer>) {
    try {
      yield* waited.over(entry);
    } catch (error) {
      // An entry tells that it was cut short, the whole why.
      await pumped;
      throw failure ?? error;
    }
  };
  const metadata = new Map<Digest, Buffer>();
  let metadataBytes = 0;
  const diffIds = new Set<string>(image.diffIds);
  const oldLayers = new OldLayers(image.diffIds);
  // Of a classic store it is known what is to come, and the rest need not be read.
  const due = wanted && image.store === 'classic' ? new Set([...wanted, image.id]) : undefined;
  try {
    for await (const entry of waited.over(entries)) {
      const { name, type, size = 0 } = entry.header;
      const digest = digestOf(name);
      if (type === 'file' && oldLayers.toldBy(name) && size <= METADATA_MAX_BYTES) {
        oldLayers.told(await readMetadataOf(entry));
        continue;
      }
      const layer =
        OLD_LAYER.test(name) || (digest !== undefined && (diffIds.has(digest) || size > METADATA_MAX_BYTES));
      if (type !== 'file' || (!layer && digest === undefined)) {
        entry.resume();
        continue;
      }
      if (layer) {
        const named = OLD_LAYER.test(name) ? oldLayers.digestOf(name) : digest;
        if (named !== undefined && wanted?.has(named) === false) {
          entry.resume();
          continue;
        }
        yield await layerBlob(named, size, bodyOf(entry as AsyncIterable<Buffer>));
        if (named !== undefined) due?.delete(named);
        if (due?.size === 0) break;
        continue;
      }
      // What a small blob is shows when all are there: on a containerd store they come sorted by digest.
      const bytes = await readMetadataOf(entry);
      metadataBytes += bytes.length;
      if (looksLikeJson(bytes) && metadataBytes <= IMAGE_METADATA_MAX_BYTES)
        metadata.set(digest as Digest, bytes);
      else if (looksLikeJson(bytes) || wanted?.has(digest as Digest) !== false)
        yield bufferBlob('layer', digest as Digest, bytes);
      due?.delete(digest as Digest);
      if (due?.size === 0) break;
    }
    if (due?.size !== 0) {
      await pumped;
      if (failure !== undefined) throw failure;
    }
  } catch (error) {
    // An entry, and the tar, tell that they were cut short, the whole why.
    if (!(error instanceof ImgmvError)) {
      stream.destroy();
      await pumped;
    }
    throw failure ?? error;
  } finally {
    stream.destroy();
  }
  yield* metadataOf(image, metadata);
}

function digestOf(name: string): Digest | undefined {
  const hex = BLOB.exec(name)?.[1] ?? CONFIG.exec(name)?.[1];
  return hex === undefined ? undefined : `sha256:${hex}`;
}

/**
 * Which layers those are that are not named by their digest: `<v1id>/layer.tar` of 20.10, `<diffid>.tar` of
 * podman. Says only what is certain, for one image in a stream.
 */
class OldLayers {
  readonly #diffIds: readonly Digest[];
  #v1Ids: ReadonlyMap<string, Digest>;
  #top: string | undefined;

  constructor(diffIds: readonly Digest[]) {
    this.#diffIds = diffIds;
    this.#v1Ids = v1Ids(diffIds);
  }

  /** Whether this entry, a `<v1id>/json`, may tell more. It comes before its `layer.tar`. */
  toldBy(name: string): boolean {
    const v1Id = V1_JSON.exec(name)?.[1];
    return v1Id !== undefined && this.#v1Ids.size > 0 && !this.#v1Ids.has(v1Id);
  }

  /**
   * All layers but the top one were made at the epoch, in the time zone of the daemon, which their ids cover.
   * The top one was made at another time, or has the one below it as its parent. That no other layer is left
   * would tell as much, but too late: they come sorted by their ids, the top one anywhere among them.
   */
  told(json: Buffer): void {
    try {
      const { id, parent, created = '' } = JSON.parse(json.toString('utf8')) as V1Image;
      const atEpoch = Math.abs(Date.parse(created)) <= EPOCH_TOLERANCE_MS;
      if (atEpoch) {
        const inItsZone = v1Ids(this.#diffIds, created);
        if (id !== undefined && inItsZone.has(id)) this.#v1Ids = inItsZone;
      }
      const belowTop = [...this.#v1Ids.keys()].at(-1);
      if (parent === belowTop || (!atEpoch && created !== '')) this.#top = id;
    } catch {
      // It is of no other use: the layer stays unnamed.
    }
  }

  digestOf(name: string): Digest | undefined {
    const [, hex = '', isV1] = OLD_LAYER.exec(name) ?? [];
    if (!isV1) return this.#diffIds.find((diffId) => diffId === `sha256:${hex}`);
    if (hex === this.#top || new Set(this.#diffIds).size === 1) return this.#diffIds.at(-1);
    return this.#v1Ids.get(hex);
  }
}

interface V1Image {
  readonly id?: string;
  readonly parent?: string;
  readonly created?: string;
}

/** What is compressed already is not compressed again. */
async function layerBlob(
  digest: Digest | undefined,
  size: number,
  body: AsyncGenerator<Buffer>,
): Promise<Blob> {
  const { head, whole } = await peek(body, MAGIC_BYTES);
  return {
    kind: 'layer',
    ...(digest && { digest }),
    size,
    compressed: isGzip(head) || isZstd(head),
    body: whole,
  };
}

/** What the graph of the image names; the rest is left out: engines add blobs of their own. */
function* metadataOf(image: Image, given: ReadonlyMap<Digest, Buffer>): Generator<Blob> {
  const kind = rootKind(image);
  // Whether a layer came shows where it went; one that looked like metadata has not gone yet.
  const layers = new Map<Digest, Buffer>();
  const graph = graphOf({ ...image.root, kind }, ({ kind: asked, digest }) => {
    const bytes = given.get(digest);
    if (asked !== 'layer') return bytes;
    if (bytes) layers.set(digest, bytes);
    return [];
  });
  for (const [digest, bytes] of layers)
    if (!graph.metadata.has(digest)) yield bufferBlob('layer', digest, bytes);
  for (const blob of graph.metadata.values()) yield bufferBlob(blob.kind, blob.digest, blob.bytes);
  const lacks = graph.lacks ?? { kind, digest: image.root.digest };
  if (!graph.metadata.has(image.root.digest))
    throw new ImgmvError(
      'engine-refused',
      `docker save gave no ${lacks.kind} ${lacks.digest}: the image is incomplete`,
      { hint: 'pull or build it again on the source' },
    );
}

function bufferBlob(kind: BlobKind, digest: Digest, bytes: Buffer): Blob {
  const found = sha256Of(bytes);
  if (found !== digest) throw integrity(`docker save wrote a blob as ${digest} that is ${found}`);
  return { kind, digest, size: bytes.length, body: once(bytes) };
}

function looksLikeJson(bytes: Buffer): boolean {
  return bytes[0] === 0x7b;
}

const readMetadataOf = (entry: unknown) =>
  readAll(entry as AsyncIterable<Buffer>, METADATA_MAX_BYTES, () =>
    integrity(`docker save wrote more than ${METADATA_MAX_BYTES} bytes of metadata`),
  );
