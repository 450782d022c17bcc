/** Which image a name belongs to, right before the engine pushes what has it. */
import type { Engine } from './engine.ts';

/** An engine says what had the name when it began to look; it takes seconds where an index names hundreds of manifests. */
export const LOOK_MAX_MS = 1_000;
const LOOKS_MAX = 5;

/**
 * Whether `name` is the image's, as the engine has said in a look of less than LOOK_MAX_MS. `slow`: it took longer each
 * time, and somebody may have moved the name meanwhile. `now` in milliseconds.
 */
export async function lookAtName(
  engine: Pick<Engine, 'inspect'>,
  name: string,
  id: string,
  now: () => number = () => performance.now(),
): Promise<'ours' | 'moved' | 'slow'> {
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const startedAt = now();
    if ((await engine.inspect(name))?.Id !== id) return 'moved';
    if (now() - startedAt < LOOK_MAX_MS) return 'ours';
  }
  return 'slow';
}
