import type { Event } from '../agent/events.ts';
import type { Renderer } from './renderer.ts';

/** One JSON object a line, and nothing else on the stream. */
export class JsonRenderer implements Renderer {
  readonly #stream: NodeJS.WritableStream;

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
  }

  render(event: Event): void {
    const { event: name, ...fields } = event;
    this.#stream.write(`${JSON.stringify({ event: name, time: new Date().toISOString(), ...fields })}\n`);
  }

  say(): void {}

  end(): void {}
}
