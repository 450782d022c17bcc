/** The plan of a send, and whether somebody at this host wants it carried out. */
import { DECISION_WAIT_MS } from '../../proto/limits.ts';
import { askInTime, NOT_CONFIRMED } from '../ends/ask-in-time.ts';
import type { Emit, Event, EventOf, PlanImage } from '../model/events.ts';
import type { Settled } from '../move/ledger.ts';
import type { PeerSink } from '../peer/peer-sink.ts';
import type { Session } from '../peer/session.ts';

/** What somebody is asked about. */
export interface Proposal {
  readonly images: readonly PlanImage[];
  /** The other host, as it calls itself. */
  readonly peer: string;
  /** Bytes to send before compression, and how long they take at the rate of the link. */
  readonly estimate: EventOf<'estimate'>;
}

/** Whether the plan is to be carried out. The signal is aborted when no answer is wanted any more. */
export type Ask = (proposal: Proposal, signal: AbortSignal) => Promise<boolean>;

interface ProposeOptions {
  /** The plan is what was asked for, and told whatever the answer is. */
  readonly planOnly: boolean;
  readonly ask: Ask | undefined;
  readonly emit: Emit;
  /** A run of the plan, which tells its events to `tell`. */
  readonly plan: (tell: Emit) => Promise<Settled>;
}

/**
 * Undefined if a move follows. After a no, `sink` refuses all images of that move. Otherwise the run has ended.
 */
export async function propose(
  { planOnly, ask, emit, plan }: ProposeOptions,
  sink: Pick<PeerSink, 'link' | 'proceed' | 'decline'>,
  session: { readonly signal: AbortSignal; readonly peer: Pick<Session['peer'], 'name'> },
): Promise<Settled | undefined> {
  let images: readonly PlanImage[] = [];
  /** Told only if the run ends with the plan. */
  let done: Event | undefined;
  const settled = await plan((event) => {
    if (event.event === 'plan') images = event.images;
    if (event.event === 'done') done = event;
    else if (planOnly) emit(event);
  });
  const estimate = estimateOf(images, sink.link);
  if (planOnly) emit(estimate);
  const end = () => {
    if (done) emit(done);
    return settled;
  };
  if (ask && images.some(changesAnything)) {
    const proposal = { images, peer: session.peer.name, estimate };
    const patience = { signal: session.signal, waitMs: DECISION_WAIT_MS };
    const refusal = await askInTime((until) => ask(proposal, until), patience);
    if (refusal !== undefined && planOnly) {
      if (refusal !== NOT_CONFIRMED) emit({ event: 'warning', message: `${refusal}: nothing was sent` });
      return end();
    }
    if (refusal !== undefined) await sink.decline(refusal);
    else await sink.proceed();
    return undefined;
  }
  if (planOnly) return end();
  await sink.proceed();
  return undefined;
}

/** An image that is there, and gets no name, stays as it is. */
function changesAnything({ action, refs }: PlanImage): boolean {
  return action === 'send' || (action === 'present' && refs.length > 0);
}

function estimateOf(images: readonly PlanImage[], link: PeerSink['link']): EventOf<'estimate'> {
  const { rate, wireBytes } = link ?? { rate: 0, wireBytes: 0 };
  const bytes = images.reduce((sum, { bytesMissing }) => sum + bytesMissing, 0);
  const seconds = rate === 0 ? 0 : Math.round((bytes * 10) / rate) / 10;
  return { event: 'estimate', rate: Math.round(rate), bytes, seconds, wireBytes };
}
