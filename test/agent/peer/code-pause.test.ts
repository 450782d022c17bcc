import { expect, it } from 'vitest';
import { CodePause } from '../../../agent/peer/code-pause.ts';

it('is 1 s after the first burnt code, twice as long after each further one, 60 s at most', () => {
  const pause = new CodePause();
  const seconds = Array.from({ length: 9 }, () => pause.next() / 1_000);
  expect(seconds).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
});

it('begins anew once a session has paired', () => {
  const pause = new CodePause();
  for (let n = 0; n < 5; n++) pause.next();
  pause.reset();
  expect(pause.next()).toBe(1_000);
});
