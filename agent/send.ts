/** The whole of `imgmv send`: from an engine, over a session that this side dials, to the other host. */
import { hostname } from 'node:os';
import { toImgmvError } from '../proto/errors.ts';
import type { Secret } from '../proto/secret.ts';
import type { EndpointOptions } from './engine/endpoint.ts';
import { Engine } from './engine/engine.ts';
import { type Choice, EngineSource } from './engine/engine-source.ts';
import type { Emit } from './events.ts';
import { engineEvent, helloOf } from './hello.ts';
import { type Ledger, move } from './move.ts';
import { dialSession } from './peer/dialler.ts';
import { PeerSink } from './peer/peer-sink.ts';

export interface SendOptions {
  readonly choices: readonly Choice[];
  /** ws:// or wss:// */
  readonly url: string;
  readonly engine: EndpointOptions;
  /** Asked once, after all that can be checked here has been, and before dialling. */
  readonly code: () => Promise<Secret>;
  readonly level?: number;
  readonly connectTimeoutMs?: number;
  /** Aborted with an ImgmvError to stop. */
  readonly signal: AbortSignal;
  readonly emit: Emit;
}

/** Throws what ended the run before there was a ledger; what became of each image is in the ledger. */
export async function send(options: SendOptions): Promise<Ledger> {
  const { signal } = options;
  const { host, hostname: target } = new URL(options.url);
  const emit: Emit = (event) => options.emit({ ...event, target });
  const engine = await Engine.connect(options.engine);
  options.emit(engineEvent(engine));
  await using source = new EngineSource(engine, options.choices);
  await source.images();
  const code = await options.code();
  signal.throwIfAborted();
  const { session, openLane } = await dialSession({
    url: options.url,
    code,
    role: 'sender',
    hello: helloOf(engine, hostname()),
    emit,
    signal,
    ...(options.connectTimeoutMs !== undefined && { connectTimeoutMs: options.connectTimeoutMs }),
  });
  const stop = () => session.fail(toImgmvError(signal.reason));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    emit({
      event: 'paired',
      peer: { name: session.peer.name, address: host, key: session.rs.toString('hex') },
      role: 'sender',
    });
    await using sink = new PeerSink({
      session,
      openLane,
      ...(options.level !== undefined && { level: options.level }),
    });
    const moved = move(source, sink, {
      signal: session.signal,
      wireBytes: () => session.wireBytes,
      emit: (event) => {
        emit(event);
        if (event.event === 'progress') sink.report(event);
      },
    });
    return await session.during(moved);
  } finally {
    signal.removeEventListener('abort', stop);
    await session.closed();
  }
}
