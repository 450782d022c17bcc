/** Sockets that hold a listener's places: each goes as far as it is told, falls silent, and comes back. */
import { connect, type Socket } from 'node:net';
import { encodePreamble } from '../../proto/channel.ts';
import { generateKeyPair, HandshakeState } from '../../proto/noise.ts';
import { NEGOTIATED } from '../proto/wire.ts';
import { pairPreamble } from './hosts.ts';

/** How far a stranger goes before it falls silent. */
export const STAGES = ['TCP', 'half a header', 'the upgrade', 'the preamble', 'Noise message 1'] as const;
export type Stage = (typeof STAGES)[number];

export interface StrangersOptions {
  readonly port: number;
  readonly count: number;
  readonly stage: (number: number) => Stage;
  /** The address in 127.0.0.0/8 that a stranger dials from. */
  readonly from: (number: number) => string;
  /** How long those that were thrown out wait on average before they dial again, so that some do at any time. */
  readonly againAfterMs: number;
}

export interface Strangers extends AsyncDisposable {
  /** Those that are connected, and as far as they are to go. */
  readonly stuck: number;
  /** Connections so far. */
  readonly dialled: number;
}

export function upgradeRequest(protocols = 'imgmv.2'): string {
  return (
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
    `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ${protocols}\r\n\r\n`
  );
}

function frameSize(length: number, mask: number): Buffer {
  const size = Buffer.alloc(length < 126 ? 1 : length < 65_536 ? 3 : 9);
  size.writeUInt8(mask | (size.length === 1 ? length : size.length === 3 ? 126 : 127));
  if (size.length === 3) size.writeUInt16BE(length, 1);
  if (size.length === 9) size.writeBigUInt64BE(BigInt(length), 1);
  return size;
}

/** A frame of a server. */
export function serverFrame(payload: Buffer, first = 0x82): Buffer {
  return Buffer.concat([Buffer.of(first), frameSize(payload.length, 0), payload]);
}

/** A frame of a client (RFC 6455 section 5.2), its mask zeros; a whole binary message when `first` is left out. */
export function clientFrame(payload: Buffer, first = 0x82): Buffer {
  return Buffer.concat([Buffer.of(first), frameSize(payload.length, 0x80), Buffer.alloc(4), payload]);
}

const PREAMBLE = encodePreamble(pairPreamble());
/** The same for all, so that thousands cost no more than one. */
const KEYS = { s: generateKeyPair(), e: generateKeyPair() };
/** What a listener sends up to the end of its preamble: the upgrade, a frame's header, the preamble. */
const SERVER_PREAMBLE = /\r\n\r\n\x82\x30(.{48})/s;

/** Message 1 hides nothing and proves nothing: whoever has seen the preamble can make it, with any psk. */
export function messageOne(theirs: Buffer): Buffer {
  const prologue = Buffer.concat([NEGOTIATED, PREAMBLE, theirs]);
  const options = { pattern: 'XXpsk3', initiator: true, prologue, psk: Buffer.alloc(32), ...KEYS } as const;
  return new HandshakeState(options).writeMessage(Buffer.alloc(0));
}

