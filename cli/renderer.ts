/** How a run is shown: one of these takes every event. */
import type { Event } from '../agent/events.ts';
import { JsonRenderer } from './renderer-json.ts';
import { TextRenderer } from './renderer-text.ts';

export interface Renderer {
  render(event: Event): void;
  /** A line for people that is no event; nothing with --json or --quiet. */
  say(text: string): void;
  /** Leaves the terminal as it was. */
  end(): void;
}

export interface RendererOptions {
  readonly json: boolean;
  readonly quiet: boolean;
}

export function rendererFor({ json, quiet }: RendererOptions): Renderer {
  if (json) return new JsonRenderer(process.stdout);
  return new TextRenderer({
    stream: process.stderr,
    quiet,
    color: process.stderr.isTTY && !process.env.NO_COLOR,
  });
}
