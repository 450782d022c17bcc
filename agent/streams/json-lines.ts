/** The answers of an engine that come as JSON objects, one a line. */
import * as v from 'valibot';

export interface JsonLine<T> {
  /** Without what is blank around it; at least the beginning of one that is too long. */
  readonly text: string;
  /** Undefined for what `schema` does not know, and for a line that is too long. */
  readonly value: T | undefined;
}

export class JsonLines<S extends v.GenericSchema> {
  readonly #schema: S;
  readonly #maxCharacters: number;
  #rest = '';

  constructor(schema: S, maxCharacters: number) {
    this.#schema = schema;
    this.#maxCharacters = maxCharacters;
  }

  /** Takes a piece of the answer, cut anywhere, and gives the lines that end in it. */
  read(piece: string): readonly JsonLine<v.InferOutput<S>>[] {
    const lines = piece.split('\n');
    lines[0] = this.#rest + (lines[0] ?? '');
    // One character more than a line may have is enough to see that it is too long.
    this.#rest = (lines.pop() ?? '').slice(0, this.#maxCharacters + 1);
    return lines.flatMap((line) => {
      const text = line.trim();
      return text === '' ? [] : [{ text, value: this.#parse(line) }];
    });
  }

  /** The answer is complete: what is left is a line. */
  end(): readonly JsonLine<v.InferOutput<S>>[] {
    return this.read('\n');
  }

  #parse(line: string): v.InferOutput<S> | undefined {
    if (line.length > this.#maxCharacters) return undefined;
    try {
      const parsed = v.safeParse(this.#schema, JSON.parse(line));
      return parsed.success ? parsed.output : undefined;
    } catch {
      return undefined;
    }
  }
}
