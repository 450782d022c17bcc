import { describe, expect, it } from 'vitest';
import { Admission, type AdmissionOptions, networkOf, type Stranger } from '../../../agent/peer/admission.ts';
import { UNAUTHENTICATED_GRACE_MS } from '../../../proto/limits.ts';

function admission(options: Partial<AdmissionOptions> = {}) {
  const clock = { now: 0 };
  const evicted: string[] = [];
  const turnedAway: string[] = [];
  const admitted = new Admission({ now: () => clock.now, ...options });
  const admit = (name: string, address: string): Stranger => {
    const stranger = { address, evict: () => evicted.push(name) };
    if (!admitted.admit(stranger)) turnedAway.push(name);
    return stranger;
  };
  return { admitted, admit, evicted, turnedAway, clock };
}

/** 32 strangers, each of a network of its own. */
function fill(admit: (name: string, address: string) => Stranger): Stranger[] {
  return Array.from({ length: 32 }, (_, n) => admit(`held ${n}`, `10.0.${n}.1`));
}

describe('room', () => {
  it('is for four of an address; the one that has stood still for the longest time goes', () => {
    const { admit, admitted, evicted, turnedAway, clock } = admission();
    const first = admit('first', 'x');
    for (const name of ['second', 'third', 'fourth']) admit(name, 'x');
    clock.now = UNAUTHENTICATED_GRACE_MS;
    admitted.advance(first);
    admit('fifth', 'x');
    admit('sixth', 'x');
    expect([evicted, turnedAway]).toEqual([['second', 'third'], []]);
    expect(admitted.size).toBe(4);
  });

  it('counts addresses by themselves', () => {
    const { admit, evicted } = admission();
    for (const address of ['x', 'y', 'z'])
      for (const name of ['1', '2', '3', '4']) admit(address + name, address);
    expect(evicted).toEqual([]);
  });

  it('takes another bound for all behind a proxy', () => {
    const { admit, evicted, clock } = admission({ perAddressMax: 1 });
    admit('first', 'x');
    clock.now = UNAUTHENTICATED_GRACE_MS;
    admit('second', 'x');
    expect(evicted).toEqual(['first']);
  });

  it('is for 32 in all: a network that floods makes room by its own', () => {
    const { admit, admitted, evicted, turnedAway, clock } = admission();
    admit('honest', '192.0.2.1');
    for (let n = 0; n < 100; n++) admit(`flood ${n}`, `10.0.0.${n}`);
    clock.now = 10_000;
    for (let n = 100; n < 200; n++) admit(`flood ${n}`, `10.0.0.${n}`);
    expect(admitted.size).toBe(32);
    expect(evicted).toEqual(Array.from({ length: 31 }, (_, n) => `flood ${n}`));
    expect(turnedAway).toHaveLength(69 + 69);
  });

  it('is found for a newcomer from elsewhere without delay', () => {
    const { admit, evicted, turnedAway } = admission();
    for (let n = 0; n < 32; n++) admit(`flood ${n}`, `10.0.0.${n}`);
    admit('honest', '192.0.2.1');
    expect([evicted, turnedAway]).toEqual([['flood 0'], []]);
  });

  it('is taken from the address of a network that has most', () => {
    const { admit, evicted, clock } = admission();
    for (let n = 0; n < 28; n++) admit(`one ${n}`, `10.0.0.${n}`);
    for (let n = 0; n < 4; n++) admit(`four ${n}`, '10.0.0.200');
    clock.now = UNAUTHENTICATED_GRACE_MS;
    admit('honest', '10.0.0.201');
    expect(evicted).toEqual(['four 0']);
  });

  it('is kept for a moment among equals, and once more after each step', () => {
    const { admit, admitted, evicted, turnedAway, clock } = admission();
    const [first = admit('none', ''), ...others] = fill(admit);
    clock.now = UNAUTHENTICATED_GRACE_MS - 1;
    admit('too soon', '10.1.0.1');
    expect([evicted, turnedAway]).toEqual([[], ['too soon']]);
    admitted.advance(first);
    clock.now = UNAUTHENTICATED_GRACE_MS;
    for (const n of others.keys()) admit(`late ${n}`, `10.1.${n}.1`);
    expect(evicted).toHaveLength(31);
    expect(evicted).not.toContain('held 0');
  });

  it('is kept by who waits for us, but not against a less crowded network', () => {
    const { admit, admitted, evicted, turnedAway, clock } = admission();
    const held = Array.from({ length: 32 }, (_, n) => admit(`held ${n}`, `10.0.0.${n}`));
    for (const one of held.slice(1)) admitted.hold(one);
    clock.now = 10_000;
    admit('equal', '10.0.0.77');
    admit('too many', '10.0.0.78');
    expect([evicted, turnedAway]).toEqual([['held 0'], ['too many']]);
    admit('elsewhere', '192.0.2.1');
    expect(evicted).toEqual(['held 0', 'equal']);
  });

  it('is lost by who stands still, not by who waits for us, of one address', () => {
    const { admit, admitted, evicted, turnedAway, clock } = admission({ perAddressMax: 2 });
    const waiting = admit('waiting', 'x');
    admitted.hold(waiting);
    admit('still', 'x');
    clock.now = UNAUTHENTICATED_GRACE_MS;
    admit('third', 'x');
    expect([evicted, turnedAway]).toEqual([['still'], []]);
    clock.now += UNAUTHENTICATED_GRACE_MS;
    admitted.advance(waiting);
    admit('fourth', 'x');
    admit('fifth', 'x');
    expect([evicted, turnedAway]).toEqual([['still', 'third'], ['fifth']]);
    clock.now += UNAUTHENTICATED_GRACE_MS;
    admit('sixth', 'x');
    expect(evicted).toEqual(['still', 'third', 'waiting']);
  });

  it('is not given back to who was evicted and takes a step all the same', () => {
    const { admit, admitted, clock } = admission();
    const [first = admit('none', '')] = fill(admit);
    clock.now = UNAUTHENTICATED_GRACE_MS;
    admit('late', '10.1.0.1');
    admitted.advance(first);
    expect(admitted.size).toBe(32);
  });

  it('is given back by who leaves', () => {
    const { admit, evicted, admitted } = admission({ perAddressMax: 1 });
    admitted.leave(admit('first', 'x'));
    expect(admitted.size).toBe(0);
    admit('second', 'x');
    expect(evicted).toEqual([]);
  });
});

