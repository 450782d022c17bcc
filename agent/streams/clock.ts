/** Time as the deadlines see it; tests bring their own. */
export interface Clock {
  /** Milliseconds since 1970; jumps when somebody sets the clock. */
  wall(): number;
  /** Milliseconds that never jump, and may stand still while the machine sleeps. */
  monotonic(): number;
}

export const SYSTEM_CLOCK: Clock = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
};
