/** PROTOCOL.md sections 2 to 4 on real sockets: the bytes themselves, and what is refused with which close code. */
import { describe, expect, test } from 'vitest';
import {
  acceptChannel,
  type Credentials,
  decodePreamble,
  dialChannel,
  encodePreamble,
  type ListenerOptions,
  type Preamble,
} from '../../proto/channel.ts';
import { codeOfClose, ERROR_CODES, ImgmvError } from '../../proto/errors.ts';
import { HANDSHAKE_TIMEOUT_MS, NOISE_MESSAGE_MAX_BYTES, RECORD_MAX_BYTES } from '../../proto/limits.ts';
import { generateKeyPair, HandshakeState } from '../../proto/noise.ts';
import type { Socket } from '../../proto/websocket.ts';
import { channels, codeOf, lanePreamble, NEGOTIATED, pause, sockets, until } from './wire.ts';

const SESSION = '00112233445566778899aabbccddeeff';
const SALT = 'f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff';
const ZEROS = '00'.repeat(16);
const psk = Buffer.alloc(32, 7);
const keys = { dialler: generateKeyPair(), listener: generateKeyPair() };

/** As PROTOCOL.md 2.1 lays it out: magic, kind, role, lane, generation, reserved, session id, salt. */
const PREAMBLES: readonly (readonly [string, Preamble, string])[] = [
  [
    'the dialler of a pairing',
    preamble({ kind: 'pair', role: 'sender', lane: 0, sessionId: bytes(ZEROS) }),
    `494d474d 01 01 0000 00000000 00000000 ${ZEROS} ${ZEROS}`,
  ],
  [
    'the listener of a pairing',
    preamble({ kind: 'pair', role: 'receiver', lane: 0, salt: bytes(SALT) }),
    `494d474d 01 02 0000 00000000 00000000 ${SESSION} ${SALT}`,
  ],
  ['a lane', preamble({ lane: 1 }), `494d474d 04 01 0001 00000000 00000000 ${SESSION} ${ZEROS}`],
  [
    'a reconnect',
    preamble({ kind: 'reconnect', lane: 0x1234, generation: 0x56789abc }),
    `494d474d 03 01 1234 56789abc 00000000 ${SESSION} ${ZEROS}`,
  ],
  [
    'a trusted peer',
    preamble({ kind: 'trusted', lane: 0, sessionId: bytes(ZEROS) }),
    `494d474d 02 01 0000 00000000 00000000 ${ZEROS} ${ZEROS}`,
  ],
];

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex');
}

function preamble(change: Partial<Preamble>): Preamble {
  return lanePreamble({ sessionId: bytes(SESSION), ...change });
}

/** A listener that admits everybody, with `change` to what it says of itself. */
function accept(
  socket: Socket,
  change: Partial<Preamble> = {},
  credentials: Credentials = { s: keys.listener },
  more: Partial<ListenerOptions> = {},
) {
  return acceptChannel(socket, {
    admit: (dialler) => ({ preamble: { ...dialler, role: 'receiver', ...change }, credentials }),
    ...more,
  });
}

function dialWith(socket: Socket, ours: Preamble, credentials: Credentials = { s: keys.dialler }) {
  return dialChannel(socket, { preamble: ours, credentials: async () => credentials });
}

/** A socket as if this offer had been sent, or received, in its opening handshake. */
function said(socket: Socket, offered: readonly string[]): void {
  Object.defineProperty(socket, 'negotiation', { value: { offered, selected: 'imgmv.2' } });
}

