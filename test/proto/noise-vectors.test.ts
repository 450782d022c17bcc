/** Published vectors (cacophony, snow, noise-c) with fixed ephemeral keys, each played from both sides. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import nacl from 'tweetnacl';
import { describe, expect, test } from 'vitest';
import type { CipherState } from '../../proto/cipher-state.ts';
import { HandshakeState, type Pattern } from '../../proto/noise.ts';

interface Vector {
  readonly source: string;
  readonly protocol_name: string;
  readonly init_prologue: string;
  readonly init_static: string;
  readonly init_ephemeral: string;
  readonly init_psks?: readonly string[];
  readonly resp_prologue: string;
  readonly resp_static: string;
  readonly resp_ephemeral: string;
  readonly resp_psks?: readonly string[];
  readonly handshake_hash?: string;
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
}

const PATTERNS = new Map<string, Pattern>([
  ['Noise_XX_25519_AESGCM_SHA256', 'XX'],
  ['Noise_XXpsk3_25519_AESGCM_SHA256', 'XXpsk3'],
]);
const HANDSHAKE_MESSAGES = 3;

const path = fileURLToPath(new URL('../../../shared/data/noise-vectors.json', import.meta.url));

if (existsSync(path)) {
  const { vectors } = JSON.parse(readFileSync(path, 'utf8')) as { vectors: readonly Vector[] };

  test('vector file has both patterns', () => {
    expect(new Set(vectors.map((vector) => vector.protocol_name))).toEqual(new Set(PATTERNS.keys()));
  });

  describe.each(vectors.map((vector, index) => ({ vector, index })))('vector $index', ({ vector }) => {
    const origin = vector.source.replace(/^.*:/, '');
    test.each(['initiator', 'responder'] as const)(
      `vector ${vector.protocol_name} of ${origin}, as %s`,
      (role) => play(vector, role),
    );
  });
} else {
  console.warn(`noise vectors are skipped: there is no ${path}`);
  test.skip(`vector file ${path} is absent`);
}

/** Plays one side against the recorded other: writes must match byte for byte, reads must give the payload. */
function play(vector: Vector, role: 'initiator' | 'responder'): void {
  const handshake = start(vector, role);
  const ours = (index: number) => (index % 2 === 0) === (role === 'initiator');

  for (const [index, { payload, ciphertext }] of vector.messages.slice(0, HANDSHAKE_MESSAGES).entries()) {
    expect(handshake.finished).toBe(false);
    if (ours(index)) {
      expect(handshake.writeMessage(bytes(payload)).toString('hex')).toBe(ciphertext);
    } else {
      expect(handshake.readMessage(bytes(ciphertext)).toString('hex')).toBe(payload);
    }
  }
  expect(handshake.finished).toBe(true);
  if (vector.handshake_hash !== undefined) {
    expect(handshake.h.toString('hex')).toBe(vector.handshake_hash);
  }
  const other = role === 'initiator' ? vector.resp_static : vector.init_static;
  expect(handshake.rs).toEqual(Buffer.from(nacl.box.keyPair.fromSecretKey(bytes(other)).publicKey));

  const transport = [...vector.messages.entries()].slice(HANDSHAKE_MESSAGES);
  expect(transport.length).toBeGreaterThan(0);
  const { send, receive }: { send: CipherState; receive: CipherState } = handshake.split();
  for (const [index, { payload, ciphertext }] of transport) {
    if (ours(index)) {
      expect(send.encrypt(bytes(payload)).toString('hex')).toBe(ciphertext);
    } else {
      expect(receive.decrypt(bytes(ciphertext)).toString('hex')).toBe(payload);
    }
  }
}

function start(vector: Vector, role: 'initiator' | 'responder'): HandshakeState {
  const initiator = role === 'initiator';
  const pattern = PATTERNS.get(vector.protocol_name);
  if (pattern === undefined) throw new Error(`no such pattern: ${vector.protocol_name}`);
  const [psk] = (initiator ? vector.init_psks : vector.resp_psks) ?? [];
  return new HandshakeState({
    pattern,
    initiator,
    prologue: bytes(initiator ? vector.init_prologue : vector.resp_prologue),
    s: nacl.box.keyPair.fromSecretKey(bytes(initiator ? vector.init_static : vector.resp_static)),
    e: nacl.box.keyPair.fromSecretKey(bytes(initiator ? vector.init_ephemeral : vector.resp_ephemeral)),
    ...(psk === undefined ? {} : { psk: bytes(psk) }),
  });
}

function bytes(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}
