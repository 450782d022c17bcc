/** Preambles, handshakes and records: what comes before a lane, from strangers. PROTOCOL.md sections 2 to 4. */
import fc from 'fast-check';
import nacl from 'tweetnacl';
import {
  acceptChannel,
  decodePreamble,
  dialChannel,
  encodePreamble,
  type Preamble,
} from '../../proto/channel.ts';
import { CipherState } from '../../proto/cipher-state.ts';
import { codeOfClose, ERROR_CODES, ImgmvError } from '../../proto/errors.ts';
import { NOISE_TAG_BYTES, PREAMBLE_BYTES, RECORD_MAX_BYTES } from '../../proto/limits.ts';
import { HandshakeState, type Pattern } from '../../proto/noise.ts';
import { errorOfClose, SUBPROTOCOL } from '../../proto/websocket.ts';
import { bytesLike, mutated, mutatedInPlace, rawBytes } from './bytes.ts';
import { decoded, decodedLater, holds, refused } from './refusal.ts';
import { target } from './target.ts';
import { nastyText } from './text.ts';
import { FakeSocket } from './wire.ts';

const keyOf = (fill: number) => nacl.box.keyPair.fromSecretKey(Buffer.alloc(32, fill));
const [S_DIALLER, E_DIALLER, S_LISTENER, E_LISTENER] = [keyOf(1), keyOf(2), keyOf(3), keyOf(4)];
const PSK = Buffer.alloc(32, 5);
const PROLOGUE = Buffer.from('a prologue');
const NOTHING = Buffer.alloc(0);
const PATTERNS: readonly Pattern[] = ['XX', 'XXpsk3'];

const preamble: fc.Arbitrary<Buffer> = fc
  .record({
    kind: fc.constantFrom<Preamble['kind']>('pair', 'trusted', 'reconnect', 'lane'),
    role: fc.constantFrom<Preamble['role']>('sender', 'receiver'),
    lane: fc.nat(0xffff),
    generation: fc.nat(0xffff_ffff),
    sessionId: rawBytes(16, 16),
    salt: rawBytes(16, 16),
  })
  .map(encodePreamble);

const preambles = target({
  name: 'channel/preamble',
  share: 40,
  input: bytesLike(preamble, 64),
  check: (bytes) => {
    const value = decoded(['protocol-violation'], () => decodePreamble(bytes));
    if (!value) return;
    holds(bytes.length === PREAMBLE_BYTES, 'a preamble has 48 bytes');
    holds(encodePreamble(value).equals(bytes), 'a preamble that is taken is written as the same bytes');
  },
});

/** What is done to the records between two ciphers. */
type RecordStep = readonly [action: number, bytes: Buffer, which: number];

const records = target<{ plain: readonly Buffer[]; steps: readonly RecordStep[] }>({
  name: 'channel/records',
  share: 20,
  input: fc.record({
    plain: fc.array(fc.oneof(rawBytes(40), fc.constant(Buffer.alloc(RECORD_MAX_BYTES))), {
      minLength: 1,
      maxLength: 4,
    }),
    steps: fc.array(fc.tuple(fc.nat(5), rawBytes(40), fc.nat(3)), { maxLength: 2 }),
  }),
  check: ({ plain, steps }) => {
    const [k, receive] = [Buffer.alloc(32, 9), new CipherState(Buffer.alloc(32, 9))];
    const send = new CipherState(k);
    const wire = plain.map((record) => send.encrypt(record));
    const sent = [...wire];
    for (const [action, bytes, which] of steps) changeRecords(sent, action, bytes, which);
    let failed: unknown;
    for (const [at, record] of sent.entries()) {
      const genuine = failed === undefined && wire[at]?.equals(record) === true;
      try {
        const got = receive.decrypt(record);
        holds(genuine, 'only what was sent, in its order, decrypts');
        holds(plain[at]?.equals(got) === true, 'a record is what was sent');
      } catch (error) {
        refused(['channel-corrupt'], error);
        holds(!genuine, 'what was sent decrypts');
        holds(failed === undefined || failed === error, 'a state that has failed fails alike');
        failed ??= error;
      }
    }
  },
});

function changeRecords(sent: Buffer[], action: number, bytes: Buffer, which: number): void {
  const at = which % Math.max(1, sent.length);
  const record = sent[at] ?? NOTHING;
  if (action === 0) sent.splice(at, 1);
  else if (action === 1) sent.splice(at, 0, record);
  else if (action === 2) sent.push(...sent.splice(at, 1));
  else if (action === 3) sent[at] = record.subarray(0, bytes.length);
  else if (action === 4) sent[at] = bytes;
  else {
    const altered = Buffer.from(record);
    for (const [index, byte] of bytes.entries()) {
      const place = (byte * 257 + index) % Math.max(1, altered.length);
      altered[place] = (altered[place] ?? 0) ^ byte;
    }
    sent[at] = altered;
  }
}

