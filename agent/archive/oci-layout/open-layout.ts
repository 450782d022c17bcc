import type { Contents } from '../contents.ts';
import { DirectoryContents } from '../directory-contents.ts';
import { INDEX, LAYOUT } from './oci-images.ts';

/** The files of an OCI layout on disk. */
export function openOciLayout(path: string, signal: AbortSignal): Promise<Contents> {
  const wanted = (name: string) =>
    name === LAYOUT || name === INDEX || /^blobs\/sha256\/[0-9a-f]{64}$/.test(name);
  return DirectoryContents.open(path, ['', 'blobs/sha256'], wanted, signal);
}
