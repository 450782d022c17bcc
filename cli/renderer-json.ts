import type { Event } from '../agent/model/events.ts';
import { writeAbove } from './ask-line.ts';
import { escapeText } from './escape.ts';
import type { Renderer } from './renderer.ts';

/**
 * One JSON object a line, and nothing else on the stream. What a terminal would act on is escaped as JSON has it,
 * so that a reader gets the very text and somebody who looks at the lines is as safe as with those for people.
 */
export class JsonRenderer implements Renderer {
  readonly #stream: NodeJS.WritableStream;
  readonly #people: NodeJS.WritableStream;

  /** `people`: where what is no event goes. */
  constructor(stream: NodeJS.WritableStream, people: NodeJS.WritableStream = process.stderr) {
    this.#stream = stream;
    this.#people = people;
  }

  render(event: Event): void {
    const { event: name, ...fields } = event;
    const line = JSON.stringify({ event: name, time: new Date().toISOString(), ...fields });
    this.#stream.write(`${escapeText(line)}\n`);
  }

  say(): void {}

  step(text: string): void {
    writeAbove(this.#people, `${escapeText(text)}\n`);
  }

  end(): void {}
}
