/** The whole of `imgmv copy`: images from places of this host to one of them, with nobody else. */
import { DECISION_WAIT_MS } from '../../proto/limits.ts';
import type { WriteStdout } from '../archive/output.ts';
import { ConfirmingSink } from '../ends/confirming-sink.ts';
import type { SinkEndpoint } from '../ends/endpoint.ts';
import { type OriginOptions, openOrigin } from '../ends/origin.ts';
import { sinkEnd } from '../ends/sink-end.ts';
import type { PlanImage } from '../model/events.ts';
import { planImage } from '../model/plan.ts';
import type { Answer, Sink } from '../model/sink.ts';
import type { Settled } from '../move/ledger.ts';
import { move } from '../move/move.ts';
import { EVERY_NAME } from '../push/policy.ts';

export interface CopyImagesOptions extends OriginOptions {
  readonly destination: SinkEndpoint;
  readonly jobs: number;
  readonly retries: number;
  /** Ends with the plan. */
  readonly planOnly?: boolean;
  readonly noReplace: boolean;
  readonly overwrite: boolean;
  /** Push what was loaded into the engine to where its names say. */
  readonly push: boolean;
  readonly stdout: WriteStdout;
  /** Asked once before anything is copied; undefined: nobody is. The signal is aborted when no answer is wanted any more. */
  readonly confirm?: ((images: readonly PlanImage[], signal: AbortSignal) => Promise<boolean>) | undefined;
}

/** Throws what ended the run before there was a ledger; what became of each image is in the ledger. */
export async function copyImages(options: CopyImagesOptions): Promise<Settled> {
  const { destination, emit, jobs, push, retries, signal } = options;
  const pushPolicy = (asked: boolean) => (asked ? EVERY_NAME : undefined);
  await using end = sinkEnd(destination, { ...options, pushPolicy, pushes: push });
  // A file that cannot be made is known at once; no archive that is not good gets near an engine.
  await using files = destination.kind === 'docker-daemon' ? undefined : await end.open(push);
  await using origin = await openOrigin(options);
  await using engine = files ? undefined : await end.open(push);
  const { lacking, source } = origin;
  const sink = confirmed((files ?? engine) as Sink, options);
  const { planOnly = false } = options;
  const how = { planOnly, signal, emit, jobs, retries, lacking, wireBytes: () => 0, pushes: push };
  return await move(source, sink, how);
}

function confirmed(sink: Sink, { confirm, push, signal }: CopyImagesOptions): Sink {
  if (!confirm) return sink;
  const details = { layers: true, pushes: push };
  const ask = (answers: readonly Answer[], until: AbortSignal) =>
    confirm(
      answers.map((one) => planImage(one, sink.facts.store, details)),
      until,
    );
  return new ConfirmingSink(sink, { ask, signal, waitMs: DECISION_WAIT_MS });
}
