/** A rate is kept over any time, by whoever shares it; the clock is the test's. */
import { expect, test } from 'vitest';
import { ImgmvError } from '../../proto/errors.ts';
import { Lane } from '../../proto/lane.ts';
import { Pace, Waits } from '../../proto/pace.ts';
import { channels, codeOf, until } from './wire.ts';

const RATE = 100_000;
/** What a timer that was late may make up for. */
const CATCH_UP_MS = 50;

/** What goes until `untilMs`, each at its time, of writers that all ask again as soon as their turn has come. */
function flow(writers: number, bytes: number, untilMs: number, lateMs = () => 0) {
  let now = 1_000_000;
  const pace = new Pace(RATE, () => now);
  const began = now;
  const due = Array.from({ length: writers }, () => now + pace.reserve(bytes));
  const sent: { readonly at: number; readonly writer: number }[] = [];
  for (;;) {
    const writer = due.indexOf(Math.min(...due));
    now = Math.max(now, (due[writer] as number) + lateMs());
    if (now - began > untilMs) return sent;
    sent.push({ at: now - began, writer });
    due[writer] = now + pace.reserve(bytes);
  }
}

test.each([1, 3])(
  '%d writers together: no more than the rate, over any time, and nearly all of it',
  (writers) => {
    const bytes = 5_000;
    const sent = flow(writers, bytes, 10_000);
    for (const [first, { at: from }] of sent.entries())
      for (const [last, { at: to }] of sent.entries()) {
        const allowed = (RATE * (to - from + CATCH_UP_MS)) / 1000 + bytes;
        if (last >= first) expect((last - first + 1) * bytes).toBeLessThanOrEqual(allowed);
      }
    expect(sent.length * bytes).toBeGreaterThan(10 * RATE * 0.99);
    const each = Array.from(
      { length: writers },
      (_, at) => sent.filter(({ writer }) => writer === at).length,
    );
    expect(Math.max(...each) - Math.min(...each)).toBeLessThanOrEqual(1);
  },
);

test('timers that are late cost nothing, and a rest is not made up for', () => {
  expect(flow(1, 5_000, 10_000, () => 20).length * 5_000).toBeGreaterThan(10 * RATE * 0.98);
  let now = 0;
  const pace = new Pace(RATE, () => now);
  pace.reserve(5_000);
  now += 3_600_000;
  const waits = [1, 2, 3].map(() => pace.reserve(5_000));
  expect(waits).toEqual([0, 0, CATCH_UP_MS]);
});

test('a step is short, and at a low rate not too small', () => {
  expect(new Pace(10_000_000).stepBytes).toBe(500_000);
  expect(new Pace(1024).stepBytes).toBe(1024);
});

test('who waits is woken, and then waits no more', async () => {
  const waits = new Waits();
  const waiting = waits.wait(3_600_000);
  waits.wake();
  await waiting;
  await waits.wait(0);
});

test('a lane writes, and reads, no faster than its pace, and ends at once all the same', async () => {
  const MIB = 2 ** 20;
  await using ends = await channels();
  let now = 0;
  const clock = () => now;
  const out = new Pace(64 * 1024, clock);
  const dialler = new Lane(ends.dialler, { windowBytes: MIB, dialled: true, paces: { out } });
  const listener = new Lane(ends.listener, { windowBytes: MIB, dialled: false });
  await Promise.all([dialler.ready, listener.ready]);
  // The clock stands: what is allowed now goes, and what is behind it waits for hours.
  now = 3_600_000;
  const writing = codeOf(dialler.write(Buffer.alloc(MIB)));
  await until(() => listener.bytesReceived > 0);
  const allowed = 64 * 1024 * 0.05 + out.stepBytes;
  expect(listener.bytesReceived).toBeLessThanOrEqual(allowed);
  dialler.fail(new ImgmvError('sigint', 'stopped'));
  expect(await writing).toBe('sigint');
  expect(listener.bytesReceived).toBeLessThanOrEqual(2 * allowed);
});