/** Both sides of a handshake, the same in every run, so that a message can be changed and all else stay. */
function sides(pattern: Pattern, prologue = PROLOGUE, psk = PSK) {
  const secret = pattern === 'XXpsk3' ? { psk } : {};
  const common = { pattern, prologue, ...secret };
  return {
    dialler: new HandshakeState({ ...common, initiator: true, s: S_DIALLER, e: E_DIALLER }),
    listener: new HandshakeState({ ...common, initiator: false, s: S_LISTENER, e: E_LISTENER }),
  };
}

/** The three messages of an honest handshake. */
const transcripts = new Map(
  PATTERNS.map((pattern) => {
    const { dialler, listener } = sides(pattern);
    const first = dialler.writeMessage(NOTHING);
    listener.readMessage(first);
    const second = listener.writeMessage(NOTHING);
    dialler.readMessage(second);
    return [pattern, [first, second, dialler.writeMessage(NOTHING)]] as const;
  }),
);

const honest = (pattern: Pattern, turn: number): Buffer => transcripts.get(pattern)?.[turn] ?? NOTHING;

/** Public keys whose DH is zero, whatever the secret one is: cr.yp.to/ecdh.html. */
const WORTHLESS = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  `ecffffff${'ff'.repeat(27)}7f`,
  `edffffff${'ff'.repeat(27)}7f`,
  `eeffffff${'ff'.repeat(27)}7f`,
].map((point) => Buffer.from(point, 'hex'));

/** With one of these in the place of `e`. */
function worthless(message: Buffer): Buffer[] {
  return WORTHLESS.map((point) => Buffer.concat([point, message.subarray(32)]));
}

/** One message, read by the side that is to read it. Points of small order are among those that strangers send. */
const handshakeMessages = PATTERNS.flatMap((pattern) =>
  [0, 1, 2].map((turn) =>
    target({
      name: `noise/${pattern}-${turn + 1}`,
      share: turn === 0 ? 10 : 6,
      input: fc.oneof(
        { weight: 6, arbitrary: bytesLike(fc.constant(honest(pattern, turn)), 200) },
        { weight: 1, arbitrary: fc.constantFrom(...worthless(honest(pattern, turn))) },
      ),
      check: (message) => {
        const { dialler, listener } = sides(pattern);
        const reader = turn === 1 ? dialler : listener;
        if (turn === 1) dialler.writeMessage(NOTHING);
        if (turn === 2) {
          listener.readMessage(honest(pattern, 0));
          listener.writeMessage(NOTHING);
        }
        const payload = decoded(['handshake-failed'], () => reader.readMessage(message));
        if (payload === undefined) {
          holds(!reader.finished, 'a handshake that failed is not finished');
          holds(reader.rs === undefined, 'a handshake that failed has proven no key');
          decoded(['handshake-failed'], () => reader.writeMessage(NOTHING));
          return;
        }
        // A first message is in clear: any 32 bytes are a key, and what follows is its payload.
        const whole =
          turn === 0 && pattern === 'XX' ? message.length >= 32 : message.equals(honest(pattern, turn));
        holds(whole || (turn === 0 && message.length >= 48), 'only an honest message is read');
        holds(payload.length <= message.length, 'a payload is a part of its message');
        if (turn === 0 && WORTHLESS.some((point) => message.subarray(0, 32).equals(point)))
          holds(
            decoded(['handshake-failed'], () => reader.writeMessage(NOTHING)) === undefined,
            'a worthless key is refused',
          );
        holds(reader.finished === (turn === 2), 'a handshake is finished by its third message');
      },
    }),
  ),
);

/** A whole handshake in which something between the two changes messages, or the two began from different things. */
const transcript = target<{ psk3: boolean; messages: readonly Buffer[]; prologue: Buffer; psk: Buffer }>({
  name: 'noise/transcript',
  share: 4,
  input: fc.constantFrom(...PATTERNS).chain((pattern) =>
    fc.record({
      psk3: fc.constant(pattern === 'XXpsk3'),
      messages: fc.tuple(...[0, 1, 2].map((turn) => mutatedRarely(honest(pattern, turn)))),
      prologue: mutatedRarely(PROLOGUE),
      psk: mutatedRarely(PSK, mutatedInPlace),
    }),
  ),
  check: ({ psk3, messages, prologue, psk }) => {
    const pattern = psk3 ? 'XXpsk3' : 'XX';
    const { dialler } = sides(pattern);
    const { listener } = sides(pattern, Buffer.from(prologue), Buffer.from(psk));
    const [first = NOTHING, second = NOTHING, third = NOTHING] = messages;
    const wrong = ['handshake-failed'] as const;
    const sent = [dialler.writeMessage(NOTHING)];
    const heard = decoded(wrong, () => listener.readMessage(first));
    if (heard !== undefined) {
      // What the listener answers depends on what it read: only an answer to the honest message may be replaced.
      const answer = listener.writeMessage(NOTHING);
      sent.push(answer);
      const read = decoded(wrong, () =>
        dialler.readMessage(second.equals(honest(pattern, 1)) ? answer : second),
      );
      if (read !== undefined) {
        const last = dialler.writeMessage(NOTHING);
        sent.push(last);
        decoded(wrong, () => listener.readMessage(third.equals(honest(pattern, 2)) ? last : third));
      }
    }
    const untouched =
      messages.every((message, turn) => message.equals(honest(pattern, turn))) &&
      prologue.equals(PROLOGUE) &&
      (!psk3 || psk.equals(PSK));
    holds(listener.finished === untouched, 'a handshake ends well exactly if nobody changed it');
    if (!untouched) return;
    holds(dialler.h.equals(listener.h), 'both sides have the same hash');
    const [ours, theirs] = [dialler.split(), listener.split()];
    const record = ours.send.encrypt(PROLOGUE);
    holds(theirs.receive.decrypt(record).equals(PROLOGUE), 'both sides have the same keys');
  },
});

