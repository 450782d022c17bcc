/** Whose message 1 is answered, when, on a clock that stands still until it is moved. */
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Answers } from '../../../agent/peer/answers.ts';
import { ANSWERS_MAX_PER_100_MS, ANSWERS_PER_ADDRESS_MAX_PER_S } from '../../../proto/limits.ts';

const STAYS = new Promise<never>(() => {});

/** Each answer takes `answerMs`. */
function answering(answerMs = 0) {
  const clock = { now: 7 };
  const answers = new Answers(() => clock.now);
  const answered: string[] = [];
  const ask = (address: string, gone: Promise<unknown> = STAYS) =>
    void answers.turn(address, gone).then(() => {
      answered.push(address);
      clock.now += answerMs;
    });
  /** Until nobody else is answered at this time. */
  const settled = async () => {
    for (let seen = -1; seen !== answered.length; ) {
      seen = answered.length;
      for (let turn = 0; turn < 5; turn++) await setImmediate();
    }
    return answered.splice(0);
  };
  /** The timer is a real one, and looks at the clock once it fires. */
  const later = async (ms: number, count: number) => {
    clock.now += ms;
    await expect.poll(() => answered.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(count);
    return settled();
  };
  return { ask, settled, later, clock };
}

/** Addresses of as many networks. */
function addresses(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `10.${Math.floor(n / 250)}.${n % 250}.1`);
}

describe('answers', () => {
  it('go to five of an address in any second, and the others wait', async () => {
    const { ask, settled, later, clock } = answering();
    for (let n = 0; n < 12; n++) ask('10.0.0.1');
    expect(await settled()).toHaveLength(ANSWERS_PER_ADDRESS_MAX_PER_S);
    clock.now += 999;
    ask('10.0.0.1');
    expect(await settled()).toEqual([]);
    expect(await later(1, 5)).toHaveLength(ANSWERS_PER_ADDRESS_MAX_PER_S);
    expect(await later(1_000, 3)).toHaveLength(3);
  });

  it('go to five in all in any tenth of a second, and so to fifty a second', async () => {
    const { ask, settled, later, clock } = answering();
    const all = addresses(120);
    for (const address of all.slice(0, 3)) ask(address);
    expect(await settled()).toHaveLength(3);
    clock.now += 60;
    for (const address of all.slice(3)) ask(address);
    expect(await settled()).toHaveLength(2);
    // The first three are a tenth of a second ago, the other two are not.
    expect(await later(40, 3)).toHaveLength(3);
    expect(await later(60, 2)).toHaveLength(2);
    let answered = 0;
    for (let tenth = 0; tenth < 10; tenth++) answered += (await later(100, 5)).length;
    expect(answered).toBe(50);
  });

  it('come at once from another address while one waits', async () => {
    const { ask, settled, clock } = answering();
    for (let n = 0; n < 30; n++) ask('10.0.0.1');
    await settled();
    clock.now += 100;
    ask('10.0.0.2');
    expect(await settled()).toEqual(['10.0.0.2']);
  });

  it('come first to whose network, and then address, has had the fewest, then in their order', async () => {
    const { ask, settled, later } = answering();
    for (const address of ['10.0.0.1', '10.0.0.1', '10.0.0.2', '10.0.1.1', '10.0.1.1']) ask(address);
    expect(await settled()).toHaveLength(ANSWERS_MAX_PER_100_MS);
    for (const address of ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.1.1', '192.0.2.1', '192.0.3.1'])
      ask(address);
    const order = ['192.0.2.1', '192.0.3.1', '10.0.1.1', '10.0.0.3', '10.0.0.2'];
    expect(await later(100, 5)).toEqual(order);
    expect(await later(100, 1)).toEqual(['10.0.0.1']);
  });

  it('count a /64 of IPv6 as one address', async () => {
    const { ask, settled, clock } = answering();
    for (let n = 1; n <= 9; n++) ask(`2001:db8:1:2::${n}`);
    expect(await settled()).toHaveLength(ANSWERS_PER_ADDRESS_MAX_PER_S);
    clock.now += 100;
    ask('2001:db8:1:3::1');
    expect(await settled()).toEqual(['2001:db8:1:3::1']);
  });

  it('leave as much time for all else as they take', async () => {
    const clock = { now: 7 };
    const slow = new Answers(() => clock.now);
    const began = performance.now();
    const taken: number[] = [];
    const answer = (address: string) =>
      slow.turn(address, STAYS).then(() => {
        taken.push(performance.now() - began);
        clock.now += 300;
      });
    await Promise.all([answer('10.0.0.1'), answer('10.0.0.2')]);
    // Its own timer is a real one, and may be a millisecond early.
    expect((taken[1] ?? 0) - (taken[0] ?? 0)).toBeGreaterThan(298);
  });

  it('are not spent on who has gone', async () => {
    const { ask, settled, later } = answering();
    for (let n = 0; n < 5; n++) ask('10.0.0.1');
    await settled();
    let go: () => void = () => {};
    const gone = new Promise<void>((resolve) => {
      go = resolve;
    });
    for (let n = 0; n < 5; n++) ask('10.0.0.1', gone);
    for (let n = 0; n < 5; n++) ask('10.0.0.1');
    go();
    // It is told that there is no answer to wait for.
    expect(await settled()).toHaveLength(5);
    expect(await later(1_000, 5)).toHaveLength(ANSWERS_PER_ADDRESS_MAX_PER_S);
  });

  it('leave as much time again for all else', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { ask, settled, clock } = answering(200);
    for (const address of addresses(3)) ask(address);
    expect(await settled()).toHaveLength(1);
    for (const left of [2, 1]) {
      clock.now += 199;
      vi.advanceTimersByTime(199);
      expect(await settled()).toEqual([]);
      clock.now += 1;
      vi.advanceTimersByTime(1);
      expect([left, await settled()]).toEqual([left, [expect.any(String)]]);
    }
  });
});
