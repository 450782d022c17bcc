/** What the other side was waited for, and the limits of both, as far as that one tells. */
import type { LinkLimit } from '../model/events.ts';
import type { Waits } from '../model/source.ts';
import type { Progress } from '../move/passage.ts';
import type { Session } from './session.ts';

export class PeerWaits<K extends keyof Waits> {
  readonly #session: Pick<Session, 'role' | 'limit'>;
  readonly #ms = new Map<K | 'peerLimit', number>();
  #seenMs = 0;
  #reason: K | 'peerLimit';
  /** Of the other side, once it has held that one up. */
  #peerLimit: number | undefined;

  /** `reason`: what it is taken to be waited for until it says so. */
  constructor(session: Pick<Session, 'role' | 'limit'>, reason: K) {
    this.#session = session;
    this.#reason = reason;
  }

  /** It says what holds it back: `reason`, unless that is a limit of its own. */
  hear(reason: K, limit: number | undefined): void {
    this.#reason = limit === undefined ? reason : 'peerLimit';
    this.#peerLimit = limit ?? this.#peerLimit;
  }

  /** Of `waitedMs`, all that was waited for it so far, the new part is due to what it said last. */
  split(waitedMs: number): Waits {
    this.#ms.set(this.#reason, (this.#ms.get(this.#reason) ?? 0) + waitedMs - this.#seenMs);
    this.#seenMs = waitedMs;
    return Object.fromEntries(this.#ms);
  }

  limitOf(whose: 'ownLimit' | 'peerLimit'): LinkLimit | null {
    const { limit, role } = this.#session;
    const rate = whose === 'ownLimit' ? limit : this.#peerLimit;
    if (rate === undefined) return null;
    const peer = role === 'sender' ? 'receiver' : 'sender';
    return { rate, by: whose === 'ownLimit' ? role : peer };
  }

  /** What the other side is told of `progress` besides its counters. */
  told({ bottleneck, limit }: Progress) {
    return {
      ...(bottleneck !== null && { bottleneck }),
      ...(limit?.by === this.#session.role && { limit: limit.rate }),
    };
  }
}
