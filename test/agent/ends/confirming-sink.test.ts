import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConfirmingSink } from '../../../agent/ends/confirming-sink.ts';
import type { Digest, Image } from '../../../agent/model/image.ts';
import type { Answer, Planned } from '../../../agent/model/sink.ts';
import { ImgmvError } from '../../../proto/errors.ts';
import { MemorySink, type MemorySinkOptions, testImage } from '../../memory.ts';

const OTHER: Digest = `sha256:${'ab'.repeat(32)}`;

/** A sink that asks, and what it asked about. */
function confirming(
  ask: (signal: AbortSignal) => Promise<boolean>,
  options: MemorySinkOptions = {},
  signal = new AbortController().signal,
) {
  const asked: (readonly Answer[])[] = [];
  const inner = new MemorySink(options);
  const sink = new ConfirmingSink(inner, {
    ask: (answers, until) => {
      asked.push(answers);
      return ask(until);
    },
    signal,
  });
  return { asked, inner, sink };
}

const images = (...names: readonly string[]): Promise<readonly Image[]> =>
  Promise.all(names.map(async (name) => (await testImage({ name })).image));
const yes = async () => true;
const ends = (planned: readonly Planned[]) =>
  planned.map(({ answer: { action, reason } }) => reason ?? action);

describe('the question', () => {
  it('is about the whole plan, and yes leaves it as it is', async () => {
    const { asked, inner, sink } = confirming(yes);
    inner.names.set('web:1', OTHER);
    const answers = await sink.plan(await images('web:1', 'db:1'));
    expect(ends(answers)).toEqual(['send', 'send']);
    expect(asked).toEqual([answers.map(({ answer }) => answer)]);
    expect(asked[0]?.[0]?.refs[0]?.replaces).toBe(OTHER);
  });

  it('refuses all of it where the answer is no; what is refused anyway keeps its reason', async () => {
    const refusal = ({ names }: Image) => (names[0]?.target === 'db:1' ? 'no room' : undefined);
    const { inner, sink } = confirming(async () => false, { refusal });
    inner.names.set('web:1', OTHER);
    const answers = await sink.plan(await images('web:1', 'db:1'));
    expect(answers.map(({ answer }) => answer.action)).toEqual(['refuse', 'refuse']);
    expect(ends(answers)).toEqual(['it was not confirmed', 'no room']);
    // Nor does the sender learn of what is here.
    expect(JSON.stringify(answers[0]?.answer)).not.toContain(OTHER);
    expect(answers[0]?.answer).not.toHaveProperty('missing');
  });

  it('is not asked where there is nothing to do', async () => {
    const { asked, sink } = confirming(yes, { refusal: () => 'no room' });
    expect(ends(await sink.plan(await images('web:1')))).toEqual(['no room']);
    expect(ends(await sink.plan([]))).toEqual([]);
    expect(asked).toEqual([]);
  });

  it('fails the session where it cannot be asked', async () => {
    const { sink } = confirming(() => Promise.reject(new Error('the terminal is gone')));
    await expect(sink.plan(await images('web:1'))).rejects.toThrow('the terminal is gone');
  });
});

