/**
 * Admission and answers together under a flood, in simulated time: thousands of strangers that hold what they get and
 * dial again when they are thrown out, and one honest sender. test/hostile/flood.test.ts has the real thing.
 */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Admission, type Stranger } from '../../../agent/peer/admission.ts';
import { Answers } from '../../../agent/peer/answers.ts';
import {
  ANSWERS_MAX_PER_100_MS,
  ANSWERS_PER_ADDRESS_MAX_PER_S,
  CROWDED_OUT_PAUSE_MS,
  HANDSHAKE_TIMEOUT_MS,
} from '../../../proto/limits.ts';

const STRANGERS = 2_000;
/** How long a stranger that was thrown out waits on average. */
const AGAIN_MS = 2_000;
/** From a connection to its message 1, and once more to its message 3. */
const STEP_MS = 5;
/** The honest sender stretches its code once, while its connection stands still. */
const STRETCH_MS = 150;
const WITHIN_MS = 5_000;
const HONEST = '192.0.2.1';

/** Time that stands still while anything is done. */
class SimulatedTime {
  now = 0;
  readonly #events: { readonly at: number; readonly run: () => void }[] = [];

  after(ms: number, run: () => void): () => void {
    const event = { at: this.now + ms, run };
    // Nearly all are later than nearly all others: the place is found from the end.
    let place = this.#events.length;
    while (place > 0 && (this.#events[place - 1]?.at ?? 0) > event.at) place--;
    this.#events.splice(place, 0, event);
    return () => {
      const at = this.#events.indexOf(event);
      if (at >= 0) this.#events.splice(at, 1);
    };
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** What is due until `until`, or until `met`; what follows from each event at once is done before the next. */
  async run(until: number, met = () => false): Promise<void> {
    for (let next = this.#events[0]; next && next.at <= until && !met(); next = this.#events[0]) {
      this.#events.shift();
      this.now = next.at;
      next.run();
      for (let tick = 0; tick < 12; tick++) await undefined;
    }
    if (!met()) this.now = until;
  }
}

let time: SimulatedTime;

beforeEach(() => {
  time = new SimulatedTime();
  vi.stubGlobal('setTimeout', (run: () => void, ms: number) => time.after(ms, run));
  vi.stubGlobal('clearTimeout', (cancel?: () => void) => cancel?.());
  vi.stubGlobal('setImmediate', (run: () => void) => time.after(0, run));
});
afterEach(() => void vi.unstubAllGlobals());

/** Small, and the same in every run. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function listening() {
  const now = () => time.now;
  const admission = new Admission({ now });
  const answers = new Answers(now);
  const answered: { readonly address: string; readonly at: number }[] = [];
  return {
    answered,
    /** One connection up to the answer to its message 1; it stays until it is `over`. Resolves false if it is thrown out. */
    connect(
      address: string,
      readyMs: number,
    ): { readonly answer: Promise<boolean>; readonly over: Promise<void> } {
      let end: () => void = () => {};
      const over = new Promise<void>((resolve) => {
        end = resolve;
      });
      let open = true;
      const close = () => {
        open = false;
        admission.leave(stranger);
        end();
      };
      const stranger: Stranger = { address, evict: close };
      const answer = (async () => {
        if (!admission.admit(stranger)) {
          close();
          return false;
        }
        time.after(HANDSHAKE_TIMEOUT_MS, close);
        await time.pause(readyMs);
        if (!open) return false;
        admission.hold(stranger);
        await answers.turn(address, over);
        if (!open) return false;
        answered.push({ address, at: now() });
        admission.advance(stranger);
        return true;
      })();
      return { answer, over };
    },
  };
}

/** When the honest sender is in, in simulated milliseconds from its first dial. */
async function flooded(from: (number: number) => string, seed: number) {
  const random = randomOf(seed);
  const listener = listening();
  let over = false;
  const stranger = async (number: number) => {
    await time.pause(random() * AGAIN_MS);
    while (!over) {
      await listener.connect(from(number), STEP_MS).over;
      await time.pause(AGAIN_MS * (0.5 + random()));
    }
  };
  for (let number = 0; number < STRANGERS; number++) void stranger(number);
  await time.run(2 * AGAIN_MS);
  const started = time.now;
  let inAfterMs: number | undefined;
  void (async () => {
    for (let stretched = false; ; ) {
      const connection = listener.connect(HONEST, stretched ? STEP_MS : STRETCH_MS);
      stretched = true;
      if ((await connection.answer) && (await stays(connection.over))) break;
      await time.pause(CROWDED_OUT_PAUSE_MS * (0.5 + random()));
    }
    inAfterMs = time.now - started;
  })();
  await time.run(started + 2 * WITHIN_MS, () => inAfterMs !== undefined);
  over = true;
  return { inAfterMs, answered: listener.answered };
}

/** Whether it is not thrown out before its message 3 has come. */
function stays(over: Promise<void>): Promise<boolean> {
  return Promise.race([over.then(() => false), time.pause(STEP_MS).then(() => true)]);
}

it.each<readonly [string, (number: number) => string]>([
  ['500 addresses of two networks', (n) => `10.0.${(n >> 8) & 1}.${n & 249}`],
  ['2,000 networks', (n) => `10.${n % 250}.${Math.floor(n / 250)}.9`],
  ['eight addresses beside the honest one', (n) => `192.0.2.${2 + (n % 8)}`],
])('an honest sender is in within 5 s beside 2,000 strangers from %s', async (_from, from) => {
  const times: number[] = [];
  for (const seed of [1, 2, 3]) {
    const { inAfterMs, answered } = await flooded(from, seed);
    times.push(inAfterMs ?? Number.POSITIVE_INFINITY);
    for (const { address, at } of answered) {
      const second = answered.filter((one) => one.at > at - 1_000 && one.at <= at);
      expect(second.length).toBeLessThanOrEqual(10 * ANSWERS_MAX_PER_100_MS);
      expect(second.filter((one) => one.address === address).length).toBeLessThanOrEqual(
        ANSWERS_PER_ADDRESS_MAX_PER_S,
      );
    }
    time = new SimulatedTime();
  }
  expect(Math.max(...times)).toBeLessThan(WITHIN_MS);
});
