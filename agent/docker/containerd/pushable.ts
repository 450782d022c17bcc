/**
 * What a push of an image at a containerd store may take along: an index may name anything by its digest, and whatever of
 * that lies in the store, an engine pushes with it.
 */
import { METADATA_MAX_BYTES } from '../../../proto/limits.ts';
import type { Digest, Image } from '../../model/image.ts';
import type { Pushable } from '../../model/sink.ts';
import { sameDigests } from '../../oci/image-parts.ts';
import { type Child, checkTypes, childrenOf, readMetadata } from '../../oci/metadata.ts';
import type { Engine } from '../engine.ts';
import type { PushableOptions } from '../image-store.ts';
import type { ContentStore } from './content.ts';
import { containerdInventory, diffIdsIn } from './inventory.ts';
import { unlessOdd } from './store-graph.ts';

/**
 * Foreign is, of an image that came, what its indexes name and did not come with it, if it is here, may still come, or is
 * an index; of one that was here, also what the offer does not show to be the sender's. An engine that cannot push a
 * single platform, or does not show its blobs, pushes only what came whole.
 */
export async function pushableOf(
  engine: Engine,
  { image, targetId, sent, mayCome }: PushableOptions,
): Promise<Pushable> {
  const content = await engine.content();
  if (!content) return { foreign: sent ? digestsOf(sent.absent) : [targetId] };
  const { foreign, named, absent } = sent
    ? { foreign: [], named: sent.named, absent: sent.absent }
    : await examine(engine, content, image, targetId);
  // What an index says besides is the sender's only if it has named the index.
  const unnamed = !sent && targetId !== image.id && named.length > 0;
  if (absent.length === 0 && !unnamed) return { foreign };
  const found: Digest[] = [...foreign];
  if (unnamed && !engine.info.pushesPlatforms) found.push(targetId);
  for (const { kind, digest } of absent) {
    const harmless = kind === 'manifest' && engine.info.pushesPlatforms && !mayCome(digest);
    if (!harmless || (await content.info(digest))) found.push(digest);
  }
  const matching = named.filter((child) => mayMatch(child, image.platform));
  const [one, ...others] = new Set(digestsOf(matching));
  if (one === undefined) found.push(targetId);
  // What is absent now may have come before the engine looks.
  found.push(...others, ...digestsOf(absent).filter((digest) => digest === one));
  return { foreign: found, platform: image.platform };
}

/** As engines and registries write them; what is written in another way, an engine may still take for one of these. */
const SYSTEMS: ReadonlySet<string> = new Set(['linux', 'windows', 'darwin', 'freebsd', 'unknown']);
const ARCHITECTURES: ReadonlySet<string> = new Set(
  '386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm'.split(' '),
);

/**
 * Whether an engine that is to push `wanted` out of an index may take this child of it. What is wanted was spelled by the
 * sender, too.
 */
function mayMatch({ platform }: Child, wanted: Image['platform']): boolean {
  if (!platform) return true;
  const { os, architecture } = platform;
  if (os === 'unknown' && architecture === 'unknown') return false;
  if (!isUsual(platform) || !isUsual(wanted)) return true;
  return os === wanted.os && architecture === wanted.architecture;
}

function isUsual({ os, architecture }: Pick<Image['platform'], 'os' | 'architecture'>): boolean {
  return SYSTEMS.has(os) && ARCHITECTURES.has(architecture);
}

/** Sorts what the root of an image names that was here before. */
async function examine(
  engine: Engine,
  content: ContentStore,
  image: Image,
  root: Digest,
): Promise<{
  readonly foreign: readonly Digest[];
  readonly named: readonly Child[];
  readonly absent: readonly Child[];
}> {
  const inventory = await containerdInventory(engine, () => engine.list());
  const isNamed = root === image.id;
  const offered = new Set((await inventory.lacking(image, new Set())).here);
  if (await childrenIn(content, root, 'manifest'))
    return {
      foreign: (await isOffered(content, root, image, offered, isNamed)) ? [] : [root],
      named: [],
      absent: [],
    };
  const children = await childrenIn(content, root, 'index');
  if (!children) return { foreign: [root], named: [], absent: [] };
  const foreign: Digest[] = [];
  const absent: Child[] = [];
  for (const child of children) {
    if (child.kind === 'index' || !(await content.info(child.digest))) absent.push(child);
    else if (!(await isOffered(content, child.digest, image, offered, isNamed))) foreign.push(child.digest);
  }
  return { foreign, named: children, absent };
}

/**
 * Whether the sender can have this manifest. Anybody can write one that names a config or a blob of others, and have it
 * carried here as a layer; so its config has to name the layers that it has, and they have to be the sender's: `offered`
 * and layers here, or, of the image's own platform, unpacked here to what the sender has offered. If the root
 * that leads to it was not named by the sender, its config has to be the very one that was offered, too.
 */
async function isOffered(
  content: ContentStore,
  manifest: Digest,
  image: Image,
  offered: ReadonlySet<Digest>,
  isNamed: boolean,
): Promise<boolean> {
  const children = (await childrenIn(content, manifest, 'manifest')) ?? [];
  const config = children.find(({ kind }) => kind === 'config');
  const diffIds = config && (await diffIdsIn(content, config.digest));
  const layers = children.filter(({ kind }) => kind === 'layer');
  if (!diffIds || layers.length === 0 || layers.length !== diffIds.length) return false;
  if (!isNamed && config.digest !== image.config) return false;
  const own = sameDigests(diffIds, image.diffIds);
  for (const [at, { digest }] of layers.entries()) {
    const plain = digest === diffIds[at];
    if (offered.has(digest) && (plain || own)) continue;
    if (plain || !own || (await content.info(digest))?.uncompressed !== diffIds[at]) return false;
  }
  return true;
}

/** Undefined for what is something else, cannot be read, or would be read by an engine in another way. */
function childrenIn(
  content: ContentStore,
  digest: Digest,
  kind: 'manifest' | 'index',
): Promise<readonly Child[] | undefined> {
  const reading = content.readAll(digest, METADATA_MAX_BYTES).then((bytes) => {
    const metadata = readMetadata(bytes, kind);
    checkTypes(metadata);
    return childrenOf(metadata);
  });
  return unlessOdd(reading);
}

function digestsOf(children: readonly Child[]): readonly Digest[] {
  return children.map(({ digest }) => digest);
}
