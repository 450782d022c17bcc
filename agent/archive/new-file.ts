import { open, rm } from 'node:fs/promises';
import { FILE_MODE } from './folder.ts';
import { noRoomFor } from './spool.ts';

/**
 * Writes a new file at `at`, or leaves none there; people know it as `name` under `path`. Throws as `noRoomFor` has it,
 * or what `body` throws.
 */
export async function writeNewFile(
  at: string,
  body: AsyncIterable<Buffer>,
  { name, path }: { readonly name: string; readonly path: string },
): Promise<void> {
  let bytes = 0;
  try {
    await using file = await open(at, 'wx', FILE_MODE);
    for await (const chunk of body) {
      await file.appendFile(chunk).catch((cause: unknown) => {
        throw noRoomFor(name, path, bytes, cause, 'make room, or name another disk');
      });
      bytes += chunk.length;
    }
    await file.sync();
  } catch (error) {
    await rm(at, { force: true });
    throw error;
  }
}
