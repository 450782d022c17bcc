/** Real hosts with memory for an engine, and scripted peers that know the code and do with it what they like. */

import { connect as connectTcp } from 'node:net';
import { ShownSink } from '../../agent/ends/shown-sink.ts';
import type { Event } from '../../agent/model/events.ts';
import type { Outcome, Sink } from '../../agent/model/sink.ts';
import type { Source } from '../../agent/model/source.ts';
import type { Settled } from '../../agent/move/ledger.ts';
import { move } from '../../agent/move/move.ts';
import { dialSession } from '../../agent/peer/dialler.ts';
import { Listener } from '../../agent/peer/listener.ts';
import { Pairing } from '../../agent/peer/pairing.ts';
import { PeerSink } from '../../agent/peer/peer-sink.ts';
import { SinkServer } from '../../agent/peer/sink-server.ts';
import type { Clock } from '../../agent/streams/clock.ts';
import {
  acceptChannel,
  type Channel,
  dialChannel,
  emptyBytes16,
  newSalt,
  newSessionId,
  type Preamble,
} from '../../proto/channel.ts';
import { deriveKey, generateCode } from '../../proto/code.ts';
import { Compressor } from '../../proto/compression.ts';
import { encodeBlob } from '../../proto/entry-body.ts';
import { EntryReader } from '../../proto/entry-reader.ts';
import { EntryWriter } from '../../proto/entry-writer.ts';
import { ImgmvError, toImgmvError } from '../../proto/errors.ts';
import { Lane } from '../../proto/lane.ts';
import {
  Control,
  type Hello,
  KINDS,
  type Message,
  type MessageOf,
  type OfferedItem,
} from '../../proto/messages.ts';
import { generateKeyPair, type KeyPair } from '../../proto/noise.ts';
import type { Secret } from '../../proto/secret.ts';
import { dial } from '../../proto/websocket.ts';
import type { MemoryBlob, MemoryImage } from '../memory.ts';
import { type WebSocketServer, webSocketServer } from '../proto/wire.ts';

const WINDOW_BYTES = 1024 * 1024;
const TTL_MS = 600_000;
/** For a peer that has gone for good. */
const PATIENCE_MS = 5_000;

export const HELLO: Omit<Hello, 'type' | 'role'> = {
  software: 'test/1',
  name: 'test host',
  engine: { kind: 'memory', version: '1', store: 'classic', os: 'linux', architecture: 'amd64' },
  capabilities: [],
};

/** How a whole run ended: with a ledger, or with what it threw. */
export interface Run {
  readonly ledger?: Settled;
  readonly error?: ImgmvError;
}

/** The outcomes of a run that had a ledger, as `status` or `status code`. */
export function statuses({ ledger, error }: Run): string[] {
  if (!ledger) throw error ?? new Error('no ledger');
  return ledger.outcomes.map((outcome: Outcome) =>
    outcome.error ? `${outcome.status} ${outcome.error.code}` : outcome.status,
  );
}

export interface ListeningHost extends AsyncDisposable {
  readonly listener: Listener;
  readonly port: number;
  readonly events: readonly Event[];
  /** A fresh code, by the listener's clock; in place of another one. */
  readonly newPairing: (before?: Pairing) => Pairing;
}

/** A listener of ours, in the role of a receiver. */
export async function listeningHost(clock?: Clock): Promise<ListeningHost> {
  const events: Event[] = [];
  const listener = await Listener.listen({
    address: '127.0.0.1',
    port: 0,
    role: 'receiver',
    hello: () => HELLO,
    emit: (event) => events.push(event),
    patienceMs: PATIENCE_MS,
    ...(clock && { clock }),
  });
  return {
    listener,
    port: listener.port,
    events,
    newPairing: (before) => new Pairing(TTL_MS, clock, before),
    [Symbol.asyncDispose]: () => listener.close(),
  };
}

export interface Receiver extends ListeningHost {
  readonly code: Secret;
  readonly pairing: Pairing;
  readonly run: Promise<Run>;
}

/** A whole receiver, as agent/commands/receive.ts puts it together, for one session. */
export async function receiver(sink: Sink, clock?: Clock): Promise<Receiver> {
  const host = await listeningHost(clock);
  const pairing = host.newPairing();
  const stop = new AbortController();
  const accepting = host.listener.accept(pairing, stop.signal);
  const run = (async (): Promise<Run> => {
    try {
      const { session } = await accepting;
      try {
        await using server = new SinkServer(session);
        const shown = session.peer.asks ? new ShownSink(sink) : undefined;
        const planOnly = shown !== undefined && session.peer.purpose === 'plan';
        return { ledger: await server.serve(shown ?? sink, { emit: () => {}, planOnly, shown }) };
      } catch (error) {
        session.fail(toImgmvError(error));
        throw error;
      }
    } catch (error) {
      return { error: toImgmvError(error) };
    }
  })();
  return {
    ...host,
    code: pairing.code,
    pairing,
    run,
    async [Symbol.asyncDispose]() {
      stop.abort(new ImgmvError('sigterm', 'the test is over'));
      await host.listener.close();
    },
  };
}

