/** The whole of `imgmv receive`: a listener, a code, and for each session a sink that is served to the peer: the engine, or files. */
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { requireZstd } from '../../proto/compression.ts';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import type { Secret } from '../../proto/secret.ts';
import type { WriteStdout } from '../archive/output.ts';
import type { Renaming } from '../choose/rename.ts';
import type { TargetPattern } from '../choose/target-pattern.ts';
import { AcceptingSink } from '../ends/accepting-sink.ts';
import { ConfirmingSink } from '../ends/confirming-sink.ts';
import type { SinkEndpoint } from '../ends/endpoint.ts';
import { helloOf, pairedEvent } from '../ends/host.ts';
import { RenamingSink } from '../ends/renaming-sink.ts';
import { ShownSink } from '../ends/shown-sink.ts';
import { type SinkEnd, sinkEnd } from '../ends/sink-end.ts';
import { type Emit, errorEvent, type PlanImage, warnBy } from '../model/events.ts';
import { planImage } from '../model/plan.ts';
import type { Answer, Sink } from '../model/sink.ts';
import { CodePause } from '../peer/code-pause.ts';
import { type AcceptedSession, Listener } from '../peer/listener.ts';
import { Pairing } from '../peer/pairing.ts';
import { SinkServer } from '../peer/sink-server.ts';
import { pushRules } from '../push/policy.ts';
import { SYSTEM_CLOCK } from '../streams/clock.ts';
import { onAbort } from '../streams/on-abort.ts';

export interface ReceiveOptions {
  readonly destination: SinkEndpoint;
  readonly overwrite: boolean;
  readonly stdout: WriteStdout;
  /** Undefined: all addresses. */
  readonly address: string | undefined;
  readonly port: number;
  readonly once: boolean;
  readonly ttlMs: number;
  readonly maxSessionMs: number;
  readonly noReplace: boolean;
  readonly ignoreSpace: boolean;
  /** Of what the sender wants its images to be called. */
  readonly renaming: Renaming;
  /** The names that a session may set; undefined: all. */
  readonly accept?: readonly TargetPattern[] | undefined;
  /**
   * Asked once a session before anything moves, unless the sender wants only a plan; undefined: nobody is. The signal is
   * aborted when no answer is wanted any more.
   */
  readonly confirm?: ((asked: Asked, signal: AbortSignal) => Promise<boolean>) | undefined;
  /** Whether what was loaded into the engine is pushed on; undefined: never. */
  readonly push?: ReceiverPush | undefined;
  readonly unauthenticatedPerAddress?: number | undefined;
  readonly patienceMs?: number | undefined;
  /** Bytes a second that a session takes off the link at most; undefined: as many as come. */
  readonly limit?: number | undefined;
  /** Shows a fresh code to people; resolves once it is shown. Called before `listening` is told. */
  readonly showCode: (code: Secret, listening: Listening) => Promise<{ codeFile?: string | undefined }>;
  readonly signal: AbortSignal;
  readonly emit: Emit;
}

export interface ReceiverPush {
  readonly when: 'always' | 'if-asked';
  /** Empty: of the names that the rules of `renaming` make, those in registries that they spell out. */
  readonly patterns: readonly TargetPattern[];
}

export interface Asked {
  readonly images: readonly PlanImage[];
  /** As it calls itself, and where it is. */
  readonly peer: { readonly name: string; readonly address: string };
}

export interface Listening {
  readonly address: string;
  readonly port: number;
  readonly expires: Date;
}

/**
 * Exit status: of the one session with `once`; otherwise it runs until `signal` stops it or a code dies
 * unused, which it throws.
 */
export async function receive(options: ReceiveOptions): Promise<number> {
  const { signal, emit } = options;
  requireZstd();
  const { confirm, destination, push: rules, renaming } = options;
  await using end = sinkEnd(destination, {
    ...options,
    pushes: rules !== undefined,
    pushPolicy: (asked) =>
      rules && (asked || rules.when === 'always') ? pushRules(rules.patterns, renaming, asked) : undefined,
  });
  await end.check();
  signal.throwIfAborted();
  const listener = await Listener.listen({
    address: options.address,
    port: options.port,
    role: 'receiver',
    hello: () => helloOf({ ...end.host(), confirms: confirm !== undefined }, hostname()),
    emit,
    patienceMs: options.patienceMs,
    limit: options.limit,
    unauthenticatedPerAddress: options.unauthenticatedPerAddress,
  });
  const pause = new CodePause();
  let pairing: Pairing | undefined;
  try {
    for (;;) {
      pairing = new Pairing(options.ttlMs, SYSTEM_CLOCK, pairing);
      const accepted = await nextSession(listener, pairing, pause, options);
      if (!accepted) continue;
      pause.reset();
      const exit = await serve(accepted, end, options);
      if (options.once) return exit;
      signal.throwIfAborted();
    }
  } finally {
    await listener.close();
  }
}

