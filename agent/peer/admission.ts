/**
 * Which strangers may hold a connection: bounds on how many have not proven the code yet, and penalties for
 * addresses that gave a wrong one. Knows no sockets, only handles with an address.
 */
import {
  PENALTY_ADDRESSES_MAX,
  PENALTY_MAX_MS,
  PENALTY_MIN_MS,
  UNAUTHENTICATED_GRACE_MS,
  UNAUTHENTICATED_MAX_SOCKETS,
  UNAUTHENTICATED_PER_ADDRESS_MAX_SOCKETS,
} from '../../proto/limits.ts';

export interface Stranger {
  /** IPv4 or IPv6, as text. */
  readonly address: string;
  /** Ends its connection. */
  readonly evict: () => void;
}

export interface AdmissionOptions {
  readonly perAddressMax?: number | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Later than any time. */
const MOVING = Number.MAX_SAFE_INTEGER;

export class Admission {
  /** Since when each has stood still; `MOVING` while it is ours to go on. */
  readonly #strangers = new Map<Stranger, number>();
  readonly #penalties = new Map<string, { until: number; lengthMs: number }>();
  readonly #perAddressMax: number;
  readonly #now: () => number;

  constructor({ perAddressMax = UNAUTHENTICATED_PER_ADDRESS_MAX_SOCKETS, now }: AdmissionOptions) {
    this.#perAddressMax = perAddressMax;
    this.#now = now;
  }

  get size(): number {
    return this.#strangers.size;
  }

  /**
   * Takes a new connection in; false where it has to go itself. Where there is no room one of the most crowded
   * network goes, of its most crowded address, and of those the one that has stood still for the longest time:
   * a flood throws out its own, and sockets that are merely held never keep an honest one out. Among equals each
   * may stand still for a moment first, so that whoever is in can take its next step, and so that a flood gets
   * us to begin no more than a few handshakes. How far one got does not count: that is cheap for a stranger.
   */
  admit(stranger: Stranger): boolean {
    // Sorting is stable, here and below: the first of equals is the one that has stood still for the longest time.
    const all = [...this.#strangers].sort(([, a], [, b]) => a - b).map(([one]) => one);
    const same = all.filter(({ address }) => address === stranger.address);
    const mayStay = (one: Stranger) =>
      this.#now() - (this.#strangers.get(one) ?? 0) < UNAUTHENTICATED_GRACE_MS;
    const [oldest] = same;
    if (oldest && same.length >= this.#perAddressMax) {
      if (mayStay(oldest)) return false;
      this.#evict(oldest);
    } else if (all.length >= UNAUTHENTICATED_MAX_SOCKETS) {
      const moreCrowded = crowdsOf([...all, stranger]);
      const least = all.sort(moreCrowded)[0] as Stranger;
      if (moreCrowded(least, stranger) === 0 && mayStay(least)) return false;
      this.#evict(least);
    }
    this.#strangers.set(stranger, this.#now());
    return true;
  }

  /** It took the next step of its handshake. */
  advance(stranger: Stranger): void {
    if (this.#strangers.has(stranger)) this.#strangers.set(stranger, this.#now());
  }

  /** It waits for an answer that we hold back: until it advances it does not stand still. */
  hold(stranger: Stranger): void {
    if (this.#strangers.has(stranger)) this.#strangers.set(stranger, MOVING);
  }

  /** It proved the code, or is gone. */
  leave(stranger: Stranger): void {
    this.#strangers.delete(stranger);
  }

  #evict(stranger: Stranger): void {
    this.#strangers.delete(stranger);
    stranger.evict();
  }

  /** Milliseconds that this address has to wait, 0 if none. */
  penaltyMs(address: string): number {
    const penalty = this.#penalties.get(address);
    return penalty === undefined ? 0 : Math.max(0, penalty.until - this.#now());
  }

  /** It completed a handshake with a wrong code: 15 s first, twice as long each time. */
  punish(address: string): void {
    const before = this.#penalties.get(address)?.lengthMs ?? PENALTY_MIN_MS / 2;
    const lengthMs = Math.min(PENALTY_MAX_MS, before * 2);
    this.#penalties.delete(address);
    this.#penalties.set(address, { until: this.#now() + lengthMs, lengthMs });
    const [oldest] = this.#penalties.keys();
    if (this.#penalties.size > PENALTY_ADDRESSES_MAX && oldest !== undefined) this.#penalties.delete(oldest);
  }
}

/** Compares two of `all` for sorting: who is in the larger crowd comes first. */
function crowdsOf(all: readonly Stranger[]): (a: Stranger, b: Stranger) => number {
  const sizes = new Map<string, number>();
  const count = (key: string) => sizes.set(key, (sizes.get(key) ?? 0) + 1);
  for (const { address } of all) {
    count(address);
    count(networkOf(address));
  }
  const size = (key: string) => sizes.get(key) ?? 0;
  return (a, b) =>
    size(networkOf(b.address)) - size(networkOf(a.address)) || size(b.address) - size(a.address);
}

/** What one party can have many addresses of: 256 neighbours in IPv4, a /64 in IPv6 (RFC 6177). */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address.slice(0, address.lastIndexOf('.') + 1);
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? [];
  const groups = head === '' ? [] : head.split(':');
  if (tail === undefined) return groups.slice(0, 4).join(':');
  const after = tail === '' ? [] : tail.split(':');
  const zeros = Array<string>(Math.max(0, 8 - groups.length - after.length)).fill('0');
  return [...groups, ...zeros, ...after].slice(0, 4).join(':');
}
