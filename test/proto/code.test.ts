import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { describe, expect, test } from 'vitest';
import { deriveKey, generateCode, parseCode } from '../../proto/code.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { Secret } from '../../proto/secret.ts';

const CANONICAL = 'abandon-ability-able-zebra-zone-zoo';

function refusal(text: string): ImgmvError {
  try {
    parseCode(text);
  } catch (error) {
    if (error instanceof ImgmvError) return error;
    throw error;
  }
  throw new Error('the code was taken');
}

describe('generateCode', () => {
  test('six words of the list, which parse to themselves', () => {
    for (let round = 0; round < 100; round++) {
      const code = generateCode().reveal();
      expect(code).toMatch(/^[a-z]{3,8}(-[a-z]{3,8}){5}$/);
      expect(parseCode(code).reveal()).toBe(code);
    }
  });

  test('every word comes up about as often as every other, in every place', () => {
    const rounds = 16_384;
    const words = new Map<string, number>();
    const places = Array.from({ length: 6 }, () => new Set<string>());
    for (let round = 0; round < rounds; round++) {
      for (const [place, word] of generateCode().reveal().split('-').entries()) {
        words.set(word, (words.get(word) ?? 0) + 1);
        places[place]?.add(word);
      }
    }
    // 48 expected of each; chance puts a fair generator outside these bounds less than once in a million runs.
    expect(words.size).toBe(2048);
    expect(Math.min(...words.values())).toBeGreaterThan(5);
    expect(Math.max(...words.values())).toBeLessThan(110);
    // 8 expected of each in one place, so that all but 1 in 3,000 are seen there.
    for (const seen of places) expect(seen.size).toBeGreaterThan(2000);
  });

  test('no code comes twice', () => {
    const codes = Array.from({ length: 1000 }, () => generateCode().reveal());
    expect(new Set(codes).size).toBe(codes.length);
  });

  test('a code does not show', () => {
    expect(inspect(generateCode())).toBe('[secret]');
  });
});

describe('parseCode', () => {
  test.each([
    ['as shown', CANONICAL],
    ['spaces', 'abandon ability able zebra zone zoo'],
    ['spaces, tabs and lines around and between', '\n\t abandon  ability\nable\r\nzebra\tzone   zoo \n'],
    ['dashes with spaces', 'abandon - ability - able - zebra - zone - zoo'],
    ['dashes at the ends', '-abandon--ability-able-zebra-zone-zoo-'],
    ['what an editor makes of dashes and spaces', 'abandon–ability—able‐zebra−zone\u00a0zoo'],
    ['a byte order mark', `\ufeff${CANONICAL}`],
    ['upper case', CANONICAL.toUpperCase()],
    ['mixed case', 'Abandon-aBility-ablE-Zebra-ZONE-zoo'],
    ['four letters', 'aban abil able zebr zone zoo'],
    ['longer beginnings', 'aband abilit able zebr zone zoo'],
  ])('takes %s', (_name, text) => {
    expect(parseCode(text)).toBeInstanceOf(Secret);
    expect(parseCode(text).reveal()).toBe(CANONICAL);
  });

  test('takes every word of the list, whole and by every beginning of four letters or more', () => {
    const rest = ['zoo', 'zoo', 'zoo', 'zoo', 'zoo'];
    for (const word of wordlist) {
      for (let letters = Math.min(4, word.length); letters <= word.length; letters++) {
        const code = parseCode([word.slice(0, letters), ...rest].join(' ')).reveal();
        expect(code).toBe([word, ...rest].join('-'));
      }
    }
  });

  test('refuses beginnings of fewer than four letters, unless they are a word', () => {
    const words = new Set(wordlist);
    for (const word of wordlist) {
      const typed = word.slice(0, 3);
      if (!words.has(typed)) expect(refusal(`${typed} zoo zoo zoo zoo zoo`).code).toBe('bad-code');
    }
    expect(parseCode('act add zoo zoo zoo zoo').reveal()).toBe('act-add-zoo-zoo-zoo-zoo');
  });

  test.each([
    ['', 0],
    [' \n - ', 0],
    ['zoo', 1],
    ['abandon ability able zebra zone', 5],
    ['abandon ability able zebra zone zoo zoo', 7],
    ['abandonabilityablezebrazonezoo', 1],
  ])('counts the words of %j', (text, count) => {
    const error = refusal(text);
    expect(error.code).toBe('bad-code');
    expect(error.message).toBe(`reading the pairing code: want 6 words, got ${count}`);
  });

  test.each([
    ['abandom ability able zebra zone zoo', 'word 1 is not in the word list'],
    ['abandon ability able zebra zone zooo', 'word 6 is not in the word list'],
    ['abandon abilityx able zebras zone zoo', 'words 2, 4 are not in the word list'],
    ['abandon ability able zebra zone __proto__', 'word 6 is not in the word list'],
    ['1 2 3 4 5 6', 'words 1, 2, 3, 4, 5, 6 are not in the word list'],
    ['abandon, ability able zebra zone zoo', 'word 1 is not in the word list'],
  ])('names the place of what it does not know: %j', (text, problem) => {
    const error = refusal(text);
    expect(error.code).toBe('bad-code');
    expect(error.message).toBe(`reading the pairing code: ${problem}`);
  });

  test.each(['abandom vivid quantum zebra galaxy puzzle', 'abandom vivid quantum', 'vivid '.repeat(9)])(
    'repeats nothing of what was typed: %j',
    (text) => {
      const error = refusal(text);
      const shown = [error.message, error.hint, error.stack, JSON.stringify(error)].join('\n').toLowerCase();
      for (const word of text.trim().split(' ')) expect(shown).not.toContain(word.slice(0, 4));
    },
  );

  test('an absurdly long text is refused in no time', () => {
    expect(refusal('zoo '.repeat(250_000)).message).toContain('got 250000');
    expect(refusal('z'.repeat(1_000_000)).code).toBe('bad-code');
  });
});

describe('deriveKey', () => {
  const salt = Uint8Array.from({ length: 16 }, (_, index) => index);

  // python3: hashlib.scrypt(b'abandon-…-zoo', salt=bytes(range(16)), n=2**15, r=8, p=1, dklen=32, maxmem=2**27)
  test('is scrypt with N = 2^15, r = 8, p = 1, as others compute it', async () => {
    const key = await deriveKey(new Secret(CANONICAL), salt);
    expect(key.toString('hex')).toBe('accd8ab3d4e37fa265a5080f372ea063538bbf75f40ea84c1343a284d4483b51');
  });

  test('gives both sides one key, however the code was typed', async () => {
    const [shown, typed] = await Promise.all([
      deriveKey(new Secret(CANONICAL), salt),
      deriveKey(parseCode('ABAN abil\nable zebr zone zoo'), salt),
    ]);
    expect(typed).toEqual(shown);
  });

  test('gives another key for another salt and for another code', async () => {
    const keys = await Promise.all([
      deriveKey(new Secret(CANONICAL), salt),
      deriveKey(new Secret(CANONICAL), randomBytes(16)),
      deriveKey(new Secret('abandon-ability-able-zebra-zoo-zone'), salt),
    ]);
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(3);
  });

  test('does not hold up the event loop', async () => {
    let done = false;
    const key = deriveKey(new Secret(CANONICAL), salt).then(() => {
      done = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toBe(false);
    await key;
  });

  test.each([0, 15, 17])('a salt of %i bytes is our own mistake', async (length) => {
    await expect(async () => deriveKey(new Secret(CANONICAL), new Uint8Array(length))).rejects.toMatchObject({
      code: 'internal',
    });
  });
});