/** A sink for one session, with what this side wants of names. */
async function openSink(
  end: SinkEnd,
  asked: boolean,
  { accept, emit, renaming }: ReceiveOptions,
): Promise<Sink> {
  const place = await end.open(asked);
  const accepting = accept ? new AcceptingSink(place, accept) : place;
  return renaming.active ? new RenamingSink(accepting, renaming, warnBy(emit)) : accepting;
}

/** Undefined where the code was burnt, or nothing came of its use, and another one is due. */
async function nextSession(
  listener: Listener,
  pairing: Pairing,
  pause: CodePause,
  options: ReceiveOptions,
): Promise<AcceptedSession | undefined> {
  const { emit, once, showCode, signal } = options;
  const accepting = listener.accept(pairing, signal);
  accepting.catch(() => {});
  const { address, port } = listener;
  const { codeFile } = await showCode(pairing.code, { address, port, expires: new Date(pairing.expires) });
  emit({
    event: 'listening',
    address,
    port,
    expires: new Date(pairing.expires).toISOString(),
    ...(codeFile !== undefined && { codeFile }),
  });
  try {
    return await accepting;
  } catch (error) {
    const failure = toImgmvError(error);
    // Only a stop, or a code that nobody wanted, ends a receiver that serves one session after another.
    if (once || signal.aborted || failure.code === 'code-expired') throw failure;
    emit(errorEvent(failure));
    if (failure.code === 'code-burnt') await pauseAfterBurntCode(pause.next(), options);
    return undefined;
  }
}

/**
 * Strangers could have us make one code after the other, each of which costs a scrypt and gives them five guesses.
 * The burnt code stays the one that diallers are told of, and the next is made when the pause is over, not ahead.
 */
async function pauseAfterBurntCode(ms: number, { emit, signal }: ReceiveOptions): Promise<void> {
  emit({ event: 'warning', message: `the next pairing code comes in ${ms / 1000} s` });
  await sleep(ms, undefined, { signal }).catch(() => {});
  signal.throwIfAborted();
}

/** What was well when this side began to listen is no fault of how it was called, nor of the sender. */
function refuseSession(error: unknown): never {
  const { code, message, hint } = toImgmvError(error);
  if (code !== 'usage') throw error;
  throw new ImgmvError('refused', message, { cause: error, hint });
}

async function refusePush(sender: string): Promise<never> {
  const message = `${sender} asks to have the images pushed from here, which is not allowed`;
  throw new ImgmvError('refused', message, { about: 'push-not-allowed' });
}

/** One session. A failure of the whole session is an event and its exit status. */
async function serve(
  { session, peerAddress }: AcceptedSession,
  end: SinkEnd,
  options: ReceiveOptions,
): Promise<number> {
  const { confirm, emit, maxSessionMs, signal } = options;
  using _ = onAbort(signal, () => session.fail(toImgmvError(signal.reason)));
  const tooLong = setTimeout(
    () => session.fail(new ImgmvError('session-too-long', `the session lasted ${maxSessionMs / 1000} s`)),
    maxSessionMs,
  );
  try {
    const paired = pairedEvent(session, peerAddress);
    const { peer } = paired;
    emit(paired);
    await using server = new SinkServer(session);
    const asked = session.peer.push === true;
    if (asked && options.push === undefined) await session.during(refusePush(session.peer.name));
    const planOnly = session.peer.purpose === 'plan';
    const pushes = asked || options.push?.when === 'always';
    const place = await session.during(openSink(end, asked, options).catch(refuseSession));
    const ask = (answers: readonly Answer[], until: AbortSignal) => {
      const images = answers.map((one) => planImage(one, place.facts.store, { layers: false, pushes }));
      return (confirm as NonNullable<typeof confirm>)({ images, peer }, until);
    };
    const shown = session.peer.asks === true ? new ShownSink(place) : undefined;
    const inner = shown ?? place;
    const confirms = confirm !== undefined && (!planOnly || shown !== undefined);
    await using sink = confirms ? new ConfirmingSink(inner, { ask, signal: session.signal }) : inner;
    return (await session.during(server.serve(sink, { emit, planOnly, pushes, shown }))).exit;
  } catch (error) {
    const failure = toImgmvError(error);
    if (signal.aborted) throw failure;
    emit(errorEvent(failure));
    return failure.exit;
  } finally {
    clearTimeout(tooLong);
    await session.closed();
  }
}
