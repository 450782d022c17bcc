import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wrap, wrapCode } from '../../cli/wrap.ts';
import { parseCode } from '../../proto/code.ts';
import { SEED } from '../fuzz/seed.ts';

const CODE = 'abandon-ability-able-about-above-absent';

describe('wrapping', () => {
  it.each([
    ['fits', 4, 'fits'],
    ['one two three', 8, 'one two\n  three'],
    ['  one two three', 9, '  one two\n    three'],
    ['a\nb c', 2, 'a\nb\n c'],
    ['sha256:0123456789 is long', 10, 'sha256:0123456789\n  is long'],
    ['ok       engine         docker at', 26, 'ok       engine\n  docker at'],
    ['\u001b[31mone two\u001b[0m three', 8, '\u001b[31mone two\u001b[0m\n  three'],
    ['日本 日本', 8, '日本\n  日本'],
    ['at registry.example/team/web:1.0', 20, 'at registry.example/\n  team/web:1.0'],
    ['any', Number.POSITIVE_INFINITY, 'any'],
  ])('%j in %d columns', (text, columns, lines) => {
    expect(wrap(text, columns)).toBe(lines);
  });

  it('cuts no word, loses none, and has no line that is too long but for a word that is', () => {
    const word = fc.stringMatching(/^[a-z]{1,12}$/);
    const text = fc.array(word, { minLength: 1, maxLength: 30 }).map((words) => words.join(' '));
    fc.assert(
      fc.property(text, fc.integer({ min: 30, max: 120 }), (line, columns) => {
        const lines = wrap(line, columns).split('\n');
        expect(lines.map((one) => one.trim()).join(' ')).toBe(line);
        for (const one of lines) expect(one.length).toBeLessThanOrEqual(columns);
      }),
      { seed: SEED },
    );
  });
});

describe('a pairing code', () => {
  it('is one line where that fits', () => {
    expect(wrapCode('Pairing code', CODE, 80)).toBe(`  Pairing code:  ${CODE}`);
  });

  it.each([30, 40])('is broken behind dashes in %d columns, and is the same when it is read', (columns) => {
    const [label, ...lines] = wrapCode('Pairing code', CODE, columns).split('\n');
    expect(label).toBe('  Pairing code:');
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) {
      expect(line.length).toBeLessThanOrEqual(columns);
      expect(line).toMatch(/^ {4}[a-z-]+$/);
    }
    for (const line of lines.slice(0, -1)) expect(line).toMatch(/-$/);
    expect(parseCode(lines.join('')).reveal()).toBe(CODE);
  });
});
