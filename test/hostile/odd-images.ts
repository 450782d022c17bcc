/** Images with layers for which an engine may read a file of its host: one that is behind a link of the layer. */
import { gzipSync } from 'node:zlib';
import { digestOf } from '../../agent/oci/metadata.ts';
import { type MemoryBlob, type MemoryImage, testImage } from '../memory.ts';
import { blobOf, descriptor, remade } from './lies.ts';
import { TAR } from './thief.ts';

/** With these layers, as they are, for a classic store. */
export async function imageOf(name: string, tars: readonly Buffer[]): Promise<MemoryImage> {
  const history = tars.map((_, at) => ({ created_by: `thief ${at}` }));
  const layers = tars.map((tar) => blobOf('layer', tar));
  return remade(await testImage({ name, store: 'classic' }), { layers, config: { history } });
}

/** The same from a containerd store, which has its layers compressed or not. `untold`: the offer does not
 * say what it unpacks to; `named`: nor does the config, which calls it by the digest of the blob. */
export async function packedImageOf(
  name: string,
  tars: readonly {
    readonly tar: Buffer;
    readonly plain?: true;
    readonly untold?: true;
    readonly named?: 'blob';
  }[],
): Promise<MemoryImage> {
  const layers = tars.map(({ tar, plain }) => blobOf('layer', plain ? tar : gzipSync(tar)));
  const diffIds = tars.map(({ tar, named }, at) =>
    named === 'blob' ? (layers[at] as MemoryBlob).digest : digestOf(tar),
  );
  const { image, blobs } = remade(await testImage({ name, store: 'containerd' }), {
    layers,
    config: {
      history: tars.map((_, at) => ({ created_by: `thief ${at}` })),
      rootfs: { type: 'layers', diff_ids: diffIds },
    },
    manifest: {
      layers: layers.map((layer, at) => descriptor(tars[at]?.plain ? TAR : `${TAR}+gzip`, layer)),
    },
  });
  const offered = layers.map(({ digest, bytes }, at) => ({
    digest,
    size: bytes.length,
    ...(tars[at]?.untold || tars[at]?.named === 'blob' ? {} : { diffId: diffIds[at] }),
  }));
  const bytes = layers.reduce((sum, layer) => sum + layer.bytes.length, 0);
  return { image: { ...image, diffIds, layers: offered, bytes }, blobs };
}

export const file = (name: string) => ({ name, body: 'bait' });
export const link = (name: string, linkName: string) => ({ name, type: '2', linkName });
