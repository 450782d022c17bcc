import { expect, it } from 'vitest';
import { escapeText } from '../../cli/escape.ts';
import { UNSAFE } from '../unsafe-text.ts';

it.each([
  ['a control character', 'a\u001b[2Jb', 'a\\u001b[2Jb'],
  ['a control character of eight bits', 'a\u009b2Jb', 'a\\u009b2Jb'],
  ['a tab and line ends', 'a\t\r\nb\u2028', 'a\\u0009\\u000d\\u000ab\\u2028'],
  ['a mark of direction', '\u202egnp', '\\u202egnp'],
  ['the Arabic letter mark', 'a\u061cb', 'a\\u061cb'],
  ['a joiner without width', 'a\u200db', 'a\\u200db'],
  ['the soft hyphen', 'a\u00adb', 'a\\u00adb'],
  ['the Hangul filler', 'web\u3164:1', 'web\\u3164:1'],
  ['the narrow Hangul filler', 'a\uffa0b', 'a\\uffa0b'],
  ['a filler of Hangul that is still built', 'a\u115f\u1160b', 'a\\u115f\\u1160b'],
  ['a selector of variants', 'a\ufe0fb', 'a\\ufe0fb'],
  ['a selector of variants beyond 16 bits', 'a\u{e0100}b', 'a\\udb40\\udd00b'],
  ['a selector of variants of Mongolian', 'a\u180bb', 'a\\u180bb'],
  ['the grapheme joiner', 'a\u034fb', 'a\\u034fb'],
  ['a vowel of Khmer that is not seen', 'a\u17b4b', 'a\\u17b4b'],
  ['a tag', 'a\u{e0041}b', 'a\\udb40\\udc41b'],
  ['a space that does not break', 'a\u00a0b', 'a\\u00a0b'],
  ['spaces of other widths', '\u2003\u2009\u202f\u3000\u1680', '\\u2003\\u2009\\u202f\\u3000\\u1680'],
  ['the blank of Braille', 'a\u2800b', 'a\\u2800b'],
  ['a note head that is not seen', 'a\u{1d159}b', 'a\\ud834\\udd59b'],
  ['private use', 'a\ue000\uf8ffb', 'a\\ue000\\uf8ffb'],
  ['private use beyond 16 bits', 'a\u{f0000}\u{10fffd}b', 'a\\udb80\\udc00\\udbff\\udffdb'],
  ['code points that stand for nothing', 'a\u0378\ufdd0\uffffb', 'a\\u0378\\ufdd0\\uffffb'],
  ['a half of a pair', 'a\ud800b\udc00', 'a\\ud800b\\udc00'],
  ['more marks than a language needs', `Z${'\u0301'.repeat(5)}algo`, 'Z\u0301\u0301\u0301\\u0301\\u0301algo'],
  ['a mark with nothing before it', '\u0338=', '\\u0338='],
  ['marks on a blank or a quote', '" \u0336\u0336"\u0338', '" \\u0336\\u0336"\\u0338'],
  ['a mark on what is not shown', 'a\ufe0f\u20e3', 'a\\ufe0f\\u20e3'],
])('escapes what would act or hide: %s', (_what, text, shown) => {
  expect(escapeText(text)).toBe(shown);
  expect(UNSAFE.test(text)).toBe(true);
  expect(UNSAFE.test(shown)).toBe(false);
  expect(escapeText(shown)).toBe(shown);
});

it.each([
  ['ASCII', 'web:1.0 {"a": [1, 2]} ~\\n'],
  ['accents in one character or two', 'caf\u00e9 cafe\u0301 e\u0302\u0301'],
  ['Devanagari', 'क्षत्रिय हिन्दी फ़ौज़ों'],
  ['Thai', 'ที่นี่ น้ำ'],
  ['pointed Hebrew', 'שָׁלוֹם'],
  ['Arabic', 'مُحَمَّد'],
  ['Tamil', 'நிறுவனம் கொடுத்து'],
  ['Chinese, Japanese and Korean', '日本語 が 한국어 中文'],
  ['signs and emoji', '→ … █ ░ ✓ € 👍 🐳'],
])('shows %s as it is', (_what, text) => {
  expect(escapeText(text)).toBe(text);
  expect(escapeText(text.normalize('NFD'))).toBe(text.normalize('NFD'));
});

it('gives JSON that reads as the very text', () => {
  const text = '"\u0301\\\u0301 \ue000\u3164\ud800\n\u0308 a\u0301\u0301\u0301\u0301';
  const line = escapeText(JSON.stringify({ text }));
  expect(JSON.parse(line)).toEqual({ text });
  expect(UNSAFE.test(line)).toBe(false);
});

it('takes no more than moments for a megabyte of marks', () => {
  const startedAt = performance.now();
  escapeText(`e${'\u0301'.repeat(200_000)} ${'\u0301'.repeat(200_000)}`);
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});
