/**
 * Whether a classic engine makes the layers of an image anew as they were. It keeps the files of a layer and not its tar,
 * and when it pushes or saves opens each by its name, as root and by way of any links: behind a link to `/etc` a file of
 * the layer is one of the host. It notices by a checksum, when the bytes have gone. So it is made to save the image first,
 * to nobody.
 */
import { ImgmvError } from '../../../proto/errors.ts';
import { Hasher } from '../../../proto/hasher.ts';
import { Stopwatch } from '../../../proto/stopwatch.ts';
import type { Digest, Image } from '../../model/image.ts';
import type { Engine } from '../engine.ts';
import { blobsOfSave } from './save.ts';

/** An engine writes all of an image to its disk before the first byte; one that opens a pipe for a file waits for ever. */
const SILENCE_MS = 30 * 60_000;

/** `id`: what the image is called there. Gives false, too, where the engine cannot save it. */
export async function reproduces(engine: Engine, id: Digest, image: Image): Promise<boolean> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error('nothing came')), SILENCE_MS);
  try {
    const stream = await engine.save(id, silence.signal);
    const missing = new Set(image.diffIds);
    const saved: Image = { ...image, id, store: 'classic' };
    for await (const { kind, body } of blobsOfSave(stream, saved, new Stopwatch(), undefined)) {
      const hasher = new Hasher();
      for await (const chunk of body) {
        hasher.add(chunk);
        timer.refresh();
      }
      if (kind === 'layer') missing.delete(hasher.digest());
    }
    return missing.size === 0;
  } catch (error) {
    const refused = error instanceof ImgmvError && ['engine-refused', 'integrity'].includes(error.code);
    if (refused || silence.signal.aborted) return false;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
