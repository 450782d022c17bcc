/** Bounds on what an archive may be: nothing of it is believed. Those of images in general are in proto/limits.ts. */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Entries of a tar, directories and links included: a thousand images of sixty layers each in the oldest format. */
export const ENTRIES_MAX = 250_000;
export const ENTRY_NAME_MAX_BYTES = 4 * KIB;
/** Of the names of all files and links of a tar, and of what the links lead to: those are kept in memory. */
export const ENTRY_NAMES_MAX_BYTES = 16 * MIB;
/** PAX records, or a long name, in front of an entry. */
export const EXTENDED_HEADER_MAX_BYTES = 64 * KIB;
/** Bytes of all small JSON files of an archive together, which are kept in memory. */
export const METADATA_IN_MEMORY_MAX_BYTES = 64 * MIB;
/** Of that what is read for all images together: what two images share is read for each of them. */
export const METADATA_READ_MAX_BYTES = 128 * MIB;
/**
 * What is compressed in one archive, and is decompressed, comes to this in all; whoever knows better may say more. How
 * many times its size something becomes is no bound: an honest layer of zeros, such as useradd's lastlog, becomes a
 * thousand times as much of gzip and thirty thousand times of zstd.
 */
export const INFLATED_MAX_BYTES = 1024 * GIB;
/** What may follow behind the end of a tar and is passed over. Writers fill up to a block, which is 10 KiB mostly. */
export const BEHIND_END_MAX_BYTES = 64 * MIB;
/** Links from one layer to another that are followed, one after the other. */
export const LINKS_FOLLOWED_MAX = 4;
export const ARCHIVES_IN_DIRECTORY_MAX = 1_000;
