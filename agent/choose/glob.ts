/**
 * Patterns as shells have them: `*` stands for any characters, slashes too, `?` for one, `[a-c]` and `[!a-c]` for one
 * of them. Takes time for the pattern's length times the text's, whatever they are: as a regular expression a glob
 * with some `*` would take for ever.
 */

/** A piece is one character that fits, or, as `undefined`, any number of any. */
type Piece = ((character: string) => boolean) | undefined;

export class Glob {
  readonly #pieces: readonly Piece[];

  /** Throws RangeError for `[c-a]`. */
  constructor(text: string) {
    this.#pieces = [...piecesOf(text)];
  }

  /** What each `*` stands for, the first one as much as it can, and so on; undefined where `text` does not fit. */
  match(text: string): readonly string[] | undefined {
    const fits = this.#table(text);
    if (!fits(0, 0)) return undefined;
    const holes: string[] = [];
    let at = 0;
    for (const [number, piece] of this.#pieces.entries()) {
      if (piece) at++;
      else {
        let end = text.length;
        while (!fits(number + 1, end)) end--;
        holes.push(text.slice(at, end));
        at = end;
      }
    }
    return holes;
  }

  /** Whether the pieces from one on fit what the text has from a place on. */
  #table(text: string): (piece: number, at: number) => boolean {
    const width = text.length + 1;
    const pieces = this.#pieces;
    const table = new Uint8Array((pieces.length + 1) * width);
    table[table.length - 1] = 1;
    for (let number = pieces.length - 1; number >= 0; number--) {
      const piece = pieces[number];
      const [row, next] = [number * width, (number + 1) * width];
      for (let at = text.length; at >= 0; at--)
        table[row + at] = piece
          ? at < text.length && piece(text[at] as string)
            ? (table[next + at + 1] as number)
            : 0
          : (table[next + at] as number) | (at < text.length ? (table[row + at + 1] as number) : 0);
    }
    return (piece, at) => table[piece * width + at] === 1;
  }
}

/** Whether it is about more than itself. */
export function isGlob(text: string): boolean {
  return /[*?]|\[[^\]]+\]/.test(text.slice(addressOf(text).length));
}

/** The registry `[::1]:5000` is no set of characters. */
function addressOf(text: string): string {
  return /^\[[0-9a-fA-F]*:[0-9a-fA-F:]*\](?=[:/])/.exec(text)?.[0] ?? '';
}

function* piecesOf(text: string): Generator<Piece> {
  const address = addressOf(text);
  for (const character of address) yield (one) => one === character;
  for (let at = address.length; at < text.length; at++) {
    const character = text[at] as string;
    const end = character === '[' ? text.indexOf(']', at + 2) : -1;
    if (character === '*') yield undefined;
    else if (character === '?') yield () => true;
    // A bracket that is not closed is itself.
    else if (end < 0) yield (one) => one === character;
    else {
      yield setOf(text.slice(at + 1, end));
      at = end;
    }
  }
}

function setOf(inside: string): Piece {
  const not = inside.length > 1 && /^[!^]/.test(inside);
  const ranges: (readonly [string, string])[] = [];
  for (let at = not ? 1 : 0; at < inside.length; at++) {
    const from = inside[at] as string;
    const ranged = inside[at + 1] === '-' && at + 2 < inside.length;
    const to = ranged ? (inside[at + 2] as string) : from;
    if (to < from) throw new RangeError(`[${inside}] is not a range`);
    ranges.push([from, to]);
    if (ranged) at += 2;
  }
  return (one) => ranges.some(([from, to]) => from <= one && one <= to) !== not;
}
