import type { Archive } from '../agent/archive/archive.ts';
import { ArchiveSource, allOf, checkImages } from '../agent/archive/archive-source.ts';
import type { Meant } from '../agent/model/catalogue.ts';

/** The images in `meant`, or all images of these archives under the names that they have there, once they are checked. */
export async function checkedSource(
  archives: readonly Archive[],
  signal: AbortSignal,
  meant: readonly Meant[] = allOf(archives),
): Promise<ArchiveSource> {
  const ids = meant.map(({ id }) => id);
  await checkImages(archives, ids, signal);
  return new ArchiveSource(archives, meant);
}
