/** Bounds of what is read and decompressed. */

/** `zstd --long` makes windows of 128 MiB; those of k3s and RKE2 are of 32 MiB. Each costs its size in memory. */
export const ZSTD_LONG_WINDOW_LOG_MAX = 27;
