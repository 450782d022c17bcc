/** What the list of images looks like, from the question to the one line that stays of it. */
import type { Digest } from '../agent/model/image.ts';
import { escapeText } from './escape.ts';
import { short } from './names.ts';
import type { Screen } from './screen.ts';
import { size as sizeText } from './sizes.ts';

/** A name of an image, or an image that has none. */
export interface PickerLine {
  readonly id: Digest;
  readonly name?: string;
  readonly bytes: number;
  /** The beginning of 1970 where nobody knows. */
  readonly created: Date;
}

export interface FrameState {
  readonly state: 'initial' | 'active' | 'validating' | 'error' | 'submit' | 'cancel';
  readonly error: string;
  readonly search: string;
  /** The lines that match the search. */
  readonly shown: readonly PickerLine[];
  /** Index in `shown` of the line that the keys are about. */
  readonly cursor: number;
  readonly marked: ReadonlySet<PickerLine>;
}

type Size = Pick<Screen, 'columns' | 'rows' | 'color'>;

/** Lines around the list: the question, the search, the keys, and the one that the cursor stays on. */
const AROUND_ROWS = 4;
const LIST_ROWS_MAX = 20;
/** Fits into 40 columns. */
const KEYS = 'Space: mark, Enter: done, Esc: cancel.';

export class PickerFrame {
  readonly #size: Size;
  readonly #lines: readonly PickerLine[];
  readonly #nowMs = Date.now();
  readonly #sizes: number;
  readonly #ages: number;
  readonly #names: number;

  /** `size` is asked anew for each frame. */
  constructor(lines: readonly PickerLine[], size: Size) {
    this.#lines = lines;
    this.#size = size;
    this.#sizes = widest(lines, (line) => sizeText(line.bytes));
    this.#ages = widest(lines, (line) => this.#age(line));
    this.#names = widest(lines, nameOf);
  }

  /** A part of the name, or the first digits of the id. */
  matches({ id, name }: PickerLine, search: string): boolean {
    const wanted = search.toLowerCase();
    return name?.toLowerCase().includes(wanted) || id.startsWith(wanted) || id.startsWith(`sha256:${wanted}`);
  }

  draw({ state, error, search, shown, cursor, marked }: FrameState): string {
    if (state === 'submit') return this.#picked(marked);
    if (state === 'cancel') return '';
    const { list, first } = this.#window(shown, cursor);
    const found = search === '' ? `${shown.length}` : `${shown.length} of ${this.#lines.length}`;
    const sum = marked.size === 0 ? '' : `, ${marked.size} marked`;
    return [
      this.#fit(`Which images? (${found}${sum})`),
      this.#fit(`Search: ${escapeText(search)}█`),
      ...list.map((line, index) => this.#line(line, first + index === cursor, marked.has(line))),
      ...(shown.length === 0 ? [this.#fit('  nothing has this in its name')] : []),
      state === 'error' ? this.#paint('33', this.#fit(error)) : this.#paint('2', this.#fit(KEYS)),
    ].join('\n');
  }

  /** As many lines as there is room for, the one with the cursor in their middle where that can be. */
  #window(shown: readonly PickerLine[], cursor: number) {
    const room = Math.max(1, Math.min(this.#size.rows - AROUND_ROWS, LIST_ROWS_MAX));
    const first = Math.max(0, Math.min(cursor - Math.floor(room / 2), shown.length - room));
    return { list: shown.slice(first, first + room), first };
  }

  #line(line: PickerLine, current: boolean, marked: boolean): string {
    const { columns } = this.#size;
    const bytes = sizeText(line.bytes).padStart(this.#sizes);
    const rest = `  ${bytes}  ${this.#age(line).padStart(this.#ages)}`;
    const before = `${current ? '>' : ' '} ${marked ? '[x]' : '[ ]'} `;
    // The last column stays free: some terminals wrap as soon as it is written.
    const room = Math.max(1, Math.min(this.#names, columns - 1 - before.length - rest.length));
    const text = this.#fit(`${before}${end(nameOf(line), room).padEnd(room)}${rest}`);
    return current ? this.#paint('1', text) : text;
  }

  #picked(marked: ReadonlySet<PickerLine>): string {
    const lines = this.#lines.filter((line) => marked.has(line));
    const bytes = new Map(lines.map((line) => [line.id, line.bytes]));
    const sum = [...bytes.values()].reduce((before, more) => before + more, 0);
    const names = lines.map(nameOf).join(', ');
    return this.#fit(`Picked ${lines.length} (${sizeText(sum)}): ${names}`);
  }

  /** Of whole seconds, minutes, hours, days or years; nothing where nobody knows. */
  #age({ created }: PickerLine): string {
    const createdMs = created.getTime();
    if (createdMs <= 0) return '';
    const seconds = Math.max(0, Math.floor((this.#nowMs - createdMs) / 1000));
    if (seconds < 120) return `${seconds}s`;
    if (seconds < 120 * 60) return `${Math.floor(seconds / 60)}m`;
    if (seconds < 48 * 3_600) return `${Math.floor(seconds / 3_600)}h`;
    const days = Math.floor(seconds / 86_400);
    return days < 730 ? `${days}d` : `${Math.floor(days / 365)}y`;
  }

  #fit(text: string): string {
    const room = Math.max(1, this.#size.columns - 1);
    return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
  }

  #paint(style: string, text: string): string {
    return this.#size.color ? `\u001b[${style}m${text}\u001b[0m` : text;
  }
}

function nameOf({ id, name }: PickerLine): string {
  return name === undefined ? short(id) : escapeText(name);
}

function widest(lines: readonly PickerLine[], text: (line: PickerLine) => string): number {
  return lines.reduce((most, line) => Math.max(most, text(line).length), 0);
}

/** What names differ in is at their end: the tag. */
function end(text: string, room: number): string {
  return text.length <= room ? text : `…${text.slice(text.length - room + 1)}`;
}
