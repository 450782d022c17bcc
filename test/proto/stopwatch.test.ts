import { expect, it } from 'vitest';
import { awaited } from '../../agent/awaited.ts';
import { Stopwatch } from '../../proto/stopwatch.ts';
import { pause } from './wire.ts';

it('counts a wait while it goes on, and no more when it is over', async () => {
  const watch = new Stopwatch();
  expect(watch.ms).toBe(0);
  const coming = awaited<string>();
  const waiting = watch.during(coming.promise);
  await pause(30);
  const midway = watch.ms;
  expect(midway).toBeGreaterThan(20);
  await pause(30);
  expect(watch.ms).toBeGreaterThan(midway);
  coming.resolve('here');
  expect(await waiting).toBe('here');
  const end = watch.ms;
  await pause(30);
  expect(watch.ms).toBe(end);
});

it('counts a wait that fails, and passes the failure on', async () => {
  const watch = new Stopwatch();
  const failing = pause(20).then(() => Promise.reject(new Error('no')));
  await expect(watch.during(failing)).rejects.toThrow('no');
  expect(watch.ms).toBeGreaterThan(10);
});

it('counts the source of a stream, and not who reads it', async () => {
  const watch = new Stopwatch();
  let ended = false;
  const source = async function* () {
    try {
      for (const item of [1, 2, 3]) {
        await pause(20);
        yield item;
      }
    } finally {
      ended = true;
    }
  };
  for await (const item of watch.over(source())) {
    await pause(50);
    if (item === 2) break;
  }
  expect(watch.ms).toBeGreaterThan(30);
  expect(watch.ms).toBeLessThan(90);
  expect(ended).toBe(true);
});
