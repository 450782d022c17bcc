import { expect, it } from 'vitest';
import { Pairing } from '../../../agent/peer/pairing.ts';
import { deriveKey, generateCode, parseCode } from '../../../proto/code.ts';
import type { Secret } from '../../../proto/secret.ts';

/** Both clocks, each moved by hand. */
class FakeClock {
  wallMs = 1_000_000;
  monotonicMs = 5;
  wall = () => this.wallMs;
  monotonic = () => this.monotonicMs;
}

async function started(ttlMs = 60_000): Promise<{ clock: FakeClock; pairing: Pairing }> {
  const clock = new FakeClock();
  return { clock, pairing: new Pairing(ttlMs, clock) };
}

it('has a code of its own, and the key that it stretches to', async () => {
  const [one, other] = [await started(), await started()];
  const { code, salt, psk } = one.pairing;
  expect(await psk).toEqual(await deriveKey(parseCode(code.reveal()), salt));
  expect(other.pairing.code.reveal()).not.toBe(code.reveal());
  expect(other.pairing.salt).not.toEqual(salt);
});

it('lives to the last millisecond of its time', async () => {
  const { clock, pairing } = await started();
  expect(pairing.expires).toBe(1_060_000);
  clock.wallMs += 59_999;
  clock.monotonicMs += 59_999;
  expect(pairing.death).toBeUndefined();
});

it('dies by the wall clock, as after a sleep of the machine', async () => {
  const { clock, pairing } = await started();
  clock.wallMs += 60_000;
  expect(pairing.death?.code).toBe('code-expired');
});

it('dies by the monotonic clock when the wall clock was set back', async () => {
  const { clock, pairing } = await started();
  clock.wallMs -= 86_400_000;
  clock.monotonicMs += 60_000;
  expect(pairing.death?.code).toBe('code-expired');
});

it('dies by its use, and stays used', async () => {
  const { clock, pairing } = await started();
  pairing.admit();
  expect(pairing.death?.code).toBe('code-used');
  clock.wallMs += 60_000;
  expect(pairing.death?.code).toBe('code-used');
});

it('dies by the fifth wrong try', async () => {
  const { pairing } = await started();
  const seen = Array.from({ length: 5 }, () => {
    pairing.wrongTry();
    return [pairing.triesLeft, pairing.death?.code];
  });
  expect(seen).toEqual([
    [4, undefined],
    [3, undefined],
    [2, undefined],
    [1, undefined],
    [0, 'code-burnt'],
  ]);
});

it('tells the code before it, by how that died, from any other', async () => {
  const { clock, pairing: before } = await started();
  const spent = async (pairing: Pairing, code: Secret) => {
    const key = await deriveKey(code, pairing.salt);
    return pairing.spent((psk) => key.equals(psk))?.code;
  };
  const early = new Pairing(60_000, clock, before);
  before.admit();
  const next = new Pairing(60_000, clock, before);
  await Promise.all([early.psk, next.psk]);
  expect(await spent(early, before.code)).toBeUndefined();
  expect(await spent(next, before.code)).toBe('code-used');
  expect(await spent(next, generateCode())).toBeUndefined();
});