describe('preamble', () => {
  test.each(PREAMBLES)('%s', (_name, decoded, hex) => {
    expect(encodePreamble(decoded).toString('hex')).toBe(bytes(hex).toString('hex'));
    expect(decodePreamble(bytes(hex))).toEqual(decoded);
  });

  test.each([
    ['47 bytes', `494d474d 04 01 0001 00000000 00000000 ${SESSION} ${ZEROS.slice(2)}`],
    ['49 bytes', `494d474d 04 01 0001 00000000 00000000 ${SESSION} ${ZEROS}00`],
    ['no bytes', ''],
    ['another magic', `494d474e 04 01 0001 00000000 00000000 ${SESSION} ${ZEROS}`],
    ['kind 0', `494d474d 00 01 0001 00000000 00000000 ${SESSION} ${ZEROS}`],
    ['kind 5', `494d474d 05 01 0001 00000000 00000000 ${SESSION} ${ZEROS}`],
    ['role 0', `494d474d 04 00 0001 00000000 00000000 ${SESSION} ${ZEROS}`],
    ['role 3', `494d474d 04 03 0001 00000000 00000000 ${SESSION} ${ZEROS}`],
    ['reserved bytes', `494d474d 04 01 0001 00000000 00000001 ${SESSION} ${ZEROS}`],
  ])('%s are refused with close code 4213', async (_name, hex) => {
    await using ends = await sockets();
    const accepting = codeOf(accept(ends.listener));
    ends.dialler.send(bytes(hex));
    expect(await accepting).toBe('protocol-violation');
    expect(await ends.dialler.closed).toMatchObject({ code: 4213, reason: 'protocol-violation' });
  });
});