describe('a network', () => {
  it.each([
    ['192.0.2.1', '192.0.2.254', '192.0.3.1'],
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:3::1'],
    ['2001:db8::1', '2001:db8::2:0:0:1', '2001:db8:0:1::1'],
    ['fe80::1%eth0', 'fe80::2%eth1', 'fe81::1%eth0'],
    ['::1', '::2', '1::1'],
  ])('has %s and %s, not %s', (one, neighbour, stranger) => {
    expect(networkOf(neighbour)).toBe(networkOf(one));
    expect(networkOf(stranger)).not.toBe(networkOf(one));
  });
});

describe('a penalty', () => {
  it('is 15 s, then twice as long each time, 600 s at most', () => {
    const { admitted } = admission();
    const lengths = Array.from({ length: 8 }, () => {
      admitted.punish('x');
      return admitted.penaltyMs('x') / 1_000;
    });
    expect(lengths).toEqual([15, 30, 60, 120, 240, 480, 600, 600]);
  });

  it('is over after its time, and is of one address', () => {
    const { admitted, clock } = admission();
    admitted.punish('x');
    expect(admitted.penaltyMs('y')).toBe(0);
    clock.now = 14_999;
    expect(admitted.penaltyMs('x')).toBe(1);
    clock.now = 15_000;
    expect(admitted.penaltyMs('x')).toBe(0);
  });

  it('is forgotten of the oldest of more than 4096 addresses', () => {
    const { admitted } = admission();
    admitted.punish('first');
    for (let n = 0; n < 4_096; n++) admitted.punish(`other ${n}`);
    expect(admitted.penaltyMs('first')).toBe(0);
    expect(admitted.penaltyMs('other 0')).toBeGreaterThan(0);
  });
});
