/** What `imgmv doctor` has found, as lines: a mark, what was looked at, what was found, and what to do. */
import type { EventOf } from '../agent/model/events.ts';
import { counted } from '../proto/counted.ts';
import { escapeText } from './escape.ts';

const MARKS = { ok: 'ok', warning: 'WARNING', fault: 'FAULT' } as const;
const MARK_WIDTH = 9;
const NAME_WIDTH = 15;

/** With `quiet` nothing of what is well. */
export function checkText({ code, hint, message, name, status }: EventOf<'check'>, quiet: boolean): string {
  if (quiet && status === 'ok') return '';
  // Of what is wrong with files of this host there may be several lines; nobody else's text makes any.
  const [first = '', ...more] = code === 'usage' ? message.split('\n') : [message];
  const head = `${MARKS[status].padEnd(MARK_WIDTH)}${name.padEnd(NAME_WIDTH)}${escapeText(first)}`;
  const below = [...more, ...(hint === null ? [] : [`> ${hint}`])];
  return [head, ...below.map((line) => `${' '.repeat(MARK_WIDTH)}${escapeText(line)}`), ''].join('\n');
}

export function checkedText({ faults, warnings }: EventOf<'checked'>): string {
  if (faults > 0) return `${counted(faults, 'fault')}: what stands in the way is marked FAULT.\n`;
  if (warnings > 0) return `Nothing stands in the way; ${counted(warnings, 'warning')}.\n`;
  return 'Nothing stands in the way.\n';
}
