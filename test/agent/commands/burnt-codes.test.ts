/** A receiver whose codes strangers burn, one after the other: the next one is slower to come each time. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Renaming } from '../../../agent/choose/rename.ts';
import { receive } from '../../../agent/commands/receive.ts';
import type { Event } from '../../../agent/model/events.ts';
import { ImgmvError } from '../../../proto/errors.ts';
import { CODE_WRONG_TRIES_MAX } from '../../../proto/limits.ts';
import { guess } from '../../hostile/strangers.ts';
import { codeOf, until } from '../../proto/wire.ts';
import { type ScratchDirectory, scratchDirectory } from '../../rig/scratch.ts';

let scratch: ScratchDirectory;
beforeAll(async () => {
  scratch = await scratchDirectory();
});
afterAll(() => scratch?.[Symbol.asyncDispose]());

/** Timers may be early by what a clock rounds. */
const ROUNDED_MS = 20;

it('a new code comes 1 s after the first burnt one, then 2 s after, and a stop is not kept waiting', async () => {
  const events: { readonly event: Event; readonly at: number }[] = [];
  const stop = new AbortController();
  let port = 0;
  const run = receive({
    destination: { kind: 'oci', path: join(scratch.path, 'layout') },
    overwrite: false,
    stdout: async () => {},
    address: '127.0.0.1',
    port: 0,
    once: false,
    ttlMs: 600_000,
    maxSessionMs: 600_000,
    noReplace: false,
    ignoreSpace: true,
    renaming: new Renaming({ retag: [], keepNames: false }),
    showCode: async (_code, listening) => {
      port = listening.port;
      return {};
    },
    signal: stop.signal,
    emit: (event) => events.push({ event, at: performance.now() }),
  });
  const ended = codeOf(run);
  const times = (name: Event['event']) => events.filter(({ event }) => event.event === name);
  let address = 1;
  try {
    for (const [round, ms] of [1_000, 2_000].entries()) {
      await until(() => times('listening').length === round + 1);
      for (let n = 0; n < CODE_WRONG_TRIES_MAX; n++)
        expect(await guess(port, `127.0.0.${++address}`, async () => {})).toBe(4012);
      await until(() => times('listening').length === round + 2);
      const [burnt, again] = [times('error')[round], times('listening')[round + 1]];
      expect(burnt?.event).toMatchObject({ code: 'code-burnt' });
      expect((again?.at ?? 0) - (burnt?.at ?? 0)).toBeGreaterThan(ms - ROUNDED_MS);
      expect(times('warning')[round]?.event).toEqual({
        event: 'warning',
        message: `the next pairing code comes in ${ms / 1_000} s`,
      });
    }
    for (let n = 0; n < CODE_WRONG_TRIES_MAX; n++) await guess(port, `127.0.0.${++address}`, async () => {});
    await until(() => times('warning').length === 3);
    // Who dials meanwhile is told of the burnt code, and none was made ahead.
    expect(await guess(port, '127.0.0.99', async () => {})).toBe(4312);
    expect(times('listening')).toHaveLength(3);
  } finally {
    stop.abort(new ImgmvError('sigterm', 'the test is over'));
  }
  expect(await ended).toBe('sigterm');
});
