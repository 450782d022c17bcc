/**
 * The pairing code: six words that one person reads on the receiver and types at the sender.
 *
 * This file knows how a code is made, read and stretched into the psk of XXpsk3. How long a code lives and
 * how many guesses it takes is the listener's business. No message here repeats what was typed, not even a
 * mistyped word: it is most of a secret, and errors end up in logs.
 */
import { randomInt, scrypt } from 'node:crypto';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { ImgmvError } from './errors.ts';
import { CODE_WORDS, SALT_BYTES, SCRYPT_LOG2_N, SCRYPT_P, SCRYPT_R } from './limits.ts';
import { Secret } from './secret.ts';

/** BIP-39 promises that no two words share their first four letters; a word of three letters is its own. */
const PREFIX_LETTERS = 4;
const PSK_BYTES = 32;

const wordByPrefix = new Map(wordlist.map((word) => [word.slice(0, PREFIX_LETTERS), word]));

/** Makes a new code: `CODE_WORDS` words of 11 bits each, uniform and independent, joined by `-`. */
export function generateCode(): Secret {
  return new Secret(Array.from({ length: CODE_WORDS }, () => wordlist[randomInt(wordlist.length)]).join('-'));
}

/**
 * Reads a code as people type it: words apart by white space or any kind of dash, in either case, each whole
 * or cut after its fourth letter or later. Gives the full words joined by `-`, as `generateCode` does.
 *
 * Runs without the other side, so that a typo costs no attempt.
 *
 * @throws ImgmvError `bad-code`, with the number of words or the positions (from 1) of the unknown ones.
 */
export function parseCode(text: string): Secret {
  const typed = text.toLowerCase().match(/[^\s\p{Dash}]+/gu) ?? [];
  if (typed.length !== CODE_WORDS) throw badCode(`want ${CODE_WORDS} words, got ${typed.length}`);
  const words = typed.map(findWord);
  const unknown = words.flatMap((word, index) => (word === undefined ? [index + 1] : []));
  if (unknown.length > 0) {
    const positions = unknown.join(', ');
    throw badCode(
      unknown.length === 1
        ? `word ${positions} is not in the word list`
        : `words ${positions} are not in the word list`,
    );
  }
  return new Secret(words.join('-'));
}

/**
 * Stretches a code into the 32-byte psk of XXpsk3: scrypt (RFC 7914) over the canonical words in ASCII.
 *
 * Takes about 0.1 s and 32 MiB on a thread of libuv's pool. XXpsk3 is not a PAKE: a fake receiver may test
 * guesses offline, and this is what makes each of them dear.
 *
 * @param code as `generateCode` or `parseCode` gave it
 * @param salt `SALT_BYTES` random bytes, made by the receiver once per code
 */
export function deriveKey(code: Secret, salt: Uint8Array): Promise<Buffer> {
  if (salt.length !== SALT_BYTES)
    throw new ImgmvError(
      'internal',
      `stretching the code: want a salt of ${SALT_BYTES} bytes, got ${salt.length}`,
    );
  const cost = {
    N: 2 ** SCRYPT_LOG2_N,
    r: SCRYPT_R,
    p: SCRYPT_P,
    // scrypt works in 128·N·r bytes and a little more; node's default limit is exactly that and no more.
    maxmem: 2 * 128 * 2 ** SCRYPT_LOG2_N * SCRYPT_R,
  };
  return new Promise((resolve, reject) => {
    scrypt(code.reveal(), salt, PSK_BYTES, cost, (error, key) => (error ? reject(error) : resolve(key)));
  });
}

function findWord(typed: string): string | undefined {
  const word = wordByPrefix.get(typed.slice(0, PREFIX_LETTERS));
  return word?.startsWith(typed) ? word : undefined;
}

function badCode(problem: string): ImgmvError {
  return new ImgmvError('bad-code', `reading the pairing code: ${problem}`, {
    hint: `type the ${CODE_WORDS} words as the receiver shows them; the first four letters of each are enough`,
  });
}
