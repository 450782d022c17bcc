/** How long an image was in each phase: one at a time, and none while it waits for a turn. */
import type { PhaseSeconds } from '../model/events.ts';

export type Phase = keyof PhaseSeconds;

export class Phases {
  readonly #pastMs = new Map<Phase, number>();
  #now: { readonly phase: Phase; readonly since: number } | undefined;

  /** Ends the phase that goes on, if one does. */
  enter(phase: Phase): void {
    this.leave();
    this.#now = { phase, since: performance.now() };
  }

  /** Of the phase that goes on, which ends by that, the last `ms` were another one. */
  count(phase: Phase, ms: number): void {
    if (!this.#now) return;
    const { phase: before, since } = this.#now;
    const of = Math.min(ms, performance.now() - since);
    this.leave();
    this.#pastMs.set(before, (this.#pastMs.get(before) ?? 0) - of);
    this.#pastMs.set(phase, (this.#pastMs.get(phase) ?? 0) + of);
  }

  leave(): void {
    if (!this.#now) return;
    const { phase, since } = this.#now;
    this.#pastMs.set(phase, (this.#pastMs.get(phase) ?? 0) + performance.now() - since);
    this.#now = undefined;
  }

  /** The sums of several tries that have ended; `push` is null where none of them came to it. */
  static seconds(tries: readonly Phases[]): PhaseSeconds {
    const sum = (phase: Phase) => {
      const ms = tries.flatMap((one) => one.#pastMs.get(phase) ?? []);
      return ms.length === 0 ? undefined : Math.round(ms.reduce((a, b) => a + b)) / 1000;
    };
    return { transfer: sum('transfer') ?? 0, load: sum('load') ?? 0, push: sum('push') ?? null };
  }
}
