/** How a run is shown: renderer-text.ts for people, renderer-json.ts for scripts; each takes every event. */
import type { Event } from '../agent/model/events.ts';

export interface Renderer {
  render(event: Event): void;
  /** A line for people that is no event; nothing with --json or --quiet. */
  say(text: string): void;
  /** A line of --verbose, which is for people whatever else is shown. */
  step(text: string): void;
  /** Leaves the terminal as it was. */
  end(): void;
}
