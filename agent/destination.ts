/** Files that images go to: one archive or layout, or one archive for each image. */
import { mkdir } from 'node:fs/promises';
import { ImgmvError } from '../proto/errors.ts';
import { EachSink, type Format } from './archive/each-sink.ts';
import { type ArchiveEndpoint, endpointText } from './archive/endpoint.ts';
import { openSink, type WriteOptions } from './archive/open-store.ts';
import { requireFree } from './archive/output.ts';
import type { Sink } from './image.ts';

export type Destination =
  | { readonly into: ArchiveEndpoint }
  | { readonly each: string; readonly format: Format };

/** As it was named. */
export function destinationText(destination: Destination): string {
  return 'into' in destination ? endpointText(destination.into) : destination.each;
}

/** Throws usage for what cannot be written. */
export async function openDestination(destination: Destination, options: WriteOptions): Promise<Sink> {
  if ('into' in destination) return openSink(destination.into, options);
  const { each, format } = destination;
  try {
    await mkdir(each, { recursive: true });
  } catch (cause) {
    throw new ImgmvError('usage', `cannot make ${each}: ${(cause as Error).message}`, { cause });
  }
  return new EachSink(each, format, options);
}

/** Throws usage for a file that exists and is not to be replaced, long before it would be written. */
export async function checkDestination(destination: Destination, overwrite: boolean): Promise<void> {
  if (!('into' in destination)) return;
  const { kind, path } = destination.into;
  if (path !== '-' && (kind === 'docker-archive' || kind === 'oci-archive'))
    await requireFree(path, overwrite);
}
