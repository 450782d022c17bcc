/**
 * The Noise Protocol Framework, revision 34 (https://noiseprotocol.org/noise.html), as far as imgmv needs it:
 * `Noise_XX_25519_AESGCM_SHA256` and `Noise_XXpsk3_25519_AESGCM_SHA256`. It turns messages into messages; it
 * knows nothing of sockets, of where keys are kept, or of whom to trust.
 *
 * Names are those of the specification:
 *
 * | name     | meaning                                                              |
 * |----------|----------------------------------------------------------------------|
 * | `s`, `e` | this side's static and ephemeral key pair                            |
 * | `rs`,`re`| the other side's static and ephemeral public key                     |
 * | `ck`     | chaining key: all key material mixed so far                          |
 * | `h`      | handshake hash: all that was sent and received so far                |
 * | `k`, `n` | cipher key and nonce                                                 |
 * | `ad`     | associated data: authenticated, not sent                             |
 * | `ee` …   | a token of a message pattern: a DH of initiator's and responder's key|
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import nacl from 'tweetnacl';
import { CipherState } from './cipher-state.ts';
import { counted } from './counted.ts';
import { ImgmvError } from './errors.ts';
import { NOISE_MESSAGE_MAX_BYTES, NOISE_TAG_BYTES } from './limits.ts';

/** The two handshakes: `XXpsk3` proves knowledge of a pairing code, `XX` leaves the check of `rs` to the caller. */
export type Pattern = 'XX' | 'XXpsk3';

/** An X25519 key pair, 32 bytes each. */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

type Token = 'e' | 's' | 'ee' | 'es' | 'se' | 'psk';

/** Section 7.5, and 9.4 for psk3. The initiator writes the first message, then they take turns. */
const MESSAGE_PATTERNS: Readonly<Record<Pattern, readonly (readonly Token[])[]>> = {
  XX: [['e'], ['e', 'ee', 's', 'es'], ['s', 'se']],
  XXpsk3: [['e'], ['e', 'ee', 's', 'es'], ['s', 'se', 'psk']],
};

const DHLEN = 32;
const HASHLEN = 32;
const PSKLEN = 32;
const EMPTY = Buffer.alloc(0);
const ZERO_DH = Buffer.alloc(DHLEN);

/** GENERATE_KEYPAIR() of section 4.1. */
export function generateKeyPair(): KeyPair {
  return nacl.box.keyPair();
}

/** Section 5.2, with MixKeyAndHash of section 9.1. */
class SymmetricState {
  #ck: Buffer;
  #h: Buffer;
  #cipher: CipherState | undefined;

  constructor(protocolName: string) {
    const name = Buffer.from(protocolName, 'ascii');
    this.#h = name.length <= HASHLEN ? Buffer.concat([name], HASHLEN) : sha256(name);
    this.#ck = this.#h;
  }

  get h(): Buffer {
    return this.#h;
  }

  /** As it is now, but for its cipher. */
  copy(): SymmetricState {
    const copy = new SymmetricState('');
    copy.#ck = Buffer.from(this.#ck);
    copy.#h = this.#h;
    return copy;
  }

  /** Bytes that encryption adds: none before the first key. */
  get overhead(): number {
    return this.#cipher === undefined ? 0 : NOISE_TAG_BYTES;
  }

