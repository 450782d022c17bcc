/** The whole of `imgmv send`: from an engine or archives, over a session that this side dials, to the other host. */
import { hostname } from 'node:os';
import { requireZstd } from '../../proto/compression.ts';
import { counted } from '../../proto/counted.ts';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { CONFIRMS, PUSH } from '../../proto/messages.ts';
import type { Secret } from '../../proto/secret.ts';
import { helloOf, pairedEvent } from '../ends/host.ts';
import { type OriginOptions, openOrigin } from '../ends/origin.ts';
import type { Emit } from '../model/events.ts';
import type { Digest, Image } from '../model/image.ts';
import type { Settled } from '../move/ledger.ts';
import { move } from '../move/move.ts';
import type { Progress } from '../move/passage.ts';
import { type DialOptions, dialSession } from '../peer/dialler.ts';
import { PeerSink } from '../peer/peer-sink.ts';
import type { Session } from '../peer/session.ts';
import { requireRoom, whyNotOffered } from '../peer/wire-images.ts';
import { onAbort } from '../streams/on-abort.ts';
import { type Ask, propose } from './proposal.ts';

export interface SendOptions extends OriginOptions {
  /** ws:// or wss:// */
  readonly url: string;
  /**
   * Asked after all that can be checked here has been, and before dialling. Asked again, with the error, if the other
   * host did not take the code (wrong-code) or does not take any for now (try-later): whoever has no other code, or
   * does not wait, throws that error.
   */
  readonly code: (refused?: ImgmvError) => Promise<Secret>;
  readonly level?: number | undefined;
  readonly jobs: number;
  readonly retries: number;
  /** Ends with the plan, and says how long the move would take at the rate of the link; a yes to `ask` goes on. */
  readonly planOnly?: boolean;
  /**
   * Asked once, behind the plan, if any image is not refused: nothing moves without a yes. With `planOnly` the plan has
   * been told by then. The signal is aborted when no answer is wanted any more.
   */
  readonly ask?: Ask | undefined;
  /** The target is to push what it has loaded to where its names say. */
  readonly thenPush?: boolean;
  readonly connectTimeoutMs?: number | undefined;
  readonly patienceMs?: number | undefined;
  /** Bytes a second that go over the link at most; undefined: as many as it takes. */
  readonly limit?: number | undefined;
}

/** Throws what ended the run before there was a ledger; what became of each image is in the ledger. */
export async function send(options: SendOptions): Promise<Settled> {
  const { ask, signal, planOnly = false, thenPush = false } = options;
  requireZstd();
  const { host, hostname: target } = new URL(options.url);
  const emit: Emit = (event) => options.emit({ ...event, target });
  await using origin = await openOrigin(options);
  const { source } = origin;
  requireOfferable((await source.images()).map(({ image }) => image));
  const session = await meet(options, emit, {
    ...helloOf(origin.host, hostname(), {
      purpose: planOnly ? 'plan' : 'move',
      ...(ask && { asks: true }),
      ...(thenPush && { push: true }),
    }),
  });
  using _ = onAbort(signal, () => session.fail(toImgmvError(signal.reason)));
  try {
    emit(pairedEvent(session, host));
    if (thenPush && !session.peer.capabilities.includes(PUSH))
      await session.during(refusePush(session.peer.name));
    await using sink = new PeerSink({
      session,
      planOnly: planOnly || ask !== undefined,
      pushes: thenPush,
      level: options.level,
    });
    const how = {
      pushes: thenPush,
      jobs: options.jobs,
      retries: options.retries,
      lacking: origin.lacking,
      signal: session.signal,
      wireBytes: () => session.wireBytes,
      imageWireBytes: (id: Digest) => sink.wireBytesOf(id),
      limitOf: (whose: 'ownLimit' | 'peerLimit') => sink.limitOf(whose),
      measured: () => sink.measured,
      emit,
      watch: (progress: Progress) => sink.report(progress),
    };
    const run = async (): Promise<Settled> => {
      const plan = (tell: Emit) => move(source, sink, { ...how, emit: tell, planOnly: true });
      const ended = planOnly || ask ? await propose({ planOnly, ask, emit, plan }, sink, session) : undefined;
      if (ended) return ended;
      if (!sink.declined && session.peer.capabilities.includes(CONFIRMS))
        emit({ event: 'confirming', peer: session.peer.name });
      return move(source, sink, how);
    };
    return await session.during(run());
  } finally {
    await session.closed();
  }
}

/** Dials until the other host takes a code, or nobody gives another one. */
async function meet(options: SendOptions, emit: Emit, hello: DialOptions['hello']): Promise<Session> {
  const { url, signal, connectTimeoutMs, patienceMs, limit } = options;
  let refused: ImgmvError | undefined;
  for (;;) {
    const code = await options.code(refused);
    signal.throwIfAborted();
    try {
      return await dialSession({
        url,
        code,
        role: 'sender',
        hello,
        emit,
        signal,
        connectTimeoutMs,
        patienceMs,
        limit,
      });
    } catch (error) {
      refused = toImgmvError(error);
      if (refused.code !== 'wrong-code' && refused.code !== 'try-later') throw refused;
    }
  }
}

/** Those that cannot be are refused one by one, beside others; of nothing there is no session. Throws refused. */
function requireOfferable(images: readonly Image[]): void {
  requireRoom(images);
  const reasons = images.map((image) => whyNotOffered(image));
  const [first] = reasons;
  if (first === undefined || reasons.includes(undefined)) return;
  const more = images.length === 1 ? '' : ` (and so on, of ${counted(images.length, 'image')})`;
  throw new ImgmvError('refused', `the image ${images[0]?.id} cannot be sent: ${first}${more}`);
}

async function refusePush(target: string): Promise<never> {
  const message = `${target} does not push images: nothing was sent`;
  throw new ImgmvError('refused', message, { about: 'push-not-allowed' });
}
