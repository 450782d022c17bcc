/** The side that dials: pairs by code, then opens the lanes of the session. */
import { dialChannel, emptyBytes16, type Preamble, type Role } from '../../proto/channel.ts';
import { deriveKey } from '../../proto/code.ts';
import type { Lane } from '../../proto/lane.ts';
import { CONNECT_TIMEOUT_MS } from '../../proto/limits.ts';
import type { Hello } from '../../proto/messages.ts';
import { generateKeyPair, type KeyPair } from '../../proto/noise.ts';
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
  const sessionId = (listener as Preamble).sessionId;
  const session = await Session.begin(channel, { ...options, dialled: true, s, sessionId });
  return { session, openLane: (lane) => openLane(lane, session, s, options) };
}

async function openLane(lane: number, session: Session, s: KeyPair, options: DialOptions): Promise<Lane> {
  const { sessionId, rs, signal } = session;
  const socket = await connect({ ...options, signal });
  const preamble = {
    kind: 'lane',
    role: options.role,
    lane,
    generation: 0,
    sessionId,
    salt: emptyBytes16(),
  } as const;
  const channel = await stoppable(socket, signal, () =>
    dialChannel(socket, { preamble, credentials: async () => ({ s, rs }) }),
  );
  return session.addLane(channel, true);
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
