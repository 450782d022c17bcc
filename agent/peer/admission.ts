/**
 * Which strangers may hold a connection: bounds on how many have not proven the code yet, and penalties for
 * addresses that gave a wrong one. Knows no sockets, only handles with an address.
 */
import {
  PENALTY_ADDRESSES_MAX,
  PENALTY_MAX_MS,
  PENALTY_MIN_MS,
  UNAUTHENTICATED_MAX_SOCKETS,
  UNAUTHENTICATED_PER_ADDRESS_MAX_SOCKETS,
} from '../../proto/limits.ts';

export interface Stranger {
  readonly address: string;
  /** How far it got, rising; who got further stays when room is needed. */
  step: number;
  /** Ends its connection. */
  readonly evict: () => void;
}

export interface AdmissionOptions {
  readonly perAddressMax?: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export class Admission {
  readonly #strangers = new Set<Stranger>();
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
   * Takes a new connection in. Where there is no room, the one that got least far goes, the oldest of those:
   * sockets that are merely held open never keep an honest one out.
   */
  admit(stranger: Stranger): void {
    const same = [...this.#strangers].filter(({ address }) => address === stranger.address);
    if (same.length >= this.#perAddressMax) this.#evictFrom(same);
    if (this.#strangers.size >= UNAUTHENTICATED_MAX_SOCKETS) this.#evictFrom([...this.#strangers]);
    this.#strangers.add(stranger);
  }

  /** It proved the code, or is gone. */
  leave(stranger: Stranger): void {
    this.#strangers.delete(stranger);
  }

  #evictFrom(candidates: readonly Stranger[]): void {
    // A Set keeps the order of arrival, and sorting is stable: the first of the lowest step is the oldest.
    const [least] = [...candidates].sort((a, b) => a.step - b.step);
    if (!least) return;
    this.#strangers.delete(least);
    least.evict();
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
