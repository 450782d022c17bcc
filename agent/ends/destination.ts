/** Files that images go to: one archive or layout, or one archive for each image. */
import { resolve } from 'node:path';
import { EachSink, type Format } from '../archive/each-sink.ts';
import { type ArchiveEndpoint, endpointText } from '../archive/endpoint.ts';
import { makeDirectories } from '../archive/made-directories.ts';
import { OciStore } from '../archive/oci-layout/oci-store.ts';
import { openSink, type WriteOptions } from '../archive/open-store.ts';
import type { Sink } from '../model/sink.ts';

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
  await makeDirectories(resolve(each));
  return new EachSink(each, format, options);
}

/**
 * Throws what `openDestination` would, long before anything is written; nothing is there afterwards that was not
 * before, but the directory of `each`. A layout that is there is read only when it is opened.
 */
export async function checkDestination(destination: Destination, overwrite: boolean): Promise<void> {
  if ('into' in destination && destination.into.kind === 'oci')
    if (await OciStore.isThere(destination.into.path)) return;
  const { signal } = new AbortController();
  const options = { overwrite, noReplace: false, ignoreSpace: true, stdout: async () => {}, signal };
  const sink = await openDestination(destination, options);
  await sink[Symbol.asyncDispose]();
}
