/** The one walk of an image: from its root down to its layers, whoever holds the blobs. */
import { BLOBS_PER_IMAGE_MAX, IMAGE_METADATA_MAX_BYTES } from '../../proto/limits.ts';
import type { BlobKind, Digest } from '../model/image.ts';
import { integrity } from '../streams/errors.ts';
import { type Child, checkConfig, checkTypes, childrenOf, readMetadata } from './metadata.ts';

/** Indexes inside indexes. */
const INDEX_DEPTH_MAX = 8;

export interface MetadataBlob {
  readonly kind: BlobKind;
  readonly digest: Digest;
  readonly bytes: Buffer;
}

export interface Asked extends Child {
  /** What names it; undefined for the root. An index may name what its owner does not have. */
  readonly from: BlobKind | undefined;
}

/**
 * Bytes of metadata; or, where they need not be read, what the blob points to, which is nothing for a layer. Undefined
 * where it is not there.
 */
export type Answered = Buffer | readonly Child[] | undefined;

export interface WholeManifest {
  readonly digest: Digest;
  readonly config: Child;
  /** Bottom first. */
  readonly layers: readonly Child[];
}

export interface Graph {
  /** Whether the root is there: with all that it names, or, of an index, with some of it. */
  readonly whole: boolean;
  /** Those whose bytes were given: indexes, whole manifests and their configs, each behind what it points to. */
  readonly metadata: ReadonlyMap<Digest, MetadataBlob>;
  readonly manifests: readonly WholeManifest[];
  /** The first blob that a manifest names and that is not there. */
  readonly lacks: Child | undefined;
}

type Walking<T> = Generator<Asked, T, Answered>;

/**
 * Depth first, each blob once. Whoever drives it answers for each blob that it yields, as `graphOf` does. Throws integrity
 * for metadata that is none, that two readers could read differently, or that is too much.
 */
function* walk(root: Child): Walking<Graph> {
  const visited = new Map<string, boolean>();
  const metadata = new Map<Digest, MetadataBlob>();
  const configs = new Map<Digest, Buffer>();
  const manifests: WholeManifest[] = [];
  let lacks: Child | undefined;
  let metadataBytes = 0;

  const keep = (kind: BlobKind, digest: Digest, bytes: Answered) => {
    if (!Buffer.isBuffer(bytes) || metadata.has(digest)) return;
    metadataBytes += bytes.length;
    if (metadataBytes > IMAGE_METADATA_MAX_BYTES || metadata.size >= BLOBS_PER_IMAGE_MAX)
      throw integrity(`the image has more than ${IMAGE_METADATA_MAX_BYTES} bytes of metadata`);
    metadata.set(digest, { kind, digest, bytes });
  };

  function* visit(child: Child, from: BlobKind | undefined, depth: number): Walking<boolean> {
    const key = `${child.kind} ${child.digest}`;
    const before = visited.get(key);
    if (before !== undefined) return before;
    const isHere = yield* enter(child, from, depth);
    visited.set(key, isHere);
    return isHere;
  }

  function* enter(child: Child, from: BlobKind | undefined, depth: number): Walking<boolean> {
    const { kind, digest } = child;
    if (depth > INDEX_DEPTH_MAX && (kind === 'index' || kind === 'manifest'))
      throw integrity(`indexes are nested more than ${INDEX_DEPTH_MAX} deep`);
    const answered = yield { ...child, from };
    if (answered === undefined) return false;
    const children = Buffer.isBuffer(answered) ? childrenIn(kind, answered) : answered;
    const missing: Child[] = [];
    for (const one of children) if (!(yield* visit(one, kind, depth + 1))) missing.push(one);
    if (kind === 'index' || (kind === 'config' && from === undefined)) keep(kind, digest, answered);
    if (kind === 'index') return missing.length < children.length;
    if (kind === 'config' && Buffer.isBuffer(answered)) configs.set(digest, answered);
    if (kind !== 'manifest') return true;
    lacks ??= missing[0];
    const [config, ...layers] = children;
    if (missing.length > 0 || !config) return false;
    keep('config', config.digest, configs.get(config.digest));
    keep('manifest', digest, answered);
    manifests.push({ digest, config, layers });
    return true;
  }

  const whole = yield* visit(root, undefined, 0);
  return { whole, metadata, manifests, lacks };
}

function childrenIn(kind: BlobKind, bytes: Buffer): readonly Child[] {
  if (kind === 'index' || kind === 'manifest') {
    const read = readMetadata(bytes, kind);
    checkTypes(read);
    return childrenOf(read);
  }
  // Engines read it, whether or not it says here what it is.
  if (kind === 'config') checkConfig(bytes);
  return [];
}

export function graphOf(root: Child, answer: (asked: Asked) => Answered): Graph {
  const walking = walk(root);
  let step = walking.next();
  while (!step.done) step = walking.next(answer(step.value));
  return step.value;
}

/** The walk over blobs that have to be fetched. */
export async function fetchGraph(root: Child, answer: (asked: Asked) => Promise<Answered>): Promise<Graph> {
  const walking = walk(root);
  let step = walking.next();
  while (!step.done) step = walking.next(await answer(step.value));
  return step.value;
}
