/** What noise.ts refuses. That it agrees with everyone else is for the vectors and the interop tests to show. */
import { createCipheriv, createPrivateKey, createPublicKey, randomBytes, randomInt } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { CipherState } from '../../proto/cipher-state.ts';
import { type ErrorCode, ImgmvError } from '../../proto/errors.ts';
import { generateKeyPair, type HandshakeOptions, HandshakeState, type Pattern } from '../../proto/noise.ts';

const PATTERNS: readonly Pattern[] = ['XX', 'XXpsk3'];
const PAYLOAD = Buffer.from('ab');
const EMPTY = Buffer.alloc(0);
const MAX_PLAINTEXT = 65_519;

const initiatorKeys = generateKeyPair();
const responderKeys = generateKeyPair();
const sharedPsk = Buffer.alloc(32, 7);

function start(
  pattern: Pattern,
  initiator: boolean,
  options: Partial<HandshakeOptions> = {},
): HandshakeState {
  return new HandshakeState({
    pattern,
    initiator,
    prologue: Buffer.from('prologue'),
    s: initiator ? initiatorKeys : responderKeys,
    ...(pattern === 'XXpsk3' ? { psk: sharedPsk } : {}),
    ...options,
  });
}

/** Runs all three messages, each passed through `alter` with its number from 1. */
function shake(
  initiator: HandshakeState,
  responder: HandshakeState,
  alter: (message: Buffer, number: number) => Uint8Array = (message) => message,
): void {
  responder.readMessage(alter(initiator.writeMessage(PAYLOAD), 1));
  initiator.readMessage(alter(responder.writeMessage(PAYLOAD), 2));
  responder.readMessage(alter(initiator.writeMessage(PAYLOAD), 3));
}

function finishedPair(pattern: Pattern): [HandshakeState, HandshakeState] {
  const initiator = start(pattern, true);
  const responder = start(pattern, false);
  shake(initiator, responder);
  return [initiator, responder];
}

/** The lengths of the three messages of `shake`. */
function messageLengths(pattern: Pattern): number[] {
  const lengths: number[] = [];
  shake(start(pattern, true), start(pattern, false), (message) => {
    lengths.push(message.length);
    return message;
  });
  return lengths;
}

/** Every seventh byte, from one of the first seven on: each of them costs multiplications on the curve. */
function positions(length: number): number[] {
  const first = randomInt(7);
  return Array.from({ length: Math.ceil((length - first) / 7) }, (_, at) => first + 7 * at);
}

