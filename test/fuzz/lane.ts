/** The records of a lane, against a model of section 5 of PROTOCOL.md; and the byte stores below it. */
import fc from 'fast-check';
import { ByteRing } from '../../proto/byte-ring.ts';
import { violation } from '../../proto/errors.ts';
import { Lane } from '../../proto/lane.ts';
import { DATA_MAX_BYTES, RECORD_MAX_BYTES } from '../../proto/limits.ts';
import {
  CREDIT,
  DATA,
  END,
  PING,
  PONG,
  pairRecord,
  RESUME,
  readPair,
  writeDataHeader,
} from '../../proto/record.ts';
import { bytesLike } from './bytes.ts';
import { decoded, holds } from './refusal.ts';
import { target } from './target.ts';
import { fakeChannel } from './wire.ts';

const TYPES = [DATA, CREDIT, RESUME, END, PING, PONG] as const;

const numbers = fc.oneof(fc.nat(300), fc.constantFrom(0, 1, 2 ** 32, 2 ** 53 - 1));
const pair = fc
  .tuple(fc.constantFrom(...TYPES), numbers, numbers)
  .map(([type, first, second]) =>
    pairRecord(type, first, type === CREDIT || type === RESUME ? second : undefined),
  );

const pairs = target<{ record: Buffer; type: number }>({
  name: 'lane/pairs',
  share: 40,
  input: fc.record({ record: bytesLike(pair, 20), type: fc.constantFrom(CREDIT, RESUME, END, PING, PONG) }),
  check: ({ record, type }) => {
    const numbersRead = decoded(['protocol-violation'], () => readPair(record, type));
    if (!numbersRead) return;
    const [first, second] = numbersRead;
    const two = type === CREDIT || type === RESUME;
    const again = pairRecord(type, first, two ? second : undefined);
    holds(again.subarray(1).equals(record.subarray(1)), 'a record is written as it was read');
  },
});

/** What the other side, or the user of this one, does next. Offsets are told as how far they are off. */
interface Step {
  readonly what: 'record' | 'raw' | 'garbage' | 'replay' | 'write' | 'read' | 'resume' | 'ping' | 'replace';
  readonly type: number;
  readonly size: number;
  readonly off: number;
  readonly limitOff: number;
  readonly raw: Buffer;
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.oneof(
    { weight: 12, arbitrary: fc.constant('record' as const) },
    { weight: 8, arbitrary: fc.constantFrom('write' as const, 'read' as const) },
    { weight: 3, arbitrary: fc.constantFrom('resume' as const, 'replace' as const, 'ping' as const) },
    { weight: 1, arbitrary: fc.constantFrom('raw' as const, 'garbage' as const, 'replay' as const) },
  ),
  type: fc.oneof(
    { weight: 1, arbitrary: fc.constant<number>(DATA) },
    { weight: 2, arbitrary: fc.constantFrom<number>(...TYPES.filter((type) => type !== RESUME)) },
  ),
  size: fc.oneof({ weight: 4, arbitrary: fc.nat(40) }, fc.nat(5_000), fc.constantFrom(DATA_MAX_BYTES)),
  off: fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, fc.constantFrom(-1, 1, 2 ** 32, -5_000)),
  limitOff: fc.oneof({ weight: 8, arbitrary: fc.nat(200) }, fc.constantFrom(-1, -200, 2 ** 40)),
  raw: bytesLike(pair, 30),
});

/** What the other side says first on each connection. */
function begun(one: Step): Step {
  return { ...one, what: 'resume', off: 0, limitOff: Math.abs(one.limitOff) };
}

const WINDOW_BYTES = 8_192;

/** What a lane and its peer know of each other, as the document has it. */
class Model {
  resumed = false;
  /** On the connection at hand. */
  endHeard = false;
  peerEnded = false;
  /** Bytes that have come, and up to where they may. */
  offset = 0;
  limit = 0;
  /** What the peer has said. */
  taken = 0;
  creditLimit = 0;
  /** What this connection has been given, and what is not kept any more. */
  given = 0;
  released = 0;
  broken = false;
}

