/** Bounds of what may say which images are meant. */

export const PATTERN_MAX_CHARACTERS = 1_000;
/** A list of images, one a line. */
export const LIST_MAX_BYTES = 1024 * 1024;
