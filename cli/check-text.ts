/** What `imgmv doctor` has found, as lines: a mark, what was looked at, what was found, and what to do. */
import type { EventOf } from '../agent/model/events.ts';
import { counted } from '../proto/counted.ts';
import { escapeText } from './escape.ts';
import { wrap } from './wrap.ts';

const MARKS = { ok: 'ok', warning: 'WARNING', fault: 'FAULT' } as const;
const MARK_WIDTH = 9;
const NAME_WIDTH = 15;
/** Below it what was found has no column of its own where it goes on. */
const NARROW_COLUMNS = 60;

/** With `quiet` nothing of what is well. */
export function checkText(
  { code, hint, message, name, status }: EventOf<'check'>,
  quiet: boolean,
  columns = Number.POSITIVE_INFINITY,
): string {
  if (quiet && status === 'ok') return '';
  // Of what is wrong with files of this host there may be several lines; nobody else's text makes any.
  const [first = '', ...more] = code === 'usage' ? message.split('\n') : [message];
  const hanging = columns < NARROW_COLUMNS ? MARK_WIDTH : MARK_WIDTH + NAME_WIDTH;
  const head = `${MARKS[status].padEnd(MARK_WIDTH)}${name.padEnd(NAME_WIDTH)}${escapeText(first)}`;
  const below = [...more, ...(hint === null ? [] : [`> ${hint}`])];
  const lines = below.map((line) => `${' '.repeat(MARK_WIDTH)}${escapeText(line)}`);
  return [wrap(head, columns, hanging), ...lines.map((line) => wrap(line, columns)), ''].join('\n');
}

export function checkedText({ faults, warnings }: EventOf<'checked'>): string {
  if (faults > 0) return `${counted(faults, 'fault')}, marked FAULT above.\n`;
  if (warnings > 0) return `No problems found; ${counted(warnings, 'warning')}.\n`;
  return 'No problems found.\n';
}