function failure(action: () => unknown): ImgmvError {
  try {
    action();
  } catch (error) {
    if (error instanceof ImgmvError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

function codeOf(action: () => unknown): ErrorCode {
  return failure(action).code;
}

describe.each(PATTERNS)('handshake %s', (pattern) => {
  test('ends with one hash, the true static keys, and ciphers that face each other', () => {
    const [initiator, responder] = finishedPair(pattern);
    expect(initiator.finished && responder.finished).toBe(true);
    expect(initiator.h).toEqual(responder.h);
    expect(initiator.rs).toEqual(Buffer.from(responderKeys.publicKey));
    expect(responder.rs).toEqual(Buffer.from(initiatorKeys.publicKey));
    const [here, there] = [initiator.split(), responder.split()];
    expect(there.receive.decrypt(here.send.encrypt(PAYLOAD))).toEqual(PAYLOAD);
    expect(here.receive.decrypt(there.send.encrypt(PAYLOAD))).toEqual(PAYLOAD);
  });

  test('two handshakes of the same keys have nothing in common', () => {
    const [[first], [second]] = [finishedPair(pattern), finishedPair(pattern)];
    expect(first.h).not.toEqual(second.h);
    const record = first.split().send.encrypt(PAYLOAD);
    expect(second.split().send.encrypt(PAYLOAD)).not.toEqual(record);
  });

  test('the initiator knows the responder before it shows its own key', () => {
    const initiator = start(pattern, true);
    const responder = start(pattern, false);
    responder.readMessage(initiator.writeMessage(PAYLOAD));
    expect(initiator.rs).toBeUndefined();
    initiator.readMessage(responder.writeMessage(PAYLOAD));
    expect(initiator.rs).toEqual(Buffer.from(responderKeys.publicKey));
    expect(responder.rs).toBeUndefined();
  });

  test('another prologue is refused by the first side that can tell', () => {
    const responder = start(pattern, false, { prologue: Buffer.from('other') });
    expect(codeOf(() => shake(start(pattern, true), responder))).toBe('handshake-failed');
    expect(responder.finished).toBe(false);
  });

  test.each([1, 2, 3])('message %i: a bit turned anywhere is refused', (number) => {
    const length = messageLengths(pattern)[number - 1] ?? 0;
    expect(length).toBeGreaterThanOrEqual(34);
    for (const position of positions(length)) {
      const initiator = start(pattern, true);
      const responder = start(pattern, false);
      const alter = (message: Buffer, at: number) => {
        // The top bit: of the last byte of a public key, X25519 itself ignores it.
        if (at === number) message[position] = (message[position] ?? 0) ^ 0x80;
        return message;
      };
      expect(
        codeOf(() => shake(initiator, responder, alter)),
        `at ${position}`,
      ).toBe('handshake-failed');
      expect(initiator.finished && responder.finished).toBe(false);
    }
  });

  test.each([1, 2, 3])('message %i: cut anywhere, or one byte longer, is refused', (number) => {
    const length = messageLengths(pattern)[number - 1] ?? 0;
    for (const cut of positions(length + 1)) {
      const alter = (message: Buffer, at: number) => {
        if (at !== number) return message;
        return cut < length ? message.subarray(0, cut) : Buffer.concat([message, Buffer.of(0)]);
      };
      const [initiator, responder] = [start(pattern, true), start(pattern, false)];
      expect(
        codeOf(() => shake(initiator, responder, alter)),
        `at ${cut}`,
      ).toBe('handshake-failed');
      expect(initiator.finished && responder.finished).toBe(false);
    }
  });

  test('a handshake that failed gives the same error for ever, and no key', () => {
    const initiator = start(pattern, true);
    const responder = start(pattern, false);
    const error = failure(() =>
      shake(initiator, responder, (message, at) => (at === 3 ? message.reverse() : message)),
    );
    for (const use of [
      () => responder.readMessage(EMPTY),
      () => responder.writeMessage(EMPTY),
      () => responder.split(),
      () => responder.h,
    ]) {
      expect(failure(use)).toBe(error);
    }
    expect(responder.finished).toBe(false);
    expect(responder.rs).toBeUndefined();
  });

  test('a message longer than 65,535 bytes is refused, and never written', () => {
    expect(codeOf(() => start(pattern, false).readMessage(Buffer.alloc(65_536)))).toBe('handshake-failed');
    expect(codeOf(() => start(pattern, true).writeMessage(Buffer.alloc(65_536 - 32)))).toBe('internal');
    const payload = Buffer.alloc(65_535 - 32 - (pattern === 'XXpsk3' ? 16 : 0), 1);
    const message = start(pattern, true).writeMessage(payload);
    expect(message.length).toBe(65_535);
    expect(start(pattern, false).readMessage(message)).toEqual(payload);
  });

  test('a call out of turn is our own mistake, and changes nothing', () => {
    const initiator = start(pattern, true);
    const responder = start(pattern, false);
    const idle = (state: HandshakeState) => {
      expect(codeOf(() => state.split())).toBe('internal');
      expect(codeOf(() => state.h)).toBe('internal');
    };
    for (const [from, to] of [
      [initiator, responder],
      [responder, initiator],
      [initiator, responder],
    ] as const) {
      expect(codeOf(() => from.readMessage(Buffer.alloc(200)))).toBe('internal');
      expect(codeOf(() => to.writeMessage(PAYLOAD))).toBe('internal');
      idle(from);
      idle(to);
      to.readMessage(from.writeMessage(PAYLOAD));
    }
    for (const state of [initiator, responder]) {
      expect(codeOf(() => state.writeMessage(PAYLOAD))).toBe('internal');
      expect(codeOf(() => state.readMessage(PAYLOAD))).toBe('internal');
    }
    expect(initiator.h).toEqual(responder.h);
  });

  test('the ciphers are given once', () => {
    for (const state of finishedPair(pattern)) {
      const h = Buffer.from(state.h);
      state.split();
      expect(codeOf(() => state.split())).toBe('internal');
      expect(state.h).toEqual(h);
    }
  });

  // Points of small order: https://cr.yp.to/ecdh.html#validate. The top bit is ignored, so each has a twin.
  test.each([
    ['0', '0000000000000000000000000000000000000000000000000000000000000000'],
    ['0 with the top bit', '0000000000000000000000000000000000000000000000000000000000000080'],
    ['1', '0100000000000000000000000000000000000000000000000000000000000000'],
    ['order 8', 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'],
    ['order 8, the other', '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157'],
    ['p-1', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['p', 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['p+1', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ])('a worthless public key is refused wherever it stands: %s', (_name, hex) => {
    const publicKey = Buffer.from(hex, 'hex');
    const worthless = { publicKey, secretKey: generateKeyPair().secretKey };
    const ephemeralOfInitiator = () => shake(start(pattern, true, { e: worthless }), start(pattern, false));
    const ephemeralOfResponder = () => shake(start(pattern, true), start(pattern, false, { e: worthless }));
    const staticOfResponder = () => shake(start(pattern, true), start(pattern, false, { s: worthless }));
    const staticOfInitiator = () => shake(start(pattern, true, { s: worthless }), start(pattern, false));
    for (const attack of [ephemeralOfInitiator, ephemeralOfResponder, staticOfResponder, staticOfInitiator]) {
      const error = failure(attack);
      expect(error.code).toBe('handshake-failed');
      // Refused for itself; a message that does not decrypt would have the cipher's error as its cause.
      expect(error.cause).toBeUndefined();
    }
  });
});

describe('psk', () => {
  test('another psk is refused by the responder, at message 3', () => {
    const initiator = start('XXpsk3', true, { psk: Buffer.alloc(32, 8) });
    const responder = start('XXpsk3', false);
    let reached = 0;
    const count = (message: Buffer, number: number) => {
      reached = number;
      return message;
    };
    expect(codeOf(() => shake(initiator, responder, count))).toBe('handshake-failed');
    expect(reached).toBe(3);
    expect(responder.rs).toBeUndefined();
  });

  test('the initiator cannot tell: it must send nothing before it has read a record', () => {
    const initiator = start('XXpsk3', true);
    const responder = start('XXpsk3', false, { psk: Buffer.alloc(32, 8) });
    expect(codeOf(() => shake(initiator, responder))).toBe('handshake-failed');
    expect(initiator.finished).toBe(true);
    expect(responder.finished).toBe(false);
  });

  test.each([
    ['XX', { psk: sharedPsk }],
    ['XXpsk3', { psk: Buffer.alloc(31) }],
    ['XXpsk3', { psk: EMPTY }],
  ] as const)('%s with a psk of the wrong length, or none of its own, does not start', (pattern, options) => {
    expect(codeOf(() => start(pattern, true, options))).toBe('internal');
  });

  test('XXpsk3 without a psk does not start', () => {
    const options = { pattern: 'XXpsk3', initiator: true, prologue: EMPTY, s: initiatorKeys } as const;
    expect(codeOf(() => new HandshakeState(options))).toBe('internal');
  });

  test('the two patterns do not understand each other', () => {
    expect(codeOf(() => shake(start('XX', true), start('XXpsk3', false)))).toBe('handshake-failed');
    expect(codeOf(() => shake(start('XXpsk3', true), start('XX', false)))).toBe('handshake-failed');
  });
});

describe('keys', () => {
  test('are made anew each time', () => {
    expect(generateKeyPair().secretKey).not.toEqual(generateKeyPair().secretKey);
  });

  test('openssl computes the same public key', () => {
    const { publicKey, secretKey } = generateKeyPair();
    // A PKCS #8 wrapping of an X25519 key (RFC 8410 section 7).
    const key = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), secretKey]);
    const { x } = createPublicKey(createPrivateKey({ key, format: 'der', type: 'pkcs8' })).export({
      format: 'jwk',
    });
    expect(x).toBe(Buffer.from(publicKey).toString('base64url'));
  });

  test('keys of another length are our own mistake', () => {
    const short = { publicKey: Buffer.alloc(32), secretKey: Buffer.alloc(31) };
    expect(codeOf(() => start('XX', true, { s: short }))).toBe('internal');
    const long = { publicKey: Buffer.alloc(33), secretKey: Buffer.alloc(32) };
    expect(codeOf(() => start('XX', true, { s: long }))).toBe('internal');
  });
});

describe('records', () => {
  const k = randomBytes(32);

  test.each([
    [0n, '000000000000000000000000'],
    [1n, '000000000000000000000001'],
    [0x0102030405060708n, '000000000102030405060708'],
    [2n ** 32n, '000000000000000100000000'],
    [2n ** 64n - 2n, '00000000fffffffffffffffe'],
  ])('nonce %i is %s in hex: four zero bytes, then big-endian', (n, nonce) => {
    const cipher = createCipheriv('aes-256-gcm', k, Buffer.from(nonce, 'hex'));
    const want = Buffer.concat([cipher.update(PAYLOAD), cipher.final(), cipher.getAuthTag()]);
    expect(new CipherState(k, n).encrypt(PAYLOAD)).toEqual(want);
    expect(new CipherState(k, n).decrypt(want)).toEqual(PAYLOAD);
  });

  test('the nonce counts messages', () => {
    const state = new CipherState(k, 254n);
    for (const n of [254n, 255n, 256n, 257n]) {
      expect(state.encrypt(PAYLOAD)).toEqual(new CipherState(k, n).encrypt(PAYLOAD));
    }
  });

  test('the last nonce is reserved', () => {
    const [send, receive] = [new CipherState(k, 2n ** 64n - 2n), new CipherState(k, 2n ** 64n - 2n)];
    const last = send.encrypt(PAYLOAD);
    expect(receive.decrypt(last)).toEqual(PAYLOAD);
    for (let again = 0; again < 2; again++) {
      expect(codeOf(() => send.encrypt(PAYLOAD))).toBe('internal');
      expect(codeOf(() => receive.decrypt(last))).toBe('internal');
    }
  });

  test.each([
    ['repeated', [0, 0]],
    ['skipped', [1]],
    ['reordered', [0, 2, 1]],
  ])('a record that is %s is refused, and ends the direction', (_name, order) => {
    const send = new CipherState(k);
    const records = [0, 1, 2].map((n) => send.encrypt(Buffer.of(n)));
    const receive = new CipherState(k);
    const error = failure(() => {
      for (const index of order) receive.decrypt(records[index] ?? EMPTY);
    });
    expect(error.code).toBe('channel-corrupt');
    // Not even the record that would have been next, nor one of our own.
    for (const record of records) expect(failure(() => receive.decrypt(record))).toBe(error);
    expect(failure(() => receive.encrypt(PAYLOAD))).toBe(error);
  });

  test('a record sent back to its sender is refused', () => {
    const [initiator] = finishedPair('XX');
    const { send, receive } = initiator.split();
    expect(codeOf(() => receive.decrypt(send.encrypt(PAYLOAD)))).toBe('channel-corrupt');
  });

  test('a bit turned anywhere, a byte less, a byte more are refused', () => {
    const record = new CipherState(k).encrypt(Buffer.from('a few bytes'));
    const corrupt: Uint8Array[] = [Buffer.concat([record, Buffer.of(0)])];
    for (let position = 0; position < record.length; position++) {
      const altered = Buffer.from(record);
      altered[position] = (altered[position] ?? 0) ^ 1;
      corrupt.push(altered, record.subarray(0, position));
    }
    for (const bytes of corrupt) {
      expect(codeOf(() => new CipherState(k).decrypt(bytes))).toBe('channel-corrupt');
    }
  });

  test('associated data is part of what the tag proves', () => {
    const ad = Buffer.from('ad');
    const record = new CipherState(k).encryptWithAd(ad, PAYLOAD);
    expect(new CipherState(k).decryptWithAd(ad, record)).toEqual(PAYLOAD);
    expect(codeOf(() => new CipherState(k).decrypt(record))).toBe('channel-corrupt');
  });

  test('a record holds 0 to 65,519 bytes', () => {
    const [send, receive] = [new CipherState(k), new CipherState(k)];
    for (const length of [0, 1, MAX_PLAINTEXT]) {
      const plaintext = randomBytes(length);
      const record = send.encrypt(plaintext);
      expect(record.length).toBe(length + 16);
      expect(receive.decrypt(record).equals(plaintext)).toBe(true);
    }
    // Refused before a nonce is spent on it.
    expect(codeOf(() => send.encrypt(Buffer.alloc(MAX_PLAINTEXT + 1)))).toBe('internal');
    expect(receive.decrypt(send.encrypt(PAYLOAD))).toEqual(PAYLOAD);
    expect(codeOf(() => receive.decrypt(Buffer.alloc(65_536)))).toBe('channel-corrupt');
  });

  test('a true tag does not help a record that is too long', () => {
    const cipher = createCipheriv('aes-256-gcm', k, Buffer.alloc(12));
    const record = Buffer.concat([
      cipher.update(Buffer.alloc(MAX_PLAINTEXT + 1)),
      cipher.final(),
      cipher.getAuthTag(),
    ]);
    expect(codeOf(() => new CipherState(k).decrypt(record))).toBe('channel-corrupt');
  });

  test('input is left as it was, and output shares no memory with it', () => {
    const plaintext = Buffer.from('plaintext');
    const record = new CipherState(k).encrypt(plaintext);
    expect(plaintext.toString()).toBe('plaintext');
    const copy = Buffer.from(record);
    const opened = new CipherState(k).decrypt(record);
    expect(record).toEqual(copy);
    record.fill(0);
    expect(opened).toEqual(plaintext);
  });
});
