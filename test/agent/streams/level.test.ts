import { expect, it } from 'vitest';
import { LevelPolicy, type Link } from '../../../agent/streams/level.ts';

/** What happens between two looks, 200 ms apart; the first comes after 600 ms. */
interface Look {
  readonly waitedMs: number;
  readonly readerWaits: boolean;
}

const FULL: Look = { waitedMs: 150, readerWaits: true };
const STEADY: Look = { waitedMs: 40, readerWaits: true };
const DRY: Look = { waitedMs: 0, readerWaits: true };
const SLOW_READER: Look = { waitedMs: 150, readerWaits: false };

/** The level to begin with, and that after each of `looks`. */
function levels(looks: readonly Look[], pinned?: number): readonly number[] {
  let now = 0;
  let link: Link = { linkMs: 0, readerWaits: true };
  const policy = new LevelPolicy(
    pinned,
    () => link,
    () => now,
  );
  const first = policy.level();
  const behind = looks.map((look, at) => {
    const intervals = at === 0 ? 3 : 1;
    now += 200 * intervals;
    link = { linkMs: link.linkMs + intervals * look.waitedMs, readerWaits: look.readerWaits };
    return policy.level();
  });
  return [first, ...behind];
}

const times = (count: number, link: Look) => Array.from({ length: count }, () => link);

it('begins at 3, and falls to 1 at the first look unless the link is full', () => {
  expect(levels([])).toEqual([3]);
  expect(levels(times(3, STEADY))).toEqual([3, 1, 1, 1]);
  expect(levels(times(3, DRY))).toEqual([3, 1, 1, 1]);
  expect(levels([FULL, DRY, DRY, DRY])).toEqual([3, 3, 2, 1, 1]);
});

it('rises by one a look once the link was full twice in a row, to 7', () => {
  expect(levels(times(8, FULL))).toEqual([3, 3, 4, 5, 6, 7, 7, 7, 7]);
  expect(levels([FULL, STEADY, FULL, STEADY, FULL])).toEqual([3, 3, 3, 3, 3, 3]);
});

it('falls by one a look while the link runs dry, to 1', () => {
  expect(levels([...times(3, FULL), ...times(6, DRY)]).slice(3)).toEqual([5, 4, 3, 2, 1, 1, 1]);
});

it('falls when the other side is slow for long, however full the socket is', () => {
  expect(levels([...times(4, FULL), ...times(6, SLOW_READER)]).slice(4)).toEqual([6, 6, 6, 6, 5, 4, 3]);
  expect(levels([...times(4, FULL), ...times(3, SLOW_READER), STEADY]).slice(4)).toEqual([6, 6, 6, 6, 6]);
});

it('looks for the first time after 0.6 s, then no more than five times a second', () => {
  let now = 0;
  const looks: number[] = [];
  const look = () => {
    looks.push(now);
    return { linkMs: 0, readerWaits: true };
  };
  const policy = new LevelPolicy(undefined, look, () => now);
  for (now = 0; now < 1_300; now += 10) policy.level();
  expect(looks).toEqual([600, 800, 1000, 1200]);
});

it('stays at the level that was asked for', () => {
  expect(levels([...times(3, FULL), ...times(3, DRY)], 12)).toEqual(times(7, DRY).map(() => 12));
});