const lane = target<{ steps: readonly Step[]; dialled: boolean }>({
  name: 'lane/model',
  share: 16,
  input: fc
    .tuple(fc.array(step, { maxLength: 30 }), fc.boolean(), fc.nat(9), step)
    .map(([steps, dialled, begins, first]) => ({
      steps: begins === 0 ? steps : [begun(first), ...steps],
      dialled,
    })),
  allowance: ({ steps }) => 4 * 1024 * 1024 + steps.length * 8 * RECORD_MAX_BYTES,
  check: async ({ steps, dialled }) => {
    const model = new Model();
    let wire = fakeChannel();
    const lost: unknown[] = [];
    const one = new Lane(wire.channel, {
      windowBytes: WINDOW_BYTES,
      dialled,
      onBreak: (error) => lost.push(error),
    });
    const came: Buffer[] = [];
    const taken: Buffer[] = [];
    let written = 0;
    let connections = 0;
    let replayed: Buffer | undefined;

    const watch = () => {
      for (const message of wire.socket.sent.splice(0)) {
        const record = wire.receive.decrypt(message);
        const type = record[0];
        if (type === DATA) {
          holds(model.resumed, 'nothing goes before the other side has said where it goes on');
          holds(Number(record.readBigUInt64BE(1)) === model.given, 'DATA begins where the last one ended');
          model.given += record.length - 9;
          holds(model.given <= model.creditLimit, 'no DATA beyond the limit');
          holds(isCounted(record.subarray(9), model.given - (record.length - 9)), 'DATA is what was written');
        } else if (type === RESUME || type === CREDIT) {
          const [first, limit] = readPair(record, type);
          holds(limit >= model.limit, 'a limit never falls');
          model.limit = limit;
          if (type === RESUME) holds(first === model.offset, 'RESUME names what has come');
          holds(
            limit <= taken.reduce((sum, { length }) => sum + length, 0) + WINDOW_BYTES,
            'the window is kept',
          );
        }
      }
    };
    const feed = (record: Buffer, legal: boolean) => {
      const message = wire.send.encrypt(record);
      replayed = message;
      wire.socket.receive(message);
      watch();
      if (legal)
        holds(
          wire.channel.failure === undefined,
          `a legal record is taken: ${record.toString('hex', 0, 20)}`,
        );
      else
        holds(
          wire.channel.failure?.code === 'protocol-violation',
          `an illegal record is refused: ${record.toString('hex', 0, 20)}`,
        );
      model.broken ||= !legal;
    };
    watch();
    if (!dialled) holds(wire.socket.bytesSent > 0, 'a listener speaks first');

    for (const { what, type, size, off, limitOff, raw } of steps) {
      if (model.broken) break;
      if (what === 'record' && type === DATA) {
        const bytes = Buffer.alloc(size, came.length);
        const at = Math.max(0, model.offset + off);
        const record = Buffer.concat([Buffer.alloc(9), bytes]);
        writeDataHeader(record, at);
        const legal =
          model.resumed && !model.peerEnded && size > 0 && at === model.offset && at + size <= model.limit;
        if (legal) {
          model.offset += size;
          came.push(bytes);
        }
        feed(record, legal);
      } else if (what === 'record' && type === CREDIT) {
        const [consumed, limit] = [
          Math.max(0, model.given + Math.min(0, off) + (off === 1 ? 1 : 0)),
          Math.max(0, model.creditLimit + limitOff),
        ];
        const legal =
          model.resumed && consumed >= model.taken && consumed <= model.given && limit >= model.creditLimit;
        if (legal) {
          model.taken = consumed;
          model.released = Math.max(model.released, consumed);
          model.creditLimit = limit;
        }
        feed(pairRecord(CREDIT, consumed, limit), legal);
      } else if (what === 'resume') {
        const [offset, limit] = [Math.max(0, model.given + off), Math.max(0, model.creditLimit + limitOff)];
        const legal =
          !model.resumed && offset >= model.released && offset <= model.given && limit >= model.creditLimit;
        if (legal) {
          model.resumed = true;
          model.given = offset;
          model.released = Math.max(model.released, offset);
          model.creditLimit = limit;
        }
        feed(pairRecord(RESUME, offset, limit), legal);
      } else if (what === 'record' && type === END) {
        const at = Math.max(0, model.offset + off);
        const legal = model.resumed && !model.endHeard && at === model.offset;
        model.endHeard ||= legal;
        model.peerEnded ||= legal;
        feed(pairRecord(END, at), legal);
      } else if (what === 'record') {
        feed(pairRecord(type, Math.max(0, size + off)), model.resumed);
      } else if (what === 'raw') {
        // Of any type: the model knows those that can be nothing legal.
        const known = raw[0] !== undefined && raw[0] >= DATA && raw[0] <= PONG;
        if (!known) feed(raw, false);
      } else if (what === 'garbage' || what === 'replay') {
        wire.socket.receive(what === 'garbage' ? raw : (replayed ?? raw));
        holds(wire.channel.failure?.code === 'channel-corrupt', 'what does not decrypt is corrupt');
        model.broken = true;
      } else if (what === 'write') {
        // Waits for credits as long as it takes: only what was given to the wire is looked at.
        void one.write(counted(written, size)).catch(() => {});
        written += size;
        await settled();
        watch();
      } else if (what === 'read') {
        if (taken.reduce((sum, { length }) => sum + length, 0) === model.offset && !model.peerEnded) continue;
        const bytes = await one.read();
        holds(
          (bytes === undefined) === (taken.reduce((sum, { length }) => sum + length, 0) === model.offset),
          'what has come is read',
        );
        if (bytes) taken.push(Buffer.from(bytes));
        watch();
      } else if (what === 'ping') {
        void one.ping();
        watch();
      } else {
        wire = fakeChannel(++connections);
        model.resumed = false;
        model.endHeard = false;
        one.replace(wire.channel);
        watch();
      }
      await settled();
      watch();
    }
    const all = Buffer.concat(taken);
    holds(Buffer.concat(came).subarray(0, all.length).equals(all), 'what is read is what came, in its order');
    one.fail(violation('the end of the test'));
    wire.socket.destroy();
    await one.closed;
  },
});

