import { expect, it } from 'vitest';
import { deferred } from '../../proto/deferred.ts';
import { Turns } from '../../proto/turns.ts';

it('does one thing after the other, whatever becomes of it', async () => {
  const turns = new Turns();
  const done: string[] = [];
  const first = deferred<void>();
  const failing = turns.take(async () => {
    await first.promise;
    done.push('first');
    throw new Error('no good');
  });
  const second = turns.take(async () => {
    done.push('second');
    return 2;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toEqual([]);
  first.resolve();
  await expect(failing).rejects.toThrow('no good');
  await turns.idle();
  expect(done).toEqual(['first', 'second']);
  expect(await second).toBe(2);
});
