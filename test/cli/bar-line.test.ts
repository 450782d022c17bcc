/** What a line of progress keeps where there is little room. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type BarState, barLine } from '../../cli/bar-line.ts';
import { SEED } from '../fuzz/seed.ts';

const state: BarState = {
  name: 'web:1.0',
  shortName: 'web:1.0',
  bytes: 30,
  bytesTotal: 100,
  words: {
    state: '120 MB of 400 MB',
    shortState: '30%',
    pace: '11.8 MB/s, 24 s left',
    limit: 'held up by the network',
  },
};

it.each([
  [120, ' web:1.0 ███████░░░░░░░░░░░░░░░░░ 120 MB of 400 MB, 11.8 MB/s, 24 s left, held up by the network'],
  [85, ' web:1.0 ████░░░░░░░░ 120 MB of 400 MB, 11.8 MB/s, 24 s left, held up by the network'],
  [80, ' web:1.0 ██░░░░ 120 MB of 400 MB, 11.8 MB/s, 24 s left, held up by the network'],
  [74, ' web:1.0 120 MB of 400 MB, 11.8 MB/s, 24 s left, held up by the network'],
  [60, ' web:1.0 120 MB of 400 MB, 11.8 MB/s, 24 s left'],
  [40, ' web:1.0 30%, 11.8 MB/s, 24 s left'],
  [34, ' …b:1.0 30%, 11.8 MB/s, 24 s left'],
  [30, ' web:1.0 30%'],
  [8, ' …b:1.0'],
])('of %i columns', (columns, line) => {
  expect(barLine(state, columns)).toBe(line);
});

it('never wraps, and on 40 columns always has rate and time left', () => {
  const text = fc.string({ maxLength: 90, unit: 'grapheme-ascii' });
  fc.assert(
    fc.property(text, text, fc.integer({ min: 1, max: 200 }), (name, limit, columns) => {
      const line = barLine({ ...state, name, shortName: name, words: { ...state.words, limit } }, columns);
      expect(line.length).toBeLessThan(Math.max(2, columns));
      if (columns >= 40) expect(line).toContain('11.8 MB/s, 24 s left');
    }),
    { seed: SEED },
  );
});

it('has an empty bar of what has no total', () => {
  expect(barLine({ ...state, bytesTotal: 0, words: { state: 'reading' } }, 80)).toBe(
    ' web:1.0 ░░░░░░░░░░░░ reading',
  );
});
