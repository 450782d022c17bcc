/** A report as GitHub's Markdown, which reads well as it is, too. */

import { counted } from '../../proto/counted.ts';
import { short } from '../names.ts';
import { readings } from '../readings.ts';
import { size } from '../sizes.ts';
import { code, prose } from './markdown-text.ts';
import { arrived, type ReportData, type ReportImage } from './model.ts';
import {
  headlineOf,
  imageName,
  losses,
  moment,
  type Note,
  notesOf,
  percent,
  resultOf,
  sideText,
  time,
  titleOf,
  verdictOf,
} from './words.ts';

/** A file that begins so is a report of ours, and may be replaced. */
export const MARKDOWN_MARK = /^# imgmv (send|receive|copy): /;

export function markdownReport(report: ReportData): string {
  const { command, error, exit, images } = report;
  const verdict = verdictOf(report);
  const lost = losses(report);
  const noted = images.filter((image) => arrived(image) && notesOf(image).length > 0);
  const parts = [
    `# imgmv ${command}: ${prose(titleOf(report))}`,
    `**${verdict.charAt(0).toUpperCase()}${verdict.slice(1)}${exit === 0 ? '' : `, exit status ${exit}`}.** ${headlineOf(report)}`,
    error && `Error: ${prose(error.message)}${error.hint === null ? '' : `. ${prose(error.hint)}.`}`,
    table(['Run', ''], summary(report)),
    lost.length > 0 &&
      `## Not moved\n\n${lost.map((loss) => item(`${names(loss.images)} ${loss.result}`, loss.notes)).join('\n')}`,
    images.length > 0 && `## Images\n\n${imageTable(report)}`,
    noted.length > 0 &&
      `## Notes\n\n${noted.map((image) => item(names([image]), notesOf(image))).join('\n')}`,
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function summary(report: ReportData): readonly (readonly string[])[] {
  const { commandLine, exit, imgmv, reconnections, seconds, source, startedAt, target, totals } = report;
  const { bytes, ratio, rate, saved, size: whole, wireBytes } = totals;
  const read = readings(report.images).join(' ');
  const rows = [
    ['From', prose(sideText(source))],
    ['To', prose(sideText(target))],
    read !== '' && ['Read', prose(read)],
    ['Started', `${moment(startedAt)}, took ${time(seconds)}`],
    ['Images', `${totals.loaded + totals.present} of ${totals.images}`],
    ['Moved', `${size(bytes)} of ${size(whole)}${rate === null ? '' : `, at ${size(rate)}/s`}`],
    wireBytes !== null && [
      'On the wire',
      `${size(wireBytes)}${ratio === null ? '' : `, ${percent(ratio)} of what moved`}`,
    ],
    ['Skipped: at the target already', size(saved.layers)],
    wireBytes !== null && ['Saved by compression', size(saved.compression)],
    reconnections > 0 && ['Connection lost', counted(reconnections, 'time')],
    ['Exit status', String(exit)],
    commandLine !== null && ['Command', code(commandLine)],
    ['imgmv', prose(imgmv)],
  ];
  return rows.filter((row) => row !== false);
}

const RIGHT = new Set(['Size', 'Moved', 'Wire', 'Rate', 'Transfer', 'Load', 'Push']);

interface Column {
  readonly head: string;
  readonly of: (image: ReportImage) => string;
}

/** Without those that no image has anything in. */
function columns(report: ReportData): readonly Column[] {
  const { images, totals } = report;
  const some = (seconds: number) => (seconds > 0 ? time(seconds) : '');
  const pushed = images.some(({ phases }) => phases.push !== null);
  const all: readonly (Column | false)[] = [
    { head: 'Image', of: (image) => code(imageName(image)) },
    { head: 'Result', of: (image) => resultOf(image, report.target) },
    { head: 'Platform', of: ({ platform }) => prose(platform) },
    { head: 'Id', of: ({ id, targetId }) => code(short(targetId ?? id)) },
    { head: 'Size', of: (image) => size(image.size) },
    { head: 'Moved', of: ({ bytes }) => size(bytes) },
    totals.wireBytes !== null && { head: 'Wire', of: ({ wireBytes }) => size(wireBytes ?? 0) },
    { head: 'Rate', of: ({ rate }) => (rate === null ? '' : `${size(rate)}/s`) },
    { head: 'Transfer', of: ({ phases }) => some(phases.transfer) },
    { head: 'Load', of: ({ phases }) => some(phases.load) },
    pushed && { head: 'Push', of: ({ phases }) => (phases.push === null ? '' : time(phases.push)) },
  ];
  return all.filter((column) => column !== false);
}

function imageTable(report: ReportData): string {
  const shown = columns(report);
  return table(
    shown.map(({ head }) => head),
    report.images.map((image) => shown.map((column) => column.of(image))),
  );
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = heads.map((head) => (RIGHT.has(head) ? '---:' : '---'));
  return [line(heads), line(rule), ...rows.map(line)].join('\n');
}

function names(images: readonly ReportImage[]): string {
  return images.map((image) => code(imageName(image))).join(', ');
}

function item(text: string, notes: readonly Note[]): string {
  return [`- ${text}`, ...notes.map((note) => `  - ${labelled(note)}`)].join('\n');
}

/** A line begins with words of ours: from elsewhere a number or a dash would be more than text there. */
function labelled({ kind, text }: Note): string {
  return `${kind === 'error' || kind === 'hint' || kind === 'warning' ? `${kind}: ` : ''}${prose(text)}`;
}
