/** The side that dials: pairs by code, then opens the lanes of the session. */
import {
  type Channel,
  type ConnectionKind,
  type Credentials,
  dialChannel,
  emptyBytes16,
  type Preamble,
  type Role,
} from '../../proto/channel.ts';
import { deriveKey } from '../../proto/code.ts';
import type { Lane } from '../../proto/lane.ts';
import { CONNECT_TIMEOUT_MS, GIVE_UP_MS } from '../../proto/limits.ts';
import type { Hello } from '../../proto/messages.ts';
import { generateKeyPair } from '../../proto/noise.ts';
import type { Secret } from '../../proto/secret.ts';
import { dial, type Socket } from '../../proto/websocket.ts';
import type { Emit } from '../events.ts';
import { Session } from './session.ts';

export interface DialOptions {
  /** ws:// or wss:// */
  readonly url: string;
  readonly code: Secret;
  readonly role: Role;
  readonly hello: Omit<Hello, 'type' | 'role'>;
  readonly emit: Emit;
  readonly connectTimeoutMs?: number;
  /** How long to try to get a lost connection back. */
  readonly patienceMs?: number;
  readonly signal?: AbortSignal;
}

export interface Dialled {
  readonly session: Session;
  /** Opens blob lane `lane`, counted from 1, under the keys of the session. */
  openLane(lane: number): Promise<Lane>;
}

/** Throws an ImgmvError that says whether the host, the port, the version or the code was wrong. */
export async function dialSession(options: DialOptions): Promise<Dialled> {
  const s = generateKeyPair();
  const socket = await connect(options);
  let listener: Preamble | undefined;
  const channel = await stoppable(socket, options.signal, () =>
    dialChannel(socket, {
      preamble: {
        kind: 'pair',
        role: options.role,
        lane: 0,
        generation: 0,
        sessionId: emptyBytes16(),
        salt: emptyBytes16(),
      },
      credentials: async (preamble) => {
        listener = preamble;
        return { s, psk: await deriveKey(options.code, preamble.salt) };
      },
    }),
  );
  const { sessionId } = listener as Preamble;
  const { rs } = channel;
  const join = (kind: ConnectionKind, lane: number, generation: number, signal: AbortSignal) =>
    openChannel(
      { kind, role: options.role, lane, generation, sessionId, salt: emptyBytes16() },
      { s, rs },
      {
        ...options,
        signal,
      },
    );
  const session = await Session.begin(channel, {
    ...options,
    patienceMs: options.patienceMs ?? GIVE_UP_MS,
    reopen: (lane, generation, signal) => join('reconnect', lane, generation, signal),
    s,
    sessionId,
  });
  return {
    session,
    openLane: (lane) => session.openLane(lane, (signal) => join('lane', lane, 0, signal)),
  };
}

/** One more connection of a session, under its pinned keys. */
async function openChannel(
  preamble: Preamble,
  credentials: Credentials,
  options: DialOptions & { readonly signal: AbortSignal },
): Promise<Channel> {
  const socket = await connect(options);
  return stoppable(socket, options.signal, () =>
    dialChannel(socket, { preamble, credentials: async () => credentials }),
  );
}

function connect({ url, connectTimeoutMs = CONNECT_TIMEOUT_MS, signal }: DialOptions): Promise<Socket> {
  return dial(url, { timeoutMs: connectTimeoutMs, ...(signal && { signal }) });
}

/** A stop while the handshake runs ends its socket, and is the reason that is thrown. */
async function stoppable<T>(
  socket: Socket,
  signal: AbortSignal | undefined,
  run: () => Promise<T>,
): Promise<T> {
  const onAbort = () => socket.destroy();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await run();
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
