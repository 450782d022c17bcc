/** Stands between two built programs, knows where frames begin and end, and passes on what a test makes of them. */
import { connect } from 'node:net';
import { type TcpServer, tcpServer } from '../proto/wire.ts';
import { clientFrame, serverFrame } from './strangers.ts';

export interface Passing {
  /** Counted from 0, in the order in which they were dialled. */
  readonly connection: number;
  readonly from: 'dialler' | 'listener';
  /** Of the frames of this connection in this direction, counted from 0: preamble, messages of Noise, records. */
  readonly frame: number;
  readonly payload: Buffer;
}

export interface Tap extends AsyncDisposable {
  /** On 127.0.0.1. */
  readonly port: number;
  /** All that passed, as it came. */
  readonly frames: readonly Passing[];
  /** Every byte of both directions. */
  readonly bytes: readonly Buffer[];
}

/** A frame to pass on; a whole binary message where `first`, its first byte, is left out. */
export interface Frame {
  readonly payload: Buffer;
  readonly first?: number;
}

export interface TapOptions {
  readonly port: number;
  /** Where a connection goes in place of `port`. */
  readonly portOf?: (connection: number) => number;
  /** What is passed on of the upgrade request of a dialler, and of its answer; both as they are when left out. */
  readonly head?: (text: string, from: Passing['from']) => string;
  /** What is passed on for a data frame, as it is when left out; what is given to `back` goes to who sent it. */
  readonly alter?: (passing: Passing, back: (payload: Buffer) => void) => readonly Frame[];
}

const CONTROL = 8;

export async function tap(options: TapOptions): Promise<Tap> {
  const { alter = ({ payload }: Passing) => [{ payload }], portOf = () => options.port } = options;
  const frames: Passing[] = [];
  const bytes: Buffer[] = [];
  let connections = 0;
  const server: TcpServer = await tcpServer((dialler) => {
    const connection = connections++;
    const listener = connect(portOf(connection), '127.0.0.1');
    listener.on('error', () => {});
    const ends = { dialler, listener };
    const write = (side: keyof typeof ends, { payload, first }: Frame) =>
      ends[side].write(side === 'listener' ? clientFrame(payload, first) : serverFrame(payload, first));
    for (const from of ['dialler', 'listener'] as const) {
      const to = from === 'dialler' ? 'listener' : 'dialler';
      let held = Buffer.alloc(0);
      let upgraded = false;
      let count = 0;
      ends[from].on('close', () => ends[to].destroy());
      ends[from].on('end', () => ends[to].end());
      ends[from].on('data', (data: Buffer) => {
        bytes.push(data);
        held = Buffer.concat([held, data]);
        if (!upgraded) {
          const end = held.indexOf('\r\n\r\n');
          if (end < 0) return;
          upgraded = true;
          const text = held.subarray(0, end + 4).toString('latin1');
          ends[to].write(options.head?.(text, from) ?? text, 'latin1');
          held = held.subarray(end + 4);
        }
        for (let found = readFrame(held); found; found = readFrame(held)) {
          held = held.subarray(found.bytes);
          const { first, payload } = found;
          if ((first & 15) >= CONTROL) {
            write(to, { payload, first });
            continue;
          }
          const passing = { connection, from, frame: count++, payload: Buffer.from(payload) };
          frames.push(passing);
          const back = (reflected: Buffer) => write(from, { payload: reflected });
          for (const one of alter(passing, back)) write(to, one);
        }
      });
    }
  });
  return {
    port: server.port,
    frames,
    bytes,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** RFC 6455 section 5.2; the mask of our diallers is zero. */
function readFrame(held: Buffer): { bytes: number; first: number; payload: Buffer } | undefined {
  if (held.length < 2) return undefined;
  const [first = 0, second = 0] = held;
  const short = second & 0x7f;
  const sizeBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
  const at = 2 + sizeBytes + (second & 0x80 ? 4 : 0);
  if (held.length < at) return undefined;
  const length =
    sizeBytes === 0 ? short : sizeBytes === 2 ? held.readUInt16BE(2) : Number(held.readBigUInt64BE(2));
  if (held.length < at + length) return undefined;
  return { bytes: at + length, first, payload: held.subarray(at, at + length) };
}
