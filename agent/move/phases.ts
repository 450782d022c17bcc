/** How long an image was in each phase: one at a time, and none while it waits for a turn. */
import type { PhaseSeconds } from '../model/events.ts';

export type Phase = keyof PhaseSeconds;

export class Phases {
  readonly #pastMs = new Map<Phase, number>();
  #now: { readonly phase: Phase; readonly since: number } | undefined;

  enter(phase: Phase): void {
    this.leave();
    this.#now = { phase, since: performance.now() };
  }

  leave(): void {
    if (!this.#now) return;
    const { phase, since } = this.#now;
    this.#pastMs.set(phase, (this.#pastMs.get(phase) ?? 0) + performance.now() - since);
    this.#now = undefined;
  }

  /**
   * The sums so far; `push` is null where it has not come to that. Together they are at most `mostMs`, as another host
   * measured the whole: what is more is how long its word was on the way, and comes off the last.
   */
  seconds(mostMs: number): PhaseSeconds {
    let leftMs = mostMs;
    const seconds = (phase: Phase) => {
      const ms = Math.min(Math.round(this.#pastMs.get(phase) ?? 0), leftMs);
      leftMs -= ms;
      return ms / 1000;
    };
    const [transfer, load] = [seconds('transfer'), seconds('load')];
    return { transfer, load, push: this.#pastMs.has('push') ? seconds('push') : null };
  }
}
