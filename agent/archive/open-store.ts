/** Where archives are written, as it is named on the command line. */
import type { Compression } from '../streams/compression.ts';
import { usage } from '../streams/errors.ts';
import { BlobSink, type BlobSinkOptions } from './blob-sink.ts';
import type { BlobStore } from './blob-store.ts';
import { DirStore } from './dir/dir-store.ts';
import type { ArchiveEndpoint } from './endpoint.ts';
import { OciStore } from './oci-layout/oci-store.ts';
import { FileOutput, StreamOutput, type WriteStdout } from './output.ts';
import { TarStore } from './tar/tar-store.ts';

export interface WriteOptions extends BlobSinkOptions {
  /** Replace what is there. */
  readonly overwrite: boolean;
  readonly stdout: WriteStdout;
  readonly signal: AbortSignal;
}

/** Throws usage for what cannot be written. Nothing is under the name yet, and nothing will be until an image is whole. */
export async function openSink(endpoint: ArchiveEndpoint, options: WriteOptions): Promise<BlobSink> {
  return new BlobSink(await openStore(endpoint, options), options);
}

async function openStore({ kind, path }: ArchiveEndpoint, options: WriteOptions): Promise<BlobStore> {
  const { overwrite, signal, stdout } = options;
  switch (kind) {
    case 'oci':
      return OciStore.open(path, signal);
    case 'dir':
      return DirStore.create(path, overwrite);
    case 'docker-archive':
    case 'oci-archive': {
      if (path === '-') return new TarStore(new StreamOutput(stdout, signal), kind, 'none');
      const compression = compressionByEnding(path);
      return new TarStore(await FileOutput.create(path, overwrite), kind, compression);
    }
    default:
      return kind satisfies never;
  }
}

export function compressionByEnding(path: string): Compression {
  if (/\.(gz|tgz)$/.test(path)) return 'gzip';
  if (/\.(zst|zstd|tzst)$/.test(path)) return 'zstd';
  const other = /\.(bz2|xz|lz4|br|zip|7z)$/.exec(path)?.[1];
  if (other !== undefined)
    throw usage(`cannot write ${path}: imgmv makes no .${other}`, {
      hint: 'it writes .tar, .tar.gz and .tar.zst',
    });
  return 'none';
}