/** Everything that waits for nothing but promises has had its turn. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await undefined;
}

/** Bytes that tell their own offset. */
function counted(from: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = (from + at) % 251;
  return bytes;
}

function isCounted(bytes: Buffer, from: number): boolean {
  return bytes.every((byte, at) => byte === (from + at) % 251);
}

/** A ring that grows and forgets: against the stream of all bytes. */
const sent = target<{ steps: readonly (readonly [number, number])[]; max: number }>({
  name: 'lane/byte-ring',
  share: 8,
  input: fc.record({
    steps: fc.array(fc.tuple(fc.nat(40_000), fc.nat(40_000)), { maxLength: 20 }),
    max: fc.constantFrom(1, 100, 65_536, 100_000),
  }),
  allowance: ({ max, steps }) => 1024 * 1024 + 4 * max + steps.length * 100_000,
  check: ({ steps, max }) => {
    const ring = new ByteRing(max);
    for (const [add, release] of steps) {
      ring.add(counted(ring.to, Math.min(add, ring.free)));
      holds(ring.to - ring.from <= max, 'no more is kept than may be');
      for (let at = ring.from; at < ring.to; ) {
        const part = ring.read(at, 7_000);
        holds(part.length > 0 && isCounted(part, at), 'what is kept is what was added');
        at += part.length;
      }
      ring.release(Math.min(ring.to, ring.from + release));
    }
  },
});

export const laneTargets = [pairs, lane, sent];