  mixKey(ikm: Uint8Array): void {
    const [ck, k] = hkdf(this.#ck, ikm);
    this.#ck = ck;
    this.#cipher = new CipherState(k);
  }

  mixHash(data: Uint8Array): void {
    this.#h = sha256(this.#h, data);
  }

  mixKeyAndHash(ikm: Uint8Array): void {
    const [ck, h, k] = hkdf(this.#ck, ikm);
    this.#ck = ck;
    this.mixHash(h);
    this.#cipher = new CipherState(k);
  }

  encryptAndHash(plaintext: Uint8Array): Buffer {
    const ciphertext = this.#cipher?.encryptWithAd(this.#h, plaintext) ?? Buffer.from(plaintext);
    this.mixHash(ciphertext);
    return ciphertext;
  }

  decryptAndHash(ciphertext: Uint8Array): Buffer {
    try {
      const plaintext = this.#cipher?.decryptWithAd(this.#h, ciphertext) ?? Buffer.from(ciphertext);
      this.mixHash(ciphertext);
      return plaintext;
    } catch (cause) {
      throw unreadable('it does not decrypt', cause);
    }
  }

  /** The initiator's cipher first. Once: `ck` is wiped, so that a kept handshake cannot give the keys again. */
  split(): [CipherState, CipherState] {
    const [k1, k2] = hkdf(this.#ck, EMPTY);
    this.#ck.fill(0);
    return [new CipherState(k1), new CipherState(k2)];
  }
}

export interface HandshakeOptions {
  readonly pattern: Pattern;
  /** Whether this side writes the first message. */
  readonly initiator: boolean;
  /** What both sides must have seen alike; any length, never sent. */
  readonly prologue: Uint8Array;
  readonly s: KeyPair;
  /** 32 bytes, exactly with `XXpsk3`. */
  readonly psk?: Uint8Array;
  /** A fixed ephemeral key, for test vectors only: used twice, it breaks every promise of Noise. */
  readonly e?: KeyPair;
}

/**
 * One side of a handshake (section 5.3): three messages, the initiator writes the first and the last. Message 1
 * hides nothing that its payload says; message 3 is the first whose payload only the true peer can read.
 *
 * A message that fails ends the handshake: every later call throws the same error.
 */
export class HandshakeState {
  readonly #symmetric: SymmetricState;
  readonly #messages: readonly (readonly Token[])[];
  readonly #initiator: boolean;
  readonly #s: KeyPair;
  readonly #psk: Uint8Array | undefined;
  #e: KeyPair | undefined;
  #re: Uint8Array | undefined;
  #rs: Buffer | undefined;
  #turn = 0;
  #wasSplit = false;
  #failure: unknown;
  #wrongPsk = false;
  /** Of a message that failed for its psk: all before the psk was mixed in, and what the psk protects. */
  #unproven: { readonly symmetric: SymmetricState; readonly payload: Uint8Array } | undefined;

  constructor({ pattern, initiator, prologue, s, psk, e }: HandshakeOptions) {
    if ((psk !== undefined) !== (pattern === 'XXpsk3'))
      throw misuse(`starting a noise handshake: a psk goes with XXpsk3 only, got ${pattern}`);
    if (psk) requireBytes('a psk', psk, PSKLEN);
    requireBytes('a secret key', s.secretKey, DHLEN);
    requireBytes('a public key', s.publicKey, DHLEN);
    this.#symmetric = new SymmetricState(`Noise_${pattern}_25519_AESGCM_SHA256`);
    this.#symmetric.mixHash(prologue);
    this.#messages = MESSAGE_PATTERNS[pattern];
    this.#initiator = initiator;
    this.#s = s;
    this.#e = e;
    this.#psk = psk;
  }

  /** Whether all three messages are done, so that `split` may be called. */
  get finished(): boolean {
    return this.#failure === undefined && this.#turn === this.#messages.length;
  }

  /** The handshake hash, equal on both sides and unique to this handshake (section 11.2). Only when finished. */
  get h(): Buffer {
    this.#requireFinished('taking the handshake hash');
    return this.#symmetric.h;
  }

  /**
   * Whether the handshake failed because the two sides have different psks: all of a message was readable up to
   * its psk, the static key included, and what the psk protects was not. A message that is merely garbage fails
   * earlier, and tests no psk.
   */
  get wrongPsk(): boolean {
    return this.#wrongPsk;
  }

  /** Whether a message that failed for its psk was made with this one. The handshake stays failed. */
  wasMadeWith(psk: Uint8Array): boolean {
    requireBytes('a psk', psk, PSKLEN);
    if (!this.#unproven) return false;
    const symmetric = this.#unproven.symmetric.copy();
    symmetric.mixKeyAndHash(psk);
    try {
      symmetric.decryptAndHash(this.#unproven.payload);
      return true;
    } catch {
      return false;
    }
  }

  /** The other's static public key, once the message that proves it was read: 2 at the initiator, 3 at the responder. */
  get rs(): Buffer | undefined {
    return this.#failure === undefined ? this.#rs : undefined;
  }

  /**
   * Gives the next message, in new memory.
   *
   * @throws ImgmvError `handshake-failed` if the key in the message before it was worthless
   */
  writeMessage(payload: Uint8Array): Buffer {
    return this.#step('write', (tokens) => this.#write(tokens, payload));
  }

  /**
   * Reads the next message and gives its payload, in new memory.
   *
   * @throws ImgmvError `handshake-failed` if the message is malformed, was altered, or was made with another
   *   prologue or psk
   */
  readMessage(message: Uint8Array): Buffer {
    return this.#step('read', (tokens) => this.#read(tokens, message));
  }

  /** Gives this side's two ciphers. Once, and only when finished. */
  split(): { send: CipherState; receive: CipherState } {
    this.#requireFinished('splitting');
    if (this.#wasSplit) throw misuse('splitting a noise handshake: it was split before');
    this.#wasSplit = true;
    const [first, second] = this.#symmetric.split();
    return this.#initiator ? { send: first, receive: second } : { send: second, receive: first };
  }

  #step(action: 'write' | 'read', run: (tokens: readonly Token[]) => Buffer): Buffer {
    if (this.#failure !== undefined) throw this.#failure;
    const tokens = this.#messages[this.#turn];
    const turn = (this.#turn % 2 === 0) === this.#initiator ? 'write' : 'read';
    if (tokens === undefined || action !== turn) {
      const want = tokens === undefined ? 'split' : turn;
      throw misuse(`taking a noise handshake on: want ${want}, got ${action}`);
    }
    try {
      const result = run(tokens);
      this.#turn += 1;
      return result;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  #write(tokens: readonly Token[], payload: Uint8Array): Buffer {
    const parts: Uint8Array[] = [];
    for (const token of tokens) {
      if (token === 'e') {
        // Made no earlier: a message that is refused costs no public-key work.
        this.#e ??= generateKeyPair();
        parts.push(this.#e.publicKey);
        this.#mixE(this.#e.publicKey);
      } else if (token === 's') {
        parts.push(this.#symmetric.encryptAndHash(this.#s.publicKey));
      } else {
        this.#mix(token);
      }
    }
    parts.push(this.#symmetric.encryptAndHash(payload));
    const message = Buffer.concat(parts);
    if (message.length > NOISE_MESSAGE_MAX_BYTES)
      throw misuse(
        `writing a noise message: want at most ${NOISE_MESSAGE_MAX_BYTES} bytes, got ${message.length}`,
      );
    return message;
  }

  #read(tokens: readonly Token[], message: Uint8Array): Buffer {
    if (message.length > NOISE_MESSAGE_MAX_BYTES)
      throw unreadable(`want at most ${NOISE_MESSAGE_MAX_BYTES} bytes, got ${message.length}`);
    let rest = message;
    const take = (length: number): Uint8Array => {
      if (rest.length < length) throw unreadable(`cut short at ${counted(message.length, 'byte')}`);
      const part = rest.subarray(0, length);
      rest = rest.subarray(length);
      return part;
    };
    let symmetric: SymmetricState | undefined;
    for (const token of tokens) {
      if (token === 'e') {
        this.#re = Buffer.from(take(DHLEN));
        this.#mixE(this.#re);
      } else if (token === 's') {
        this.#rs = this.#symmetric.decryptAndHash(take(DHLEN + this.#symmetric.overhead));
      } else {
        if (token === 'psk') symmetric = this.#symmetric.copy();
        this.#mix(token);
      }
    }
    try {
      return this.#symmetric.decryptAndHash(rest);
    } catch (error) {
      this.#wrongPsk = tokens.includes('psk');
      if (symmetric) this.#unproven = { symmetric, payload: Buffer.from(rest) };
      throw error;
    }
  }

  /** With a psk, each `e` is mixed into the key as well, so that no two messages share one (section 9.2). */
  #mixE(publicKey: Uint8Array): void {
    this.#symmetric.mixHash(publicKey);
    if (this.#psk) this.#symmetric.mixKey(publicKey);
  }

  #mix(token: 'ee' | 'es' | 'se' | 'psk'): void {
    if (token === 'psk') {
      this.#symmetric.mixKeyAndHash(required(this.#psk));
      return;
    }
    // The first letter of a token is the initiator's key, the second the responder's.
    const [ours, theirs] = this.#initiator ? [token[0], token[1]] : [token[1], token[0]];
    const keyPair = ours === 'e' ? required(this.#e) : this.#s;
    this.#symmetric.mixKey(dh(keyPair, required(theirs === 'e' ? this.#re : this.#rs)));
  }

  #requireFinished(action: string): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.finished) throw misuse(`${action}: the noise handshake is not finished`);
  }
}

/**
 * DH() of section 4.1. A public key of small order gives zero whatever the secret key is; no honest peer sends
 * one, so it is refused, as section 12.1 allows.
 */
function dh(keyPair: KeyPair, publicKey: Uint8Array): Uint8Array {
  const shared = nacl.scalarMult(keyPair.secretKey, publicKey);
  if (timingSafeEqual(shared, ZERO_DH)) {
    throw unreadable('its public key is worthless');
  }
  return shared;
}

/** HKDF() of section 4.3. Two outputs are the first two of three. */
function hkdf(ck: Uint8Array, ikm: Uint8Array): [Buffer, Buffer, Buffer] {
  const temp = hmac(ck, ikm);
  const output1 = hmac(temp, Buffer.of(1));
  const output2 = hmac(temp, output1, Buffer.of(2));
  const output3 = hmac(temp, output2, Buffer.of(3));
  return [output1, output2, output3];
}

function hmac(key: Uint8Array, ...data: readonly Uint8Array[]): Buffer {
  const mac = createHmac('sha256', key);
  for (const part of data) mac.update(part);
  return mac.digest();
}

function sha256(...data: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of data) hash.update(part);
  return hash.digest();
}

function misuse(problem: string): ImgmvError {
  return new ImgmvError('internal', problem);
}

function unreadable(problem: string, cause?: unknown): ImgmvError {
  return new ImgmvError('handshake-failed', `reading a noise handshake message: ${problem}`, { cause });
}

function requireBytes(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length)
    throw misuse(`taking ${what} for noise: want ${counted(length, 'byte')}, got ${bytes.length}`);
}

/** The message patterns never use a key before it is there; this says so to the compiler. */
function required<T>(key: T | undefined): T {
  if (key === undefined) throw misuse('mixing a noise key: it is not there yet');
  return key;
}
