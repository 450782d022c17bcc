import type { Digest } from '../model/image.ts';

/** Its 64 digits. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

/** Where an OCI image layout has a blob. OCI image spec 1.1, image-layout.md. */
export function blobPath(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}
