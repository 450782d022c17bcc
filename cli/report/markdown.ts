/** A report as GitHub's Markdown, which reads well as it is, too. */
import { short } from '../names.ts';
import { code, prose } from './markdown-text.ts';
import { arrived, type ReportData, type ReportImage } from './model.ts';
import {
  headlineOf,
  imageName,
  type Loss,
  losses,
  moment,
  type Note,
  notesOf,
  percent,
  sideText,
  size,
  time,
  titleOf,
  verdictOf,
} from './words.ts';

/** A file that begins so is a report of ours, and may be replaced. */
export const MARKDOWN_MARK = '# imgmv ';

export function markdownReport(report: ReportData): string {
  const { command, error, exit, images } = report;
  const lost = losses(report);
  const noted = images.filter((image) => arrived(image) && notesOf(image).length > 0);
  const parts = [
    `${MARKDOWN_MARK}${command}: ${prose(titleOf(report))}`,
    `**${capital(verdictOf(report))}${exit === 0 ? '' : `, exit status ${exit}`}.** ${headlineOf(report)}`,
    ...(error
      ? [`Error: ${prose(error.message)}${error.hint === null ? '' : `. ${prose(error.hint)}.`}`]
      : []),
    table(['Run', ''], summary(report)),
    ...(lost.length > 0 ? ['## Not moved', lost.map(lossItem).join('\n')] : []),
    ...(images.length > 0 ? ['## Images', table(headings(command === 'copy'), images.map(rowOf))] : []),
    ...(noted.length > 0 ? ['## Notes', noted.map(noteItem).join('\n')] : []),
  ];
  return `${parts.join('\n\n')}\n`;
}

function summary(report: ReportData): readonly (readonly string[])[] {
  const { imgmv, reconnections, seconds, source, startedAt, target, totals } = report;
  const { bytes, ratio, rate, saved, size: whole, wireBytes } = totals;
  const there = totals.loaded + totals.present;
  return [
    ['From', prose(sideText(source))],
    ['To', prose(sideText(target))],
    ['Started', `${moment(startedAt)}, took ${time(seconds)}`],
    ['Images', `${there} of ${totals.images}`],
    ['Moved', `${size(bytes)} of ${size(whole)}${rate === null ? '' : `, at ${size(rate)}/s`}`],
    ...(wireBytes === null
      ? []
      : [['On the wire', `${size(wireBytes)}${ratio === null ? '' : `, ${percent(ratio)} of what moved`}`]]),
    ['Saved: layers that need not travel', size(saved.layers)],
    ...(wireBytes === null ? [] : [['Saved: compression', size(saved.compression)]]),
    ...(reconnections > 0 ? [['Connection lost', `${reconnections} times`]] : []),
    ['imgmv', prose(imgmv)],
  ];
}

const RIGHT = new Set(['Size', 'Moved', 'Wire', 'Rate', 'Transfer', 'Load', 'Push']);

function headings(local: boolean): readonly string[] {
  const wire = local ? [] : ['Wire'];
  return ['Image', 'Result', 'Platform', 'Id', 'Size', 'Moved', ...wire, 'Rate', 'Transfer', 'Load', 'Push'];
}

function rowOf(image: ReportImage): readonly string[] {
  const { bytes, id, phases, platform, rate, size: whole, status, targetId, wireBytes } = image;
  return [
    code(imageName(image)),
    status,
    prose(platform),
    code(short(targetId ?? id)),
    size(whole),
    size(bytes),
    ...(wireBytes === null ? [] : [size(wireBytes)]),
    rate === null ? '' : `${size(rate)}/s`,
    phases.transfer > 0 ? time(phases.transfer) : '',
    phases.load > 0 ? time(phases.load) : '',
    phases.push === null ? '' : time(phases.push),
  ];
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = heads.map((head) => (RIGHT.has(head) ? '---:' : '---'));
  return [line(heads), line(rule), ...rows.map(line)].join('\n');
}

function lossItem({ images, notes, status }: Loss): string {
  return item(`${images.map((image) => code(imageName(image))).join(', ')} ${status}`, notes);
}

function noteItem(image: ReportImage): string {
  return item(code(imageName(image)), notesOf(image));
}

function item(text: string, notes: readonly Note[]): string {
  return [`- ${text}`, ...notes.map((note) => `  - ${labelled(note)}`)].join('\n');
}

/** A line begins with words of ours: from elsewhere a number or a dash would be more than text there. */
function labelled({ kind, text }: Note): string {
  const label = kind === 'error' || kind === 'hint' || kind === 'warning' ? `${kind}: ` : '';
  return `${label}${prose(text)}`;
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