/** A whole sender, as agent/commands/send.ts puts it together. */
export async function sender(
  port: number,
  code: Secret,
  source: Source,
  retries = 0,
  pushes = false,
): Promise<Run> {
  try {
    const url = `ws://127.0.0.1:${port}`;
    const session = await dialSession({
      url,
      code,
      role: 'sender',
      hello: HELLO,
      emit: () => {},
    });
    try {
      await using sink = new PeerSink({ session, pushes });
      const ledger = await move(source, sink, {
        signal: session.signal,
        emit: () => {},
        wireBytes: () => session.wireBytes,
        jobs: 2,
        retries,
      });
      return { ledger };
    } catch (error) {
      session.fail(toImgmvError(error));
      throw error;
    }
  } catch (error) {
    return { error: toImgmvError(error) };
  }
}

export function pairPreamble(change: Partial<Preamble> = {}): Preamble {
  return {
    kind: 'pair',
    role: 'sender',
    lane: 0,
    generation: 0,
    sessionId: emptyBytes16(),
    salt: emptyBytes16(),
    ...change,
  };
}

/** Dials and runs the handshake of a pairing; with a key in place of the code there is no scrypt. */
export async function pairWith(port: number, key: Buffer | Secret, s = generateKeyPair()) {
  const socket = await dial(`ws://127.0.0.1:${port}`, { timeoutMs: 30_000 });
  let listener = pairPreamble();
  const channel = await dialChannel(socket, {
    preamble: pairPreamble(),
    credentials: async (theirs) => {
      listener = theirs;
      return { s, psk: Buffer.isBuffer(key) ? key : await deriveKey(key, theirs.salt) };
    },
  });
  return { channel, sessionId: listener.sessionId, s };
}

/** What a scripted peer has in its hands once it has paired. */
class ScriptedPeer {
  readonly control: Control;
  readonly sessionId: Buffer;
  readonly s: KeyPair;
  readonly rs: Buffer;

  constructor(control: Control, sessionId: Buffer, s: KeyPair) {
    this.control = control;
    this.sessionId = sessionId;
    this.s = s;
    this.rs = control.lane.channel.rs;
  }

  /** Any message, valid or not. */
  say(message: object): Promise<void> {
    return this.control.send(message as Message);
  }

  /** The next message of a type; others are skipped. */
  async hear<T extends Message['type']>(type: T): Promise<MessageOf<T>> {
    for (;;) {
      const message = await this.control.receive();
      if (!message) throw new Error(`the other side ended before it said ${type}`);
      if (message.type === type) return message as MessageOf<T>;
    }
  }

  /** The close code and reason that the other side ends the control connection with. */
  async closed(): Promise<string> {
    const { code, reason } = await this.control.lane.channel.closed;
    return `${code} ${reason}`;
  }

  /** A well-mannered end: END each way. */
  async end(): Promise<void> {
    await this.control.lane.end();
    await this.control.lane.peerEnded;
    this.control.lane.channel.close();
  }
}

export class ScriptedSender extends ScriptedPeer {
  readonly #port: number;

  constructor(port: number, control: Control, sessionId: Buffer, s: KeyPair) {
    super(control, sessionId, s);
    this.#port = port;
  }

  /** Dials, pairs and says hello. */
  static async pair({ port, pairing }: Receiver): Promise<ScriptedSender> {
    return ScriptedSender.pairBy(port, await pairing.psk);
  }

  /** The same at any listener; `change` says what of the hello is a lie. */
  static async pairBy(port: number, key: Buffer | Secret, change: object = {}): Promise<ScriptedSender> {
    const { channel, sessionId, s } = await pairWith(port, key);
    const lane = new Lane(channel, { windowBytes: WINDOW_BYTES, dialled: true });
    await lane.ready;
    const control = new Control(lane);
    await control.send({ type: 'hello', role: 'sender', ...HELLO, ...change });
    const peer = new ScriptedSender(port, control, sessionId, s);
    await peer.hear('hello');
    return peer;
  }

  /** Offers images as they are, with `change` to each, and takes the answer. */
  async offer(images: readonly MemoryImage[], change: object = {}): Promise<MessageOf<'answer'>> {
    await this.say({
      type: 'offer',
      items: images.map((one, at) => ({ ...offered(one, at), ...change })),
      last: true,
    });
    return this.hear('answer');
  }

