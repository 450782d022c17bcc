import { expect, it } from 'vitest';
import { deferred } from '../../proto/deferred.ts';

it('is settled by somebody else, and tells whether it has been', async () => {
  const one = deferred<string>();
  expect(one.value).toBeUndefined();
  one.resolve('come');
  expect(one.value).toBe('come');
  expect(await one.promise).toBe('come');
});

it('may be rejected though nobody waits for it', async () => {
  const one = deferred<string>();
  one.reject(new Error('gone'));
  await new Promise((resolve) => setImmediate(resolve));
  await expect(one.promise).rejects.toThrow('gone');
});