describe('handshake', () => {
  /** What a second implementation does with PROTOCOL.md section 3 in hand. */
  async function dialByHand(socket: Socket, hex: string, change: { psk?: Buffer; prologue?: Buffer } = {}) {
    const ours = bytes(hex);
    socket.send(ours);
    const theirs = (await socket.next()) ?? Buffer.alloc(0);
    const handshake = new HandshakeState({
      pattern: change.psk ? 'XXpsk3' : 'XX',
      initiator: true,
      prologue: change.prologue ?? Buffer.concat([NEGOTIATED, ours, theirs]),
      s: keys.dialler,
      ...(change.psk && { psk: change.psk }),
    });
    const message1 = handshake.writeMessage(Buffer.alloc(0));
    socket.send(message1);
    const message2 = (await socket.next()) ?? Buffer.alloc(0);
    handshake.readMessage(message2);
    const message3 = handshake.writeMessage(Buffer.alloc(0));
    socket.send(message3);
    return { handshake, lengths: [theirs, message1, message2, message3].map(({ length }) => length) };
  }

  const PAIR = `494d474d 01 01 0000 00000000 00000000 ${ZEROS} ${ZEROS}`;
  const LANE = `494d474d 04 01 0001 00000000 00000000 ${SESSION} ${ZEROS}`;

  test.each([
    ['XXpsk3 for a pairing', PAIR, psk, [48, 48, 96, 64]],
    ['XX for a lane', LANE, undefined, [48, 32, 96, 64]],
  ])('%s, over the documented prologue', async (_name, hex, key, lengths) => {
    await using ends = await sockets();
    const steps: number[] = [];
    const accepting = accept(
      ends.listener,
      {},
      { s: keys.listener, ...(key && { psk: key }) },
      { onStep: (step) => steps.push(step) },
    );
    const byHand = await dialByHand(ends.dialler, hex, key && { psk: key });
    const channel = await accepting;
    expect(byHand.lengths).toEqual(lengths);
    expect(steps).toEqual([1, 2, 3]);
    expect(channel.h).toEqual(byHand.handshake.h);
    expect(channel.rs).toEqual(Buffer.from(keys.dialler.publicKey));
  });

  test('a wrong code shows in message 3 and nowhere before; both sides say so', async () => {
    await using ends = await sockets();
    const steps: number[] = [];
    const accepting = codeOf(
      accept(ends.listener, {}, { s: keys.listener, psk }, { onStep: (step) => steps.push(step) }),
    );
    const channel = await dialWith(
      ends.dialler,
      preamble({ kind: 'pair', lane: 0, sessionId: bytes(ZEROS) }),
      { s: keys.dialler, psk: Buffer.alloc(32, 8) },
    );
    expect(await accepting).toBe('wrong-code');
    expect(steps).toEqual([1, 2]);
    expect(await channel.closed).toMatchObject({ code: 4012, reason: 'wrong-code' });
    expect((await channel.ended()).code).toBe('wrong-code');
  });

  test('a code that was good once is told from a wrong one', async () => {
    await using ends = await sockets();
    const once = Buffer.alloc(32, 8);
    const found: boolean[] = [];
    const accepting = codeOf(
      accept(
        ends.listener,
        {},
        { s: keys.listener, psk },
        {
          otherCode: (wasMadeWith) => {
            found.push(
              wasMadeWith(Buffer.alloc(32, 9)),
              wasMadeWith(psk),
              wasMadeWith(once),
              wasMadeWith(once),
            );
            return new ImgmvError('code-used', 'it was used');
          },
        },
      ),
    );
    const ours = preamble({ kind: 'pair', lane: 0, sessionId: bytes(ZEROS) });
    const channel = await dialWith(ends.dialler, ours, { s: keys.dialler, psk: once });
    expect(await accepting).toBe('code-used');
    expect(found).toEqual([false, false, true, true]);
    expect(await channel.closed).toMatchObject({ code: 4112, reason: 'code-used' });
  });

  test('a preamble that was changed on the way is refused by the dialler, before its message 3', async () => {
    await using ends = await sockets();
    const accepting = codeOf(accept(ends.listener));
    const prologue = Buffer.concat([NEGOTIATED, bytes(LANE), bytes(LANE)]);
    await expect(dialByHand(ends.dialler, LANE, { prologue })).rejects.toMatchObject({
      code: 'handshake-failed',
    });
    ends.dialler.destroy();
    expect(await accepting).toBe('peer-lost');
  });

  test.each([
    ['a newer version is taken out of the offer', ['imgmv.9', 'imgmv.2'], ['imgmv.2']],
    ['the offer is put in another order', ['imgmv.9', 'imgmv.2'], ['imgmv.2', 'imgmv.9']],
    ['a protocol is added', ['imgmv.2'], ['imgmv.2', 'chat']],
  ])(
    'where %s on the way the handshake fails on both sides, of a lane as of a pairing',
    async (_name, sent, received) => {
      for (const kind of ['pair', 'lane'] as const) {
        await using ends = await sockets();
        said(ends.dialler, sent);
        said(ends.listener, received);
        const secret = kind === 'pair' ? { psk } : {};
        const accepting = codeOf(accept(ends.listener, {}, { s: keys.listener, ...secret }));
        const dialling = dialWith(ends.dialler, preamble({ kind, lane: kind === 'pair' ? 0 : 1 }), {
          s: keys.dialler,
          ...secret,
        });
        await expect(dialling).rejects.toMatchObject({
          code: 'handshake-failed',
          message: expect.stringContaining('altered on the way'),
        });
        expect(await accepting).toBe('handshake-failed');
        expect((await ends.dialler.closed).code).toBe(4512);
      }
    },
  );

  test('the same offer of several versions on both sides is taken', async () => {
    await using ends = await sockets();
    for (const socket of [ends.dialler, ends.listener]) said(socket, ['imgmv.9', 'imgmv.2']);
    const accepting = accept(ends.listener);
    expect((await dialWith(ends.dialler, preamble({}))).h).toEqual((await accepting).h);
  });

  test('another key than the pinned one is refused by either side', async () => {
    const stranger = generateKeyPair().publicKey;
    {
      await using ends = await sockets();
      const accepting = codeOf(accept(ends.listener, {}, { s: keys.listener, rs: stranger }));
      const channel = await dialWith(ends.dialler, preamble({}));
      expect(await accepting).toBe('handshake-failed');
      expect(await channel.closed).toMatchObject({ code: 4512, reason: 'handshake-failed' });
    }
    await using ends = await sockets();
    const accepting = codeOf(accept(ends.listener));
    expect(await codeOf(dialWith(ends.dialler, preamble({}), { s: keys.dialler, rs: stranger }))).toBe(
      'handshake-failed',
    );
    expect(await accepting).toBe('handshake-failed');
  });

  test.each([
    ['the same role', { role: 'sender' }, 'role-mismatch', 4115],
    ['another kind', { kind: 'reconnect' }, 'protocol-violation', 4213],
    ['another lane', { lane: 2 }, 'protocol-violation', 4213],
    ['another generation', { generation: 1 }, 'protocol-violation', 4213],
    ['another session', { sessionId: bytes(SALT) }, 'protocol-violation', 4213],
  ] as const)('a listener that says %s is refused', async (_name, change, code, close) => {
    await using ends = await sockets();
    const accepting = codeOf(accept(ends.listener, change));
    expect(await codeOf(dialWith(ends.dialler, preamble({})))).toBe(code);
    expect(await accepting).toBe(code);
    expect(await ends.listener.closed).toMatchObject({ code: close });
  });

  test('what the listener does not admit is told by its close code, and gets no preamble', async () => {
    await using ends = await sockets();
    const admit = () => {
      throw new ImgmvError('session-unknown', 'a reason that stays here');
    };
    const accepting = codeOf(acceptChannel(ends.listener, { admit }));
    expect(await codeOf(dialWith(ends.dialler, preamble({})))).toBe('session-unknown');
    expect(await accepting).toBe('session-unknown');
    expect(await ends.dialler.closed).toMatchObject({ code: 4211, reason: 'session-unknown' });
    expect(ends.dialler.bytesReceived).toBe(0);
  });

  test.each([
    ['preamble', 0],
    ['message 1', 1],
    ['message 3', 2],
  ])('a dialler that goes silent before its %s is dropped at the deadline', async (_name, messages) => {
    await using ends = await sockets();
    const accepting = codeOf(accept(ends.listener, {}, { s: keys.listener }, { handshakeTimeoutMs: 300 }));
    const started = performance.now();
    if (messages > 0) ends.dialler.send(bytes(LANE));
    if (messages > 1) ends.dialler.send(generateKeyPair().publicKey as Buffer);
    expect(await accepting).toBe('no-answer');
    await ends.dialler.closed;
    expect(performance.now() - started).toBeGreaterThan(250);
    // Not by the deadline of a handshake that is not told another one.
    expect(performance.now() - started).toBeLessThan(HANDSHAKE_TIMEOUT_MS);
  });

  test('messages before anybody reads them are bounded', async () => {
    await using ends = await sockets();
    for (let count = 0; count < 9; count++) ends.dialler.send(bytes(LANE));
    expect(await ends.dialler.closed).toMatchObject({ code: 1006 });
  });
});