  /** Dials one more connection; `change` says what of its preamble is a lie. */
  async connect(change: Partial<Preamble> = {}, s = this.s): Promise<Channel> {
    const socket = await dial(`ws://127.0.0.1:${this.#port}`, { timeoutMs: 30_000 });
    return dialChannel(socket, {
      preamble: pairPreamble({ kind: 'lane', lane: 1, sessionId: this.sessionId, ...change }),
      credentials: async () => ({ s, rs: this.rs }),
    });
  }

  async lane(): Promise<Lane> {
    const lane = new Lane(await this.connect(), { windowBytes: WINDOW_BYTES, dialled: true });
    await lane.ready;
    return lane;
  }
}

export function offered({ image }: MemoryImage, number: number): OfferedItem {
  const { id, root, store, platform, names, diffIds, bytes } = image;
  return {
    item: number,
    kind: 'image',
    id,
    root: { ...root },
    store,
    platform: { ...platform },
    names: names.map(({ source, target: wanted }) => ({ source, wanted })),
    diffIds: [...diffIds],
    bytes,
  };
}

/** The names of an image as a receiver tells them that has no others for it. */
export function wireNames({ names }: MemoryImage['image']): readonly { readonly wanted: string }[] {
  return names.map(({ target }) => ({ wanted: target }));
}

/** Sends blobs of an image and its end. */
export async function sendBlobs(lane: Lane, number: number, blobs: readonly MemoryBlob[]): Promise<void> {
  const entries = new EntryWriter(lane);
  const compressor = new Compressor(0);
  for (const blob of blobs) await sendBlob(entries, number, blob, compressor);
  await entries.end(number, blobs.length, true);
}

/** Sends a blob, whatever its digest says. */
export async function sendBlob(
  entries: EntryWriter,
  number: number,
  { kind, digest, bytes }: MemoryBlob,
  compressor = new Compressor(0),
): Promise<void> {
  const body = async function* () {
    yield bytes;
  };
  const blob = { kind, digest, size: bytes.length, body: body() };
  await entries.blob(
    number,
    encodeBlob(blob, compressor, () => 1),
  );
}

/** A listener that a script plays, in the role of a receiver. */
export class ScriptedReceiver extends ScriptedPeer {
  readonly #server: WebSocketServer;

  constructor(server: WebSocketServer, control: Control, sessionId: Buffer, s: KeyPair) {
    super(control, sessionId, s);
    this.#server = server;
  }

  /** Waits for a dialler, pairs and says hello, which `change` makes a lie. */
  static async pair(server: WebSocketServer, code: Secret, change: object = {}): Promise<ScriptedReceiver> {
    const [s, salt, sessionId] = [generateKeyPair(), newSalt(), newSessionId()];
    const psk = await deriveKey(code, salt);
    const channel = await acceptChannel(await server.next(), {
      admit: (dialler) => ({
        preamble: { ...dialler, role: 'receiver', sessionId, salt },
        credentials: { s, psk },
      }),
    });
    const lane = new Lane(channel, { windowBytes: WINDOW_BYTES, dialled: false });
    await lane.ready;
    const control = new Control(lane);
    const peer = new ScriptedReceiver(server, control, sessionId, s);
    await peer.say({ type: 'hello', role: 'receiver', ...HELLO, capabilities: KINDS, ...change });
    await peer.hear('hello');
    return peer;
  }

  /** The blob lane that the sender opens. */
  async lane(): Promise<{ lane: Lane; entries: EntryReader }> {
    const channel = await acceptChannel(await this.#server.next(), {
      admit: (dialler) => ({
        preamble: { ...dialler, role: 'receiver' },
        credentials: { s: this.s, rs: this.rs },
      }),
    });
    const lane = new Lane(channel, { windowBytes: WINDOW_BYTES, dialled: false });
    await lane.ready;
    return { lane, entries: new EntryReader(lane) };
  }

  /** Takes the whole offer and answers `send` to all of it. */
  async answerAll(): Promise<readonly OfferedItem[]> {
    const { items } = await this.hear('offer');
    const answers = items.map(({ item, names }) => ({ item, action: 'send', names }));
    await this.say({ type: 'answer', items: answers, last: true });
    return items;
  }
}

/** A server for a scripted receiver, and a code. */
export async function stage(): Promise<{ server: WebSocketServer; code: Secret } & AsyncDisposable> {
  const server = await webSocketServer();
  return { server, code: generateCode(), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

export interface HeldSocket {
  readonly closed: Promise<void>;
  write(bytes: string): void;
  destroy(): void;
}

/** A TCP connection that sends `bytes`, and nothing more by itself. */
export function heldTcp(port: number, localAddress: string, bytes: string): HeldSocket {
  const socket = connectTcp({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  socket.on('data', () => {});
  socket.write(bytes, 'latin1');
  return {
    closed: new Promise((resolve) => socket.on('close', () => resolve())),
    write: (more) => socket.write(more, 'latin1'),
    destroy: () => socket.destroy(),
  };
}
