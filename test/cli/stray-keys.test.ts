/** When the terminal is held, and when it is left to questions. What people see of it is in test/e2e/meeting.test.ts. */
import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { StrayKeys } from '../../cli/stray-keys.ts';
import { deferred } from '../../proto/deferred.ts';

/** A terminal that knows whether it is raw. */
function terminal() {
  const input = Object.assign(new EventEmitter(), {
    raw: false,
    setRawMode(raw: boolean) {
      input.raw = raw;
    },
    pause() {},
    resume() {},
  });
  return { input, keys: new StrayKeys(input as unknown as NodeJS.ReadStream) };
}

it('is held again when the last of several questions is answered', async () => {
  const { input, keys } = terminal();
  const [first, second] = [deferred<string>(), deferred<string>()];
  keys.hold();
  expect(input.raw).toBe(true);
  const asked = keys.letAnswer(() => first.promise);
  const askedToo = keys.letAnswer(() => second.promise);
  expect(input.raw).toBe(false);
  first.resolve('yes');
  expect(await asked).toBe('yes');
  expect(input.raw).toBe(false);
  second.reject(new Error('no'));
  await expect(askedToo).rejects.toThrow('no');
  expect(input.raw).toBe(true);
  keys.release();
  expect([input.raw, input.listenerCount('data')]).toEqual([false, 0]);
});

it('is not held after a question where nobody wants that any more', async () => {
  const { input, keys } = terminal();
  keys.hold();
  await keys.letAnswer(async () => keys.release());
  expect(input.raw).toBe(false);
});

it('leaves no listener for signals behind', () => {
  const { keys } = terminal();
  const count = () => ['SIGCONT', 'SIGQUIT'].map((signal) => process.listenerCount(signal));
  const before = count();
  keys.hold();
  keys.hold();
  expect(count()).toEqual(before.map((listeners) => listeners + 1));
  keys.release();
  expect(count()).toEqual(before);
});
