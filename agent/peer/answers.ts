/**
 * Whose message 1 is answered next. An answer costs public-key work whether or not the dialler knows the code, so
 * their number in any second is bounded, in all and for each address. Who comes too soon waits: the same
 * bounds hold for an honest sender that gets its lanes back, and it must not be sent away for good.
 */
import { ANSWERS_MAX_PER_100_MS, ANSWERS_PER_ADDRESS_MAX_PER_S } from '../../proto/limits.ts';
import { networkOf } from './admission.ts';

const SECOND_MS = 1_000;
/** The bound for all holds for each tenth: answers that come in bursts keep a message 3 waiting. */
const TENTH_MS = 100;

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
  /** Of the last second, the oldest first: ten times ANSWERS_MAX_PER_100_MS at most. */
  #given: (Party & { readonly at: number })[] = [];
  readonly #waiting = new Set<Waiting>();
  #timer: NodeJS.Timeout | undefined;
  #busy = false;

  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Resolves when `address` may be answered, or when it has `gone`; then nothing was spent on it. There is one answer
   * between two looks at what has come: it takes milliseconds, and many at once would keep a message 3 waiting. And at
   * most half of the time goes into answers, so that a flood of them on a busy machine does not keep others out.
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
    const lastTenth = this.#given.filter(({ at }) => now - at < TENTH_MS);
    const crowded = lastTenth.length >= ANSWERS_MAX_PER_100_MS;
    const next = crowded ? undefined : this.#next();
    if (!next) {
      const freeAt = crowded ? timeOf(lastTenth) + TENTH_MS : timeOf(this.#given) + SECOND_MS;
      this.#timer = setTimeout(() => this.#serve(), Math.max(1, freeAt - now));
      return;
    }
    this.#waiting.delete(next);
    this.#given.push({ address: next.address, network: next.network, at: now });
    this.#busy = true;
    next.resolve();
    setImmediate(() => {
      // As long again for all else: the event loop takes in one connection each time round, and one round has an answer.
      const tookMs = this.#now() - now;
      if (tookMs < 1) this.#goOn();
      else setTimeout(() => this.#goOn(), tookMs);
    });
  }

  #goOn(): void {
    this.#busy = false;
    this.#serve();
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

/** Of the first of them, where nobody may be answered because of them. */
function timeOf([oldest]: readonly { readonly at: number }[]): number {
  return oldest?.at ?? 0;
}

function countBy<T>(all: readonly T[], keyOf: (one: T) => string): (key: string) => number {
  const counts = new Map<string, number>();
  for (const one of all) counts.set(keyOf(one), (counts.get(keyOf(one)) ?? 0) + 1);
  return (key) => counts.get(key) ?? 0;
}
