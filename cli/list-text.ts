/** Images as a table: a line for each name, or for an image without one. */
import type { EventOf, ListedImage } from '../agent/model/events.ts';
import { counted } from '../proto/counted.ts';
import { escapeText } from './escape.ts';
import { short } from './names.ts';
import { size } from './sizes.ts';
import { tableLines } from './table.ts';
import { wrap } from './wrap.ts';

const HEADINGS = ['NAME', 'ID', 'PLATFORM', 'SIZE', 'SHARED', 'AGE'] as const;

/**
 * Ends with a newline, and with the sum where there is more than one image. `now` is what ages are counted from. Where
 * the table does not fit into `columns` there is a list.
 */
export function listText(
  { images, layerBytes }: EventOf<'images'>,
  now: Date,
  columns = Number.POSITIVE_INFINITY,
): string {
  const rows = images.flatMap((image) => rowsOf(image, now));
  const sum = images.length > 1 ? [sumOf(images, layerBytes)] : [];
  const table = tableLines(HEADINGS, rows);
  const lines = table.every(({ length }) => length <= columns) ? table : rows.flatMap(listed);
  return wrap([...lines, ...sum, ''].join('\n'), columns);
}

/** A row as two lines. */
function listed([name = '', id, platform, bytes, sharing, age]: readonly string[]): readonly string[] {
  const known = [id, platform, bytes, sharing !== '-' && `shared: ${sharing}`, age !== '-' && age];
  return [name, `  ${known.filter(Boolean).join(', ')}`];
}

function rowsOf(image: ListedImage, now: Date): readonly (readonly string[])[] {
  const { id, names, platform, bytes, created } = image;
  const rest = [short(id), escapeText(platform), size(bytes), shared(image), ageOf(created, now)];
  return (names.length > 0 ? names : ['<none>']).map((name) => [escapeText(name), ...rest]);
}

function shared({ sharedBytes, sharedWith }: ListedImage): string {
  if (sharedBytes === null) return '?';
  return sharedWith.length === 0 ? '-' : `${size(sharedBytes)} with ${counted(sharedWith.length, 'other')}`;
}

function sumOf(images: readonly ListedImage[], layerBytes: number | null): string {
  const bytes = images.reduce((sum, image) => sum + image.bytes, 0);
  const together = layerBytes === null ? '' : `; ${size(layerBytes)} with each shared layer counted once`;
  return `${counted(images.length, 'image')}, ${size(bytes)}${together}.`;
}

const UNITS = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['week', 7 * 86_400],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
] as const;

/** `3 days`; `-` for images that do not say when they were made, or say the beginning of time, to be reproducible. */
function ageOf(created: string, now: Date): string {
  const made = Date.parse(created);
  if (!(made > 86_400_000)) return '-';
  const seconds = Math.max(0, (now.getTime() - made) / 1000);
  for (const [unit, length] of UNITS) {
    const count = Math.floor(seconds / length);
    // Two of a unit at least, as docker has it: "13 days" says more than "1 week".
    if (count >= 2 || (count === 1 && (unit === 'minute' || unit === 'hour'))) return counted(count, unit);
  }
  return counted(Math.floor(seconds), 'second');
}
