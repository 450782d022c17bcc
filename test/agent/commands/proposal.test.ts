import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Ask, propose } from '../../../agent/commands/proposal.ts';
import type { Event, PlanImage } from '../../../agent/model/events.ts';
import { DECISION_WAIT_MS } from '../../../proto/limits.ts';

const DONE: Event = { event: 'done', images: 1, failed: 0, bytes: 0, wireBytes: 0, seconds: 0, exit: 0 };

/** What is told, what the sink is told, and whether the run ends with the plan. */
async function proposed(
  ask: Ask | undefined,
  { planOnly = true, action = 'send' as PlanImage['action'], signal = new AbortController().signal } = {},
) {
  const images = [{ action, bytesMissing: 1_000 }] as PlanImage[];
  const told: string[] = [];
  const settled = { outcomes: [], exit: 0 };
  const sink = {
    link: { rate: 500, wireBytes: 7_000 },
    proceed: async () => void told.push('proceeds'),
    decline: async (reason: string) => void told.push(`declines: ${reason}`),
  };
  const ended = await propose(
    {
      planOnly,
      ask,
      emit: (event) => told.push(event.event === 'warning' ? event.message : event.event),
      plan: async (tell) => {
        tell({ event: 'plan', images, only: true });
        tell(DONE);
        return settled;
      },
    },
    sink,
    { signal, peer: { name: 'far' } },
  );
  return { told, ended: ended === settled };
}

describe('a plan that may be carried out', () => {
  it.each<readonly [string, Ask | undefined, object, readonly string[], boolean]>([
    ['a plan', undefined, {}, ['plan', 'estimate', 'done'], true],
    ['a plan and a yes', async () => true, {}, ['plan', 'estimate', 'proceeds'], false],
    ['a plan and a no', async () => false, {}, ['plan', 'estimate', 'done'], true],
    ['a plan of nothing', async () => true, { action: 'refuse' }, ['plan', 'estimate', 'done'], true],
    ['a send and a yes', async () => true, { planOnly: false }, ['proceeds'], false],
    ['a send and a no', async () => false, { planOnly: false }, ['declines: it was not confirmed'], false],
    ['a send of nothing', async () => false, { planOnly: false, action: 'refuse' }, ['proceeds'], false],
  ])('%s', async (_what, ask, options, told, ended) => {
    expect(await proposed(ask, options)).toEqual({ told, ended });
  });

  it('is shown with the time that it takes', async () => {
    const ask = vi.fn(async () => false);
    await proposed(ask);
    const estimate = { event: 'estimate', rate: 500, bytes: 1_000, seconds: 2, wireBytes: 7_000 };
    expect(ask).toHaveBeenCalledWith(expect.objectContaining({ peer: 'far', estimate }), expect.anything());
  });
});

describe('an answer that does not come', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it.each([
    [true, ['plan', 'estimate', 'nobody confirmed it within 600 s: nothing was sent', 'done']],
    [false, ['declines: nobody confirmed it within 600 s']],
  ])(
    'is a no after 10 minutes, with words, and the question is withdrawn (plan: %s)',
    async (planOnly, told) => {
      let until: AbortSignal | undefined;
      const run = proposed(
        (_proposal, signal) => {
          until = signal;
          return new Promise(() => {});
        },
        { planOnly },
      );
      await vi.advanceTimersByTimeAsync(DECISION_WAIT_MS - 1);
      expect(until?.aborted).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      expect((await run).told).toEqual(told);
      expect(until?.aborted).toBe(true);
    },
  );
});
