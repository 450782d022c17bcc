/** A move file and the command line beside it as one move. */
import type { MoveFile } from '../move-file.ts';

/** Keys that say which engine: whoever names one on the command line means no other. */
const ENGINE = ['dockerHost', 'context'] as const;

/**
 * What `flags` say wins, except that lists are added. Neither is changed. What both together would be wrong in, such as
 * one name for two images, is for the caller to refuse.
 */
export function mergeMove(file: MoveFile, flags: MoveFile): MoveFile {
  const merged: Record<string, unknown> = { ...file };
  if (ENGINE.some((key) => flags[key] !== undefined)) for (const key of ENGINE) delete merged[key];
  for (const [key, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    const before = merged[key];
    const lists = Array.isArray(value) && Array.isArray(before);
    // The first rule that fits counts.
    if (lists) merged[key] = key === 'retag' ? [...value, ...before] : [...before, ...value];
    else merged[key] = value;
  }
  return merged as MoveFile;
}
