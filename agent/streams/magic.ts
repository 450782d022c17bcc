/** How compressed bytes begin. */

/** As many tell them apart. */
export const MAGIC_BYTES = 4;

export function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/** RFC 8878 section 3.1.1: the magic number, little-endian 0xFD2FB528; or a skippable frame, as pzstd puts it ahead. */
export function isZstd(head: Uint8Array): boolean {
  return (
    (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) || isSkippableFrame(head)
  );
}

/** What of a blob tells whether it may be a tar. */
export const TAR_HEAD_BYTES = 512;

/** POSIX.1-2017 pax: the magic in a header; an empty tar is zeros. */
export function isTar(head: Buffer): boolean {
  if (head.length < TAR_HEAD_BYTES) return false;
  return (
    head.toString('latin1', 257, 262) === 'ustar' ||
    head.subarray(0, TAR_HEAD_BYTES).every((byte) => byte === 0)
  );
}

/** RFC 8878 section 3.1.2: a frame of zstd that holds nothing, little-endian 0x184D2A50 to 0x184D2A5F. */
export function isSkippableFrame(head: Uint8Array): boolean {
  return ((head[0] ?? 0) & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18;
}