describe('records', () => {
  test('a record is one message, 16 bytes longer than what it carries, up to 65,535', async () => {
    await using ends = await channels();
    const lengths: number[] = [];
    ends.listener.consume((record) => lengths.push(record.length));
    const before = ends.dialler.socket.bytesSent;
    for (const length of [0, 1, RECORD_MAX_BYTES]) ends.dialler.send(Buffer.alloc(length));
    await until(() => lengths.length === 3);
    expect(lengths).toEqual([0, 1, 65_519]);
    expect(ends.dialler.socket.bytesSent - before).toBe(16 + 17 + NOISE_MESSAGE_MAX_BYTES);
    expect(() => ends.dialler.send(Buffer.alloc(RECORD_MAX_BYTES + 1))).toThrow('65519');
  });

  /** Records of a channel as they are on the wire. */
  async function twoRecords() {
    const ends = await channels();
    const wire: Buffer[] = [];
    const { socket } = ends.dialler;
    const send = socket.send.bind(socket);
    socket.send = (message) => void wire.push(message);
    ends.dialler.send(Buffer.from('one'));
    ends.dialler.send(Buffer.from('two'));
    const [one, two] = wire as [Buffer, Buffer];
    const taken: string[] = [];
    ends.listener.consume((record) => taken.push(record.toString()));
    return { ends, send, one, two, taken };
  }

  test('in order they are taken', async () => {
    const { ends, send, one, two, taken } = await twoRecords();
    await using _ = ends;
    send(one);
    send(two);
    await until(() => taken.length === 2);
    expect(taken).toEqual(['one', 'two']);
  });

  test.each([
    ['altered', ({ one }: Wire) => [Buffer.from(one.map((byte, at) => (at === 0 ? byte ^ 1 : byte)))], []],
    [
      'with an altered tag',
      ({ one }: Wire) => [Buffer.from(one.map((b, at) => (at === 18 ? b ^ 1 : b)))],
      [],
    ],
    ['repeated', ({ one }: Wire) => [one, one], ['one']],
    ['out of order', ({ one, two }: Wire) => [two, one], []],
    ['cut', ({ one }: Wire) => [one.subarray(0, 15)], []],
    ['empty', () => [Buffer.alloc(0)], []],
  ])('%s they end the channel with 4113, and nothing after is taken', async (_name, make, want) => {
    const wire = await twoRecords();
    await using ends = wire.ends;
    for (const message of [...make(wire), wire.two]) wire.send(message);
    expect(await ends.dialler.closed).toMatchObject({ code: 4113, reason: 'channel-corrupt' });
    expect(wire.taken).toEqual(want);
    expect((await ends.listener.ended()).code).toBe('channel-corrupt');
    expect((await ends.dialler.ended()).code).toBe('channel-corrupt');
  });

  test('reflected to their writer, they end its channel', async () => {
    const { ends, one } = await twoRecords();
    await using _ = ends;
    ends.dialler.consume(() => expect.unreachable());
    ends.listener.socket.send(one);
    expect((await ends.dialler.ended()).code).toBe('channel-corrupt');
  });

  test('records of another connection with the same keys are refused', async () => {
    const first = await twoRecords();
    await using _first = first.ends;
    const second = await twoRecords();
    await using _second = second.ends;
    second.send(first.one);
    expect(await second.ends.dialler.closed).toMatchObject({ code: 4113 });
    expect(second.taken).toEqual([]);
  });

  test('a fault in a handler closes with its code, and sends no word of it', async () => {
    await using ends = await channels();
    ends.listener.consume(() => {
      throw new Error('name of a secret image');
    });
    ends.dialler.send(Buffer.from('x'));
    expect(await ends.dialler.closed).toMatchObject({ code: 4001, reason: 'internal' });
  });
});