function mutatedRarely(bytes: Buffer, how: typeof mutated = mutated): fc.Arbitrary<Buffer> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.constant(bytes) },
    { weight: 1, arbitrary: how(fc.constant(bytes)) },
  );
}

/** What either side of a connection may fail with before it is a channel. */
const REFUSALS = [
  'protocol-violation',
  'role-mismatch',
  'handshake-failed',
  'wrong-code',
  'peer-lost',
  'session-unknown',
] as const;

/** All that a stranger says to a listener, or a false listener to a dialler: never a channel, always a close code. */
const strangers = target<{ listens: boolean; messages: readonly Buffer[] }>({
  name: 'channel/strangers',
  share: 6,
  input: fc.record({
    listens: fc.boolean(),
    messages: fc
      .tuple(
        bytesLike(preamble, 64),
        fc.array(fc.oneof(...[0, 1, 2].map((turn) => bytesLike(fc.constant(honest('XXpsk3', turn)), 100))), {
          maxLength: 3,
        }),
      )
      .map(([first, others]) => [first, ...others]),
  }),
  check: async ({ listens, messages }) => {
    const socket = new FakeSocket(messages);
    const ours: Preamble = {
      kind: 'pair',
      role: listens ? 'receiver' : 'sender',
      lane: 0,
      generation: 0,
      sessionId: Buffer.alloc(16, 7),
      salt: Buffer.alloc(16, 8),
    };
    const credentials = { s: S_LISTENER, psk: PSK };
    const channel = await decodedLater(REFUSALS, () =>
      listens
        ? acceptChannel(socket.asSocket, {
            admit: (dialler) => {
              if (dialler.role === 'receiver') throw new ImgmvError('role-mismatch', 'both receive');
              if (dialler.kind !== 'pair') throw new ImgmvError('session-unknown', 'no session');
              return { preamble: ours, credentials };
            },
          })
        : dialChannel(socket.asSocket, { preamble: ours, credentials: async () => credentials }),
    );
    holds(channel === undefined, 'a stranger gets no channel');
    holds(!socket.open, 'the connection of a stranger is closed');
    // The preamble, and the message or two of a handshake that hide nothing.
    const most = listens ? 48 + 96 : 48 + 48 + 64;
    holds(socket.bytesSent <= most, `a stranger gets at most ${most} bytes, got ${socket.bytesSent}`);
    for (const message of socket.sent.slice(1))
      holds(message.length >= 32 + NOISE_TAG_BYTES, 'what a stranger gets is a handshake');
  },
});

/** What the other side gives as its reason: anybody may have written it. */
const closes = target<{ code: number; reason: string }>({
  name: 'channel/close',
  share: 20,
  input: fc.record({
    code: fc.oneof(
      fc.constantFrom(...ERROR_CODES.map((code) => new ImgmvError(code, '').closeCode)),
      fc.nat(65_535),
    ),
    reason: fc.oneof(
      fc.nat(99_999).map((seconds) => `wait ${seconds} s`),
      nastyText,
    ),
  }),
  check: ({ code, reason }) => {
    const told = errorOfClose({ code, reason });
    const named = codeOfClose(code) ?? 'peer-lost';
    const ours = named === 'usage' || named === 'internal' ? 'peer-failed' : named;
    holds(told.code === ours, 'a close code means what the table says');
    const seconds = /^wait ([0-9]{1,4}) s$/.exec(reason)?.[1];
    const shown = `${told.message} ${told.hint ?? ''}`;
    holds(/^[\x20-\x7e]+$/.test(shown), `what is shown of a reason is ours: ${shown}`);
    if (seconds !== undefined && codeOfClose(code))
      holds(shown.includes(`wait ${seconds} s`), 'seconds to wait are told');
  },
});

/** Not a decoder, but what all of the above is bound to. */
holds(SUBPROTOCOL === 'imgmv.2', 'these targets are of version 2');

export const channelTargets = [preambles, records, ...handshakeMessages, transcript, strangers, closes];