describe('an answer that does not come', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  /** The timers of 60 s that were set from now on and not cleared; the runner may have others. */
  function timersLeft() {
    const set = vi.spyOn(globalThis, 'setTimeout');
    const cleared = vi.spyOn(globalThis, 'clearTimeout');
    return () => {
      const gone = new Set(cleared.mock.calls.map(([timer]) => timer));
      return set.mock.results.filter(
        ({ value }, at) => set.mock.calls[at]?.[1] === 60_000 && !gone.has(value),
      ).length;
    };
  }

  it('is a no after 60 s, and the question is withdrawn', async () => {
    const made = await images('web:1');
    let until: AbortSignal | undefined;
    const { sink } = confirming((signal) => {
      until = signal;
      return new Promise(() => {});
    });
    let answers: readonly Planned[] | undefined;
    const left = timersLeft();
    void sink.plan(made).then((planned) => {
      answers = planned;
    });
    await vi.advanceTimersByTimeAsync(59_999);
    expect([answers, until?.aborted, left()]).toEqual([undefined, false, 1]);
    await vi.advanceTimersByTimeAsync(1);
    expect(until?.aborted).toBe(true);
    expect(ends(answers ?? [])).toEqual(['nobody confirmed it within 60 s']);
    expect(left()).toBe(0);
  });

  it('counts no more once it is late', async () => {
    const made = await images('web:1');
    let answer: (yes: boolean) => void = () => {};
    const { sink } = confirming(() => new Promise((resolve) => (answer = resolve)));
    const planning = sink.plan(made);
    await vi.advanceTimersByTimeAsync(60_000);
    answer(true);
    expect(ends(await planning)).toEqual(['nobody confirmed it within 60 s']);
    expect(ends(await sink.plan(made))).toEqual(['it was not confirmed']);
  });

  it('is not waited for once the session has ended', async () => {
    const made = await images('web:1');
    const session = new AbortController();
    let until: AbortSignal | undefined;
    const never = (signal: AbortSignal) => {
      until = signal;
      return new Promise<boolean>(() => {});
    };
    const { sink } = confirming(never, {}, session.signal);
    const left = timersLeft();
    const planning = sink.plan(made);
    await vi.advanceTimersByTimeAsync(1_000);
    const lost = new ImgmvError('peer-lost', 'the sender is gone');
    const ended = expect(planning).rejects.toBe(lost);
    session.abort(lost);
    await ended;
    expect([until?.aborted, left()]).toEqual([true, 0]);
  });
});

describe('what is tried again', () => {
  it('is not asked about, where it is what was confirmed', async () => {
    const { asked, sink } = confirming(yes);
    const made = await images('web:1', 'db:1');
    await sink.plan(made);
    expect(ends(await sink.plan(made.slice(0, 1)))).toEqual(['send']);
    expect(asked).toHaveLength(1);
  });

  it('may take from no other image than was shown', async () => {
    const { inner, sink } = confirming(yes);
    inner.names.set('db:1', OTHER);
    const made = await images('web:1', 'db:1');
    await sink.plan(made);
    expect(ends(await sink.plan(made))).toEqual(['send', 'send']);
    inner.names.set('web:1', OTHER);
    inner.names.set('db:1', `sha256:${'cd'.repeat(32)}`);
    expect(ends(await sink.plan(made))).toEqual([
      'web:1 is a different image now than when the session was confirmed',
      'db:1 is a different image now than when the session was confirmed',
    ]);
    inner.names.clear();
    expect(ends(await sink.plan(made))).toEqual(['send', 'send']);
  });

  it('is refused where it was refused before, although it could be taken now', async () => {
    let full = true;
    const refusal = ({ names }: Image) => (full && names[0]?.target === 'db:1' ? 'no room' : undefined);
    const { asked, sink } = confirming(yes, { refusal });
    const made = await images('web:1', 'db:1');
    expect(ends(await sink.plan(made))).toEqual(['send', 'no room']);
    full = false;
    expect(ends(await sink.plan(made))).toEqual(['send', 'it was not confirmed']);
    expect(asked).toHaveLength(1);
  });

  it('is refused where it was here when it was confirmed, and would have to be sent now', async () => {
    const { inner, sink } = confirming(yes);
    const one = await testImage({ name: 'web:1' });
    inner.images.set(one.image.id, one);
    expect(ends(await sink.plan([one.image]))).toEqual(['present']);
    inner.images.clear();
    expect(ends(await sink.plan([one.image]))).toEqual([
      'it was here when the session was confirmed, but is gone now',
    ]);
  });

  it('is refused after a no, without another question', async () => {
    const { asked, sink } = confirming(async () => false);
    const made = await images('web:1');
    await sink.plan(made);
    expect(ends(await sink.plan(made))).toEqual(['it was not confirmed']);
    expect(asked).toHaveLength(1);
  });
});