type Wire = { readonly one: Buffer; readonly two: Buffer };

describe('close codes', () => {
  test.each(ERROR_CODES)('%s is told as what its reader acts on', async (code) => {
    await using ends = await channels();
    const error = new ImgmvError(code, 'never on the wire');
    ends.listener.fail(error);
    const close = await ends.dialler.closed;
    expect(close).toMatchObject({ code: error.closeCode, reason: code });
    const told = await ends.dialler.ended();
    // How the other side was called, and its faults, are none of this side's.
    if (['usage', 'internal', 'not-installed'].includes(code)) expect(told.code).toBe('peer-failed');
    else {
      expect(told.closeCode).toBe(error.closeCode);
      expect(told.exit === error.exit || told.code === 'peer-stopped').toBe(true);
    }
    expect(told.message).not.toContain('never on the wire');
  });

  test('of the codes that share a number, the one that means something to the other side is read', () => {
    expect([4011, 4012, 4111].map(codeOfClose)).toEqual(['peer-lost', 'wrong-code', 'peer-stopped']);
    expect([1000, 1006, 3999, 4999].map(codeOfClose)).toEqual([undefined, undefined, undefined, undefined]);
  });

  test('a close without a code of ours is a loss, whoever began it', async () => {
    await using ends = await channels();
    ends.listener.close();
    expect(await ends.dialler.closed).toMatchObject({ code: 1000 });
    expect((await ends.dialler.ended()).code).toBe('peer-lost');
    await pause(0);
  });
});
