/**
 * Whose message 1 is answered next. An answer costs public-key work whether or not the dialler knows the code, so
 * their number in any second is bounded, in all and for each address. Who comes too soon waits: the same
 * bounds hold for an honest sender that gets its lanes back, and it must not be sent away for good.
 */
import { ANSWERS_MAX_PER_S, ANSWERS_PER_ADDRESS_MAX_PER_S } from '../../proto/limits.ts';
import { networkOf } from './admission.ts';

const SECOND_MS = 1_000;

interface Party {
  readonly address: string;
  readonly network: string;
}

interface Waiting extends Party {
  readonly resolve: () => void;
}

export class Answers {
  /** Monotonic milliseconds. */
  readonly #now: () => number;
  /** Of the last second, the oldest first; so there are never more than ANSWERS_MAX_PER_S. */
  #given: (Party & { readonly at: number })[] = [];
  readonly #waiting = new Set<Waiting>();
  #timer: NodeJS.Timeout | undefined;
  #busy = false;

  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Resolves when `address` may be answered, or when it has `gone`; then nothing was spent on it. There is one answer
   * between two looks at what has come: it takes milliseconds, and many at once would keep a message 3 waiting.
   */
  turn(address: string, gone: Promise<unknown>): Promise<void> {
    const network = networkOf(address);
    return new Promise((resolve) => {
      // Whoever has one address of IPv6 has all of its /64.
      const waiting = { address: address.includes(':') ? network : address, network, resolve };
      this.#waiting.add(waiting);
      void gone.then(() => {
        if (!this.#waiting.delete(waiting)) return;
        resolve();
        this.#serve();
      });
      this.#serve();
    });
  }

  #serve(): void {
    clearTimeout(this.#timer);
    if (this.#busy || this.#waiting.size === 0) return;
    const now = this.#now();
    this.#given = this.#given.filter(({ at }) => now - at < SECOND_MS);
    const next = this.#given.length < ANSWERS_MAX_PER_S ? this.#next() : undefined;
    if (!next) {
      const [oldest] = this.#given;
      this.#timer = setTimeout(() => this.#serve(), Math.max(1, (oldest?.at ?? now) + SECOND_MS - now));
      return;
    }
    this.#waiting.delete(next);
    this.#given.push({ address: next.address, network: next.network, at: now });
    this.#busy = true;
    next.resolve();
    setImmediate(() => {
      this.#busy = false;
      this.#serve();
    });
  }

  /** Of those within their bound the one of whose network, and then address, the fewest were answered; then the first. */
  #next(): Waiting | undefined {
    const toNetwork = countBy(this.#given, ({ network }) => network);
    const toAddress = countBy(this.#given, ({ address }) => address);
    const answers = ({ network, address }: Party) => [toNetwork(network), toAddress(address)] as const;
    let best: Waiting | undefined;
    for (const one of this.#waiting) {
      const [ofNetwork, ofAddress] = answers(one);
      if (ofAddress >= ANSWERS_PER_ADDRESS_MAX_PER_S) continue;
      const [leastOfNetwork, leastOfAddress] = best ? answers(best) : [Infinity, Infinity];
      if (ofNetwork < leastOfNetwork || (ofNetwork === leastOfNetwork && ofAddress < leastOfAddress))
        best = one;
    }
    return best;
  }
}

function countBy<T>(all: readonly T[], keyOf: (one: T) => string): (key: string) => number {
  const counts = new Map<string, number>();
  for (const one of all) counts.set(keyOf(one), (counts.get(keyOf(one)) ?? 0) + 1);
  return (key) => counts.get(key) ?? 0;
}