export function strangers(options: StrangersOptions): Strangers {
  const sockets = new Set<Socket>();
  const stuck = new Set<Socket>();
  let over = false;
  let dialled = 0;
  const dial = (number: number) => {
    if (over) return;
    dialled++;
    const stage = STAGES.indexOf(options.stage(number));
    const socket = connect({ port: options.port, host: '127.0.0.1', localAddress: options.from(number) });
    sockets.add(socket);
    let heard = '';
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('connect', () => {
      if (stage === 1) socket.write('GET / HTTP/1.1\r\nHost: ');
      if (stage >= 2) socket.write(upgradeRequest());
      if (stage >= 3) socket.write(clientFrame(PREAMBLE));
      if (stage < 2) stuck.add(socket);
    });
    socket.on('data', (data: string) => {
      if (stuck.has(socket)) return;
      heard += data;
      if (stage === 2) stuck.add(socket);
      const theirs = SERVER_PREAMBLE.exec(heard)?.[1];
      if (stage === 3 && theirs !== undefined) stuck.add(socket);
      if (stage < 4 || theirs === undefined) return;
      socket.write(clientFrame(messageOne(Buffer.from(theirs, 'latin1'))));
      stuck.add(socket);
    });
    socket.on('close', () => {
      sockets.delete(socket);
      stuck.delete(socket);
      setTimeout(() => dial(number), options.againAfterMs * (0.5 + (dialled % 100) / 100)).unref();
    });
  };
  for (let number = 0; number < options.count; number++) dial(number);
  return {
    get stuck() {
      return stuck.size;
    },
    get dialled() {
      return dialled;
    },
    async [Symbol.asyncDispose]() {
      over = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A connection that says frame by frame what a test tells it. It is upgraded already. */
export interface RawPeer {
  readonly socket: Socket;
  /** The payload of the next frame, whatever it is; undefined once the connection has ended. */
  next(): Promise<Buffer | undefined>;
  /** The code of the close frame, 0 where the connection ended without one; waits for either. */
  closeCode(): Promise<number>;
}

const CLOSE = 0x88;

/** Rejects where the listener does not take it in. */
export async function rawPeer(port: number, from = '127.0.0.1'): Promise<RawPeer> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from });
  let heard = Buffer.alloc(0);
  let ended = false;
  let wake: () => void = () => {};
  socket.on('error', () => {});
  socket.on('data', (data: Buffer) => {
    heard = Buffer.concat([heard, data]);
    wake();
  });
  socket.on('close', () => {
    ended = true;
    wake();
  });
  const take = async (bytes: () => number | undefined): Promise<Buffer | undefined> => {
    for (;;) {
      const wanted = bytes();
      if (wanted !== undefined && heard.length >= wanted) {
        const taken = heard.subarray(0, wanted);
        heard = heard.subarray(wanted);
        return taken;
      }
      if (ended) return undefined;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const frame = async (): Promise<{ first: number; payload: Buffer } | undefined> => {
    const header = await take(() => (heard.length < 2 ? undefined : heard[1] === 126 ? 4 : 2));
    const length = header?.length === 4 ? header.readUInt16BE(2) : header?.[1];
    const payload = length === undefined ? undefined : await take(() => length);
    return payload && { first: header?.[0] ?? 0, payload };
  };
  socket.write(upgradeRequest());
  const answer = await take(() => {
    const at = heard.indexOf('\r\n\r\n');
    return at < 0 ? undefined : at + 4;
  });
  if (!answer?.toString('latin1').startsWith('HTTP/1.1 101')) {
    socket.destroy();
    throw new Error(`not taken in: ${answer}`);
  }
  return {
    socket,
    next: async () => (await frame())?.payload,
    async closeCode() {
      for (let one = await frame(); one; one = await frame())
        if (one.first === CLOSE) return one.payload.readUInt16BE(0);
      return 0;
    },
  };
}

/** Sends the preamble of a pairing and gives the listener's. */
export async function greet({ socket, next }: RawPeer): Promise<Buffer | undefined> {
  socket.write(clientFrame(PREAMBLE));
  return next();
}

/**
 * One try at the code with a psk made up: what the listener closes with, 0 where it throws it out before. The proof
 * is sent when `ready` has resolved.
 */
export async function guess(port: number, from: string, ready: () => Promise<void>): Promise<number> {
  const peer = await rawPeer(port, from).catch(() => undefined);
  if (!peer) return 0;
  try {
    const theirs = await greet(peer);
    if (theirs?.length !== PREAMBLE.length) return theirs ? theirs.readUInt16BE(0) : 0;
    const prologue = Buffer.concat([NEGOTIATED, PREAMBLE, theirs]);
    const psk = Buffer.alloc(32, from);
    const handshake = new HandshakeState({ pattern: 'XXpsk3', initiator: true, prologue, psk, ...KEYS });
    peer.socket.write(clientFrame(handshake.writeMessage(Buffer.alloc(0))));
    const second = await peer.next();
    if (second?.length !== 96) return second?.readUInt16BE(0) ?? 0;
    handshake.readMessage(second);
    await ready();
    peer.socket.write(clientFrame(handshake.writeMessage(Buffer.alloc(0))));
    return await peer.closeCode();
  } finally {
    peer.socket.destroy();
  }
}
