/**
 * A move: source to sink, the same for every pair of ends. It plans, lets images travel one after another
 * while those that have travelled are loaded, tries again what failed, and tells what happens as events; it
 * never prints and knows neither docker nor the network.
 */
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import type { Answer, Outcome, Sink, Source } from '../model/image.ts';
import { planImage, refusal } from '../model/plan.ts';
import type { MoveOptions } from './options.ts';
import { Rounds } from './rounds.ts';

export interface Ledger {
  /** In the order of the plan. */
  readonly outcomes: readonly Outcome[];
  /** Exit status that the run earned. */
  readonly exit: number;
}

/** Moves all that `source` offers. Throws for what ends the whole run; the failure of one image is an outcome. */
export async function move(source: Source, sink: Sink, options: MoveOptions): Promise<Ledger> {
  const { signal, emit, planOnly = false, pushes = false, lacking = false } = options;
  const started = performance.now();
  const images = await source.images();
  const answers = await source.planned(await sink.plan(images));
  emit({
    event: 'plan',
    images: answers.map((answer) => planImage(answer, sink.store, { layers: planOnly, pushes })),
    only: planOnly,
  });
  const rounds = new Rounds(source, sink, options);
  const outcomes = planOnly ? refusals(answers) : await rounds.run(answers);
  const partly = planOnly && outcomes.length > 0 && outcomes.length < answers.length;
  const failed = exitOf(outcomes);
  const earned = partly || (lacking && failed === 0) ? new ImgmvError('partial', '').exit : failed;
  const exit = signal.aborted ? toImgmvError(signal.reason).exit : earned;
  emit({
    event: 'done',
    images: answers.length,
    failed: outcomes.filter((outcome) => outcome.error !== undefined).length,
    bytes: rounds.bytes,
    wireBytes: options.wireBytes(),
    seconds: Math.round(performance.now() - started) / 1000,
    exit,
  });
  return { outcomes, exit };
}

function refusals(answers: readonly Answer[]): readonly Outcome[] {
  return answers
    .filter(({ action }) => action === 'refuse')
    .map((answer): Outcome => ({ ...answer, status: 'refused', error: refusal(answer) }));
}

/** When all fail alike that code, 17 when they differ, or when what is there could not be pushed. */
export function exitOf(outcomes: readonly Outcome[]): number {
  if (outcomes.some(({ pushed }) => pushed?.some(({ error }) => error !== undefined)))
    return new ImgmvError('push-failed', '').exit;
  const exits = new Set(outcomes.map((outcome) => outcome.error?.exit ?? 0));
  return exits.size > 1 ? new ImgmvError('partial', '').exit : ([...exits][0] ?? 0);
}
