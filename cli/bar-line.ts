/** One line of progress that fits its terminal: what matters most stays when there is little room. */

export interface BarWords {
  /** How far it is, or what it waits for. */
  readonly state: string;
  /** The same in a few characters, for a narrow terminal. */
  readonly shortState?: string;
  /** Rate and time left. */
  readonly pace?: string;
  /** What holds it back. */
  readonly limit?: string;
  /** The same without figures, for a narrow terminal. */
  readonly shortLimit?: string;
}

export interface BarState {
  /** Free of control characters, as the words are. */
  readonly name: string;
  /** For a narrow terminal. */
  readonly shortName: string;
  readonly bytes: number;
  readonly bytesTotal: number;
  readonly words: BarWords;
}

/** From here on a bar of full length leaves room for the words. */
const WIDE_COLUMNS = 100;
const BAR_LENGTHS = [24, 12, 6];
const NAME_MAX_CHARACTERS = 32;
const NAME_MIN_CHARACTERS = 6;
/** A cursor in the last column wraps on some terminals. */
const MARGIN = 1;

/** The words of a line without a bar. */
export function wordsText({ state, pace, limit }: BarWords): string {
  return [state, pace, limit].filter((part) => part !== undefined && part !== '').join(', ');
}

/** At most `columns` - 1 characters. What goes first: length of the bar, the bar, the limit, the long state, the name, and the pace. */
export function barLine({ name, shortName, bytes, bytesTotal, words }: BarState, columns: number): string {
  const room = columns - MARGIN;
  const bars = columns >= WIDE_COLUMNS ? BAR_LENGTHS : BAR_LENGTHS.slice(1);
  const share = bytesTotal > 0 ? Math.min(1, bytes / bytesTotal) : 0;
  const shownName = shortened(name, NAME_MAX_CHARACTERS);
  const { limit: _, shortLimit, ...unlimited } = words;
  const brief = { ...unlimited, state: words.shortState ?? words.state };
  const candidates = [
    ...bars.map((length) => `${shownName} ${bar(share, length)} ${wordsText(words)}`),
    `${shownName} ${wordsText(words)}`,
    ...(shortLimit === undefined ? [] : [`${shownName} ${wordsText({ ...unlimited, limit: shortLimit })}`]),
    `${shownName} ${wordsText(unlimited)}`,
    `${shownName} ${wordsText(brief)}`,
    `${shortName} ${wordsText(brief)}`,
  ];
  const fitting = candidates.find((line) => line.length + 1 <= room);
  if (fitting !== undefined) return ` ${fitting}`;
  const texts = [wordsText(brief), brief.state];
  const text = texts.find(({ length }) => length + NAME_MIN_CHARACTERS + 2 <= room) ?? brief.state;
  const nameRoom = Math.max(NAME_MIN_CHARACTERS, room - text.length - 2);
  return cutBetweenWords(` ${shortened(shortName, nameRoom)} ${text}`, room);
}

function cutBetweenWords(text: string, room: number): string {
  if (text.length <= room) return text;
  const end = text.lastIndexOf(' ', room);
  return text.slice(0, end > 1 ? end : Math.max(0, room)).replace(/,$/, '');
}

/** The end of a name says most. */
function shortened(name: string, most: number): string {
  return name.length > most ? `…${name.slice(1 - most)}` : name;
}

function bar(share: number, length: number): string {
  const full = Math.round(share * length);
  return '█'.repeat(full) + '░'.repeat(length - full);
}
