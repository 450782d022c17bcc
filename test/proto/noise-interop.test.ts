/**
 * Live handshakes with implementations that others wrote: noise-c (C, compiled to wasm, its own X25519) for XX,
 * noise-js (JavaScript) for XXpsk3, as noise-c knows only the psk rules of an older revision.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { generateKeyPair, HandshakeState, type KeyPair, type Pattern } from '../../proto/noise.ts';

/** What both of them, and ours, are seen as here. */
interface Peer {
  write(payload: Uint8Array): Uint8Array;
  read(message: Uint8Array): Uint8Array;
  finish(): Transport;
}

interface Transport {
  readonly h: Uint8Array;
  readonly rs: Uint8Array | undefined | null;
  encrypt(plaintext: Uint8Array): Uint8Array;
  decrypt(ciphertext: Uint8Array): Uint8Array;
}

interface Start {
  readonly initiator: boolean;
  readonly prologue: Buffer;
  readonly s: KeyPair;
  readonly psk: Buffer;
}

// noise-c.wasm has no types.
interface NoiseCCipher {
  EncryptWithAd(ad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  DecryptWithAd(ad: Uint8Array, ciphertext: Uint8Array): Uint8Array;
}
interface NoiseCHandshake {
  Initialize(prologue: Uint8Array, s: Uint8Array, rs: null, psk: null): void;
  WriteMessage(payload: Uint8Array): Uint8Array;
  ReadMessage(message: Uint8Array, payloadNeeded: boolean): Uint8Array;
  GetHandshakeHash(): Uint8Array;
  GetRemotePublicKey(): Uint8Array | null;
  Split(): [send: NoiseCCipher, receive: NoiseCCipher];
}
interface NoiseC {
  readonly constants: { readonly NOISE_ROLE_INITIATOR: number; readonly NOISE_ROLE_RESPONDER: number };
  readonly HandshakeState: new (protocolName: string, role: number) => NoiseCHandshake;
}

// Nor has @likecoin/noise-js.
interface NoiseJsCipher {
  encryptWithAd(ad: null, plaintext: Buffer): Buffer;
  decryptWithAd(ad: null, ciphertext: Buffer): Buffer;
}
interface NoiseJsHandshake {
  readonly rs: Buffer | undefined;
  readonly symmetricState: { getHandshakeHash(): Buffer };
  writeMessage(payload: Buffer): Buffer;
  readMessage(message: Buffer): Buffer;
  split(): [initiator: NoiseJsCipher, responder: NoiseJsCipher];
}
interface NoiseJs {
  initialize(
    pattern: string,
    initiator: boolean,
    prologue: Buffer,
    s: Buffer,
    e: undefined,
    rs: undefined,
    re: undefined,
    psks: readonly (Buffer | undefined)[],
  ): NoiseJsHandshake;
}

const require = createRequire(import.meta.url);
const createNoiseC = require('noise-c.wasm') as (
  options: { readonly wasmBinary: Uint8Array },
  ready: (noise: NoiseC) => void,
) => void;
const noiseJs = require('@likecoin/noise-js') as NoiseJs;
// Given the binary, it does not try to fetch() it, which fails on node and says so.
const wasmBinary = readFileSync(require.resolve('noise-c.wasm/src/noise-c.wasm'));
const noiseC = await new Promise<NoiseC>((resolve) => createNoiseC({ wasmBinary }, resolve));

const EMPTY = Buffer.alloc(0);

function ours(pattern: Pattern, { psk, ...start }: Start): Peer {
  const handshake = new HandshakeState({ pattern, ...start, ...(pattern === 'XXpsk3' ? { psk } : {}) });
  return {
    write: (payload) => handshake.writeMessage(payload),
    read: (message) => handshake.readMessage(message),
    finish() {
      const { send, receive } = handshake.split();
      const { h, rs } = handshake;
      return { h, rs, encrypt: (text) => send.encrypt(text), decrypt: (text) => receive.decrypt(text) };
    },
  };
}

function cPeer({ initiator, prologue, s }: Start): Peer {
  const { NOISE_ROLE_INITIATOR, NOISE_ROLE_RESPONDER } = noiseC.constants;
  const handshake = new noiseC.HandshakeState(
    'Noise_XX_25519_AESGCM_SHA256',
    initiator ? NOISE_ROLE_INITIATOR : NOISE_ROLE_RESPONDER,
  );
  handshake.Initialize(prologue, s.secretKey, null, null);
  return {
    write: (payload) => handshake.WriteMessage(payload),
    read: (message) => handshake.ReadMessage(message, true),
    finish() {
      const h = handshake.GetHandshakeHash();
      const rs = handshake.GetRemotePublicKey();
      const [send, receive] = handshake.Split();
      return {
        h,
        rs,
        encrypt: (text) => send.EncryptWithAd(EMPTY, text),
        decrypt: (text) => receive.DecryptWithAd(EMPTY, text),
      };
    },
  };
}

function jsPeer({ initiator, prologue, s, psk }: Start): Peer {
  const psks = [undefined, undefined, undefined, psk];
  const secretKey = Buffer.from(s.secretKey);
  const handshake = noiseJs.initialize(
    'XX',
    initiator,
    prologue,
    secretKey,
    undefined,
    undefined,
    undefined,
    psks,
  );
  return {
    write: (payload) => handshake.writeMessage(Buffer.from(payload)),
    read: (message) => handshake.readMessage(Buffer.from(message)),
    finish() {
      const [first, second] = handshake.split();
      const [send, receive] = initiator ? [first, second] : [second, first];
      return {
        h: handshake.symmetricState.getHandshakeHash(),
        rs: handshake.rs,
        encrypt: (text) => send.encryptWithAd(null, Buffer.from(text)),
        decrypt: (text) => receive.decryptWithAd(null, Buffer.from(text)),
      };
    },
  };
}

const theirs = {
  'noise-c.wasm': { pattern: 'XX', peer: cPeer },
  '@likecoin/noise-js': { pattern: 'XXpsk3', peer: jsPeer },
} as const;

test.each([
  ['noise-c.wasm', 'initiator'],
  ['noise-c.wasm', 'responder'],
  ['@likecoin/noise-js', 'initiator'],
  ['@likecoin/noise-js', 'responder'],
] as const)('handshake and records with %s, ours is the %s', (library, role) => {
  const { pattern, peer } = theirs[library];
  const shared = { prologue: randomBytes(48), psk: randomBytes(32) };
  const ourKeys = generateKeyPair();
  const theirKeys = generateKeyPair();
  const our = ours(pattern, { ...shared, s: ourKeys, initiator: role === 'initiator' });
  const their = peer({ ...shared, s: theirKeys, initiator: role !== 'initiator' });

  const [initiator, responder] = role === 'initiator' ? [our, their] : [their, our];
  for (const [from, to] of [
    [initiator, responder],
    [responder, initiator],
    [initiator, responder],
  ] as const) {
    const payload = randomBytes(33);
    expect(Buffer.from(to.read(from.write(payload)))).toEqual(payload);
  }

  const here = our.finish();
  const there = their.finish();
  expect(Buffer.from(here.h)).toEqual(Buffer.from(there.h));
  expect(here.rs).toEqual(Buffer.from(theirKeys.publicKey));
  expect(Buffer.from(there.rs ?? [])).toEqual(Buffer.from(ourKeys.publicKey));

  // More than 256 each way, so that the nonce carries into its second byte; then the smallest and the largest.
  const lengths = [...Array.from({ length: 300 }, (_, index) => index), 0, 65_519];
  for (const length of lengths) {
    const plaintext = randomBytes(length);
    expect(Buffer.from(there.decrypt(here.encrypt(plaintext))).equals(plaintext)).toBe(true);
    expect(Buffer.from(here.decrypt(there.encrypt(plaintext))).equals(plaintext)).toBe(true);
  }
});
