/** Bounds of what engines, registries and credential helpers are waited for and listened to. */

/**
 * Of an engine that says nothing new of a push: longer than a registry takes to put a large layer together, during
 * which there is nothing to say.
 */
export const PUSH_SILENCE_MS = 5 * 60_000;

/**
 * Of what an engine said, to find that it may pass: a registry may have made it long, and that search takes the square
 * of its length.
 */
export const SAID_MAX_CHARACTERS = 4_096;

/** A helper may have to ask somebody for a password of its own. */
export const HELPER_ANSWER_MS = 60_000;
export const HELPER_ANSWER_MAX_BYTES = 64 * 1024;
