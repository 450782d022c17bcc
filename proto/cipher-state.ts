/** CipherState() of the Noise specification, section 5.1, over AES-256-GCM of node:crypto. */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { ImgmvError } from './errors.ts';
import { NOISE_MESSAGE_MAX_BYTES, NOISE_TAG_BYTES, RECORD_MAX_BYTES } from './limits.ts';

const NONCE_BYTES = 12;
const MAX_NONCE = 2n ** 64n - 1n;
const EMPTY = Buffer.alloc(0);
const CIPHER = 'aes-256-gcm';
const CIPHER_OPTIONS = { authTagLength: NOISE_TAG_BYTES } as const;

/**
 * One direction of a finished handshake (section 5.1): a key and a nonce that counts messages, so records must
 * be decrypted in the order in which they were encrypted, each once.
 *
 * A record that does not decrypt ends the state: every later call throws the same error.
 */
export class CipherState {
  readonly #k: KeyObject;
  /** 4 zero bytes, then `n` in big-endian (section 12.4). Reused: node copies it into each cipher. */
  readonly #nonce = Buffer.alloc(NONCE_BYTES);
  #n: bigint;
  #failure: ImgmvError | undefined;

  /**
   * @param k 32 bytes
   * @param n the first nonce; other than 0 only in tests
   */
  constructor(k: Uint8Array, n = 0n) {
    this.#k = createSecretKey(k);
    this.#n = n;
  }

  /**
   * Gives the ciphertext with its 16-byte tag behind it, in new memory.
   *
   * @param plaintext at most 65,519 bytes; may be reused once the call returns
   */
  encrypt(plaintext: Uint8Array): Buffer {
    return this.encryptWithAd(EMPTY, plaintext);
  }

  /**
   * Gives the plaintext, in new memory, once the tag has proved it.
   *
   * @param ciphertext one whole record with its tag
   * @throws ImgmvError `channel-corrupt` if the record was altered, cut, repeated or came out of order
   */
  decrypt(ciphertext: Uint8Array): Buffer {
    return this.decryptWithAd(EMPTY, ciphertext);
  }

  /** As `encrypt`, with associated data. Only the handshake has any. */
  encryptWithAd(ad: Uint8Array, plaintext: Uint8Array): Buffer {
    const { length } = plaintext;
    if (length > RECORD_MAX_BYTES)
      throw new ImgmvError(
        'internal',
        `encrypting a noise message: want at most ${RECORD_MAX_BYTES} bytes, got ${length}`,
      );
    const cipher = createCipheriv(CIPHER, this.#k, this.#nextNonce(), CIPHER_OPTIONS);
    if (ad.length > 0) cipher.setAAD(ad);
    const ciphertext = Buffer.allocUnsafe(length + NOISE_TAG_BYTES);
    ciphertext.set(cipher.update(plaintext));
    // GCM is a stream: final() has no bytes left to give, it makes the tag.
    cipher.final();
    ciphertext.set(cipher.getAuthTag(), length);
    return ciphertext;
  }

  /** As `decrypt`, with associated data. Only the handshake has any. */
  decryptWithAd(ad: Uint8Array, ciphertext: Uint8Array): Buffer {
    const nonce = this.#nextNonce();
    const { length } = ciphertext;
    if (length < NOISE_TAG_BYTES || length > NOISE_MESSAGE_MAX_BYTES)
      throw this.#fail(`want ${NOISE_TAG_BYTES} to ${NOISE_MESSAGE_MAX_BYTES} bytes, got ${length}`);
    const decipher = createDecipheriv(CIPHER, this.#k, nonce, CIPHER_OPTIONS);
    if (ad.length > 0) decipher.setAAD(ad);
    decipher.setAuthTag(ciphertext.subarray(length - NOISE_TAG_BYTES));
    const plaintext = decipher.update(ciphertext.subarray(0, length - NOISE_TAG_BYTES));
    try {
      decipher.final();
    } catch (cause) {
      throw this.#fail('it was altered, repeated or is out of order', cause);
    }
    return plaintext;
  }

  /** The nonce of the message at hand, and one up for the next. 2^64-1 is reserved (section 5.1). */
  #nextNonce(): Buffer {
    if (this.#failure) throw this.#failure;
    if (this.#n >= MAX_NONCE)
      throw new ImgmvError('internal', 'using a noise cipher: all its nonces are spent');
    this.#nonce.writeBigUInt64BE(this.#n, NONCE_BYTES - 8);
    this.#n += 1n;
    return this.#nonce;
  }

  #fail(problem: string, cause?: unknown): ImgmvError {
    this.#failure = new ImgmvError(
      'channel-corrupt',
      `a record of the other host cannot be decrypted: ${problem}`,
      { cause },
    );
    return this.#failure;
  }
}
