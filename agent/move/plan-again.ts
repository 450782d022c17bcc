/** The plan of another try. */
import { toImgmvError } from '../../proto/errors.ts';
import { decided } from '../model/plan.ts';
import { type Planned, refused, type Sink } from '../model/sink.ts';
import type { Passage } from './passage.ts';

/**
 * What a sink that is still away cannot say is no reason to give up the images that it has taken, nor the tries left:
 * those are refused for now, with the error. Throws what no try can mend, and the reason of the signal.
 */
export async function planAgain(
  sink: Sink,
  passages: readonly Passage[],
  signal: AbortSignal,
): Promise<readonly Planned[]> {
  try {
    return (await sink.plan(passages.map(({ image }) => image))).map(decided);
  } catch (thrown) {
    const error = toImgmvError(thrown);
    if (!error.retry || signal.aborted) throw error;
    return passages.map(({ answer: { image, refs } }) => refused({ image, action: 'refuse', refs, error }));
  }
}
