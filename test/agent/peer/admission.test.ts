import { describe, expect, it } from 'vitest';
import { Admission, type AdmissionOptions, type Stranger } from '../../../agent/peer/admission.ts';

function admission(options: Partial<AdmissionOptions> = {}) {
  const clock = { now: 0 };
  const evicted: string[] = [];
  const admitted = new Admission({ now: () => clock.now, ...options });
  const admit = (name: string, address: string, step = 0): Stranger => {
    const stranger = { address, step, evict: () => evicted.push(name) };
    admitted.admit(stranger);
    return stranger;
  };
  return { admitted, admit, evicted, clock };
}

describe('room', () => {
  it('is for four of an address; the one that got least far goes, the oldest of those', () => {
    const { admit, evicted, admitted } = admission();
    admit('far', 'x', 2);
    admit('old', 'x', 1);
    admit('young', 'x', 1);
    admit('fourth', 'x', 1);
    expect(evicted).toEqual([]);
    admit('fifth', 'x');
    expect(evicted).toEqual(['old']);
    admit('sixth', 'x');
    expect(evicted).toEqual(['old', 'fifth']);
    expect(admitted.size).toBe(4);
  });

  it('counts addresses by themselves', () => {
    const { admit, evicted } = admission();
    for (const address of ['x', 'y', 'z'])
      for (const name of ['1', '2', '3', '4']) admit(address + name, address);
    expect(evicted).toEqual([]);
  });

  it('takes another bound for all behind a proxy', () => {
    const { admit, evicted } = admission({ perAddressMax: 1 });
    admit('first', 'x');
    admit('second', 'x');
    expect(evicted).toEqual(['first']);
  });

  it('is for 32 in all, and who is further on stays', () => {
    const { admit, evicted, admitted } = admission();
    for (let n = 0; n < 31; n++) admit(`held ${n}`, `10.0.0.${n}`);
    admit('honest', 'h', 2);
    for (let n = 0; n < 100; n++) admit(`flood ${n}`, `10.0.1.${n}`);
    expect(admitted.size).toBe(32);
    expect(evicted).toHaveLength(100);
    expect(evicted).not.toContain('honest');
  });

  it('is given back by who leaves', () => {
    const { admit, evicted, admitted } = admission({ perAddressMax: 1 });
    admitted.leave(admit('first', 'x'));
    expect(admitted.size).toBe(0);
    admit('second', 'x');
    expect(evicted).toEqual([]);
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
