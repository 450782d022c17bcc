import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { deferred } from '../../proto/deferred.ts';
import { Stopwatch } from '../../proto/stopwatch.ts';
import { pause } from './wire.ts';

beforeAll(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] });
});
afterAll(() => {
  vi.useRealTimers();
});

/** The clock stands still but for this. */
async function passed(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

it('counts a wait while it goes on, and no more when it is over', async () => {
  const watch = new Stopwatch();
  expect(watch.ms).toBe(0);
  const coming = deferred<string>();
  const waiting = watch.during(coming.promise);
  await passed(30);
  expect(watch.ms).toBe(30);
  await passed(30);
  expect(watch.ms).toBe(60);
  coming.resolve('here');
  expect(await waiting).toBe('here');
  await passed(30);
  expect(watch.ms).toBe(60);
});

it('counts a wait that fails, and passes the failure on', async () => {
  const watch = new Stopwatch();
  const failing = pause(20).then(() => Promise.reject(new Error('no')));
  const failed = expect(watch.during(failing)).rejects.toThrow('no');
  await passed(20);
  await failed;
  expect(watch.ms).toBe(20);
});

it('counts the source of a stream, and not who reads it', async () => {
  const watch = new Stopwatch();
  let ended = false;
  const source = async function* () {
    try {
      for (const item of [1, 2, 3]) {
        await passed(20);
        yield item;
      }
    } finally {
      ended = true;
    }
  };
  for await (const item of watch.over(source())) {
    await passed(50);
    if (item === 2) break;
  }
  expect(watch.ms).toBe(40);
  expect(ended).toBe(true);
});
