/** The side that dials: pairs by code, and connects the lanes of the session as it is asked to. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Channel,
  type DiallerOptions,
  dialChannel,
  emptyBytes16,
  type Preamble,
  type Role,
} from '../../proto/channel.ts';
import { deriveKey } from '../../proto/code.ts';
import { brokenOff } from '../../proto/dial-error.ts';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { CONNECT_TIMEOUT_MS, CROWDED_OUT_MS, CROWDED_OUT_PAUSE_MS, GIVE_UP_MS } from '../../proto/limits.ts';
import type { Hello } from '../../proto/messages.ts';
import { generateKeyPair } from '../../proto/noise.ts';
import type { Secret } from '../../proto/secret.ts';
import { step } from '../../proto/steps.ts';
import { dial } from '../../proto/websocket.ts';
import type { Emit } from '../model/events.ts';
import { onAbort } from '../streams/on-abort.ts';
import { Session } from './session.ts';

export interface DialOptions {
  /** ws:// or wss:// */
  readonly url: string;
  readonly code: Secret;
  readonly role: Role;
  readonly hello: Omit<Hello, 'type' | 'role'>;
  readonly emit: Emit;
  readonly connectTimeoutMs?: number | undefined;
  /** How long to try to get a lost connection back. */
  readonly patienceMs?: number | undefined;
  /** Of the session, in bytes a second. */
  readonly limit?: number | undefined;
  readonly signal?: AbortSignal;
}

/** Looks for a listener before it is dialled: where one was seen, a port that is closed means that it has gone. */
export class ListenerProbe {
  readonly #options: Pick<DialOptions, 'url' | 'connectTimeoutMs' | 'signal'>;
  #seen = false;

  constructor(options: Pick<DialOptions, 'url' | 'connectTimeoutMs' | 'signal'>) {
    this.#options = options;
  }

  /**
   * Whether a listener that speaks our version is there, by a connection that is closed at once: it counts as no try,
   * and nobody is told of it. Throws as `dialSession` does.
   */
  async look(): Promise<void> {
    const { url, connectTimeoutMs: timeoutMs = CONNECT_TIMEOUT_MS, signal } = this.#options;
    const dialOnce = () => dial(url, { timeoutMs, ...(signal && { signal }) });
    const socket = await admitted(this.#options, dialOnce).catch((error: unknown) => {
      throw this.explain(error);
    });
    this.#seen = true;
    socket.destroy();
  }

  /** What `look` and `dialSession` have thrown, in the light of what was seen before. */
  explain(error: unknown): unknown {
    if (!this.#seen || toImgmvError(error).code !== 'connection-refused') return error;
    const { host } = new URL(this.#options.url);
    return new ImgmvError(
      'connection-refused',
      `${host} no longer listens: its pairing code has expired or was used, or the receiver was stopped`,
      { cause: error, about: 'receiver-gone' },
    );
  }
}

/** Throws an ImgmvError that says whether the host, the port, the version or the code was wrong. */
export async function dialSession(options: DialOptions): Promise<Session> {
  const { role } = options;
  const salt = emptyBytes16();
  const s = generateKeyPair();
  let listener: Preamble | undefined;
  let psk: Promise<Buffer> | undefined;
  const channel = await admitted(options, () =>
    connect(options, {
      preamble: { kind: 'pair', role, lane: 0, generation: 0, sessionId: salt, salt },
      credentials: async (preamble) => {
        // Once for the code that it was asked for: the next try has no time to lose.
        if (!listener?.salt.equals(preamble.salt)) psk = deriveKey(options.code, preamble.salt);
        listener = preamble;
        return { s, psk: await (psk as Promise<Buffer>) };
      },
    }),
  );
  const { sessionId } = listener as Preamble;
  const { rs } = channel;
  return Session.begin(channel, {
    ...options,
    patienceMs: options.patienceMs ?? GIVE_UP_MS,
    connect: (lane, generation, signal) => {
      const kind = generation === 0 ? 'lane' : 'reconnect';
      const preamble = { kind, role, lane, generation, sessionId, salt } as const;
      return connect({ ...options, signal }, { preamble, credentials: async () => ({ s, rs }) });
    },
    s,
    sessionId,
  });
}

/**
 * Dials again where the connection broke before message 3: a listener that many dial at once throws out whoever
 * keeps it waiting. Up to there nothing was proven, so nothing was used up. A break behind it is another matter.
 */
async function admitted<T>(
  { connectTimeoutMs = CROWDED_OUT_MS, signal }: Pick<DialOptions, 'connectTimeoutMs' | 'signal'>,
  dialOnce: () => Promise<T>,
): Promise<T> {
  const late = performance.now() + connectTimeoutMs;
  for (;;) {
    try {
      return await dialOnce();
    } catch (error) {
      const failure = toImgmvError(error);
      const broke = failure.code === 'peer-lost' || brokenOff(failure);
      if (!broke || performance.now() >= late) throw error;
    }
    // Never in step with the listener, which makes room at regular times.
    await sleep(CROWDED_OUT_PAUSE_MS * (0.5 + Math.random()));
    signal?.throwIfAborted();
  }
}

/** A stop while the handshake runs ends its socket, and is the reason that is thrown. */
async function connect(
  { url, connectTimeoutMs = CONNECT_TIMEOUT_MS, signal }: DialOptions,
  handshake: DiallerOptions,
): Promise<Channel> {
  const { preamble } = handshake;
  const what = `lane ${preamble.lane} to ${new URL(url).host} (${preamble.kind}, generation ${preamble.generation})`;
  step('connection', () => `dial ${what}`);
  const socket = await dial(url, { timeoutMs: connectTimeoutMs, ...(signal && { signal }) }).catch(
    (error: unknown) => failed(what, error),
  );
  using _ = onAbort(signal, () => socket.destroy());
  try {
    const channel = await dialChannel(socket, handshake);
    step('connection', () => `connected ${what}, ${socket.negotiation.selected}`);
    return channel;
  } catch (error) {
    signal?.throwIfAborted();
    return failed(what, error);
  }
}

function failed(what: string, error: unknown): never {
  step('connection', () => `failed ${what}: ${toImgmvError(error).code}`);
  throw error;
}
