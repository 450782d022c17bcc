/** The table of all images: what each is, what of it travelled, and when. Its roles hold where rows are stacked. */
import { short } from '../names.ts';
import { size } from '../sizes.ts';
import { bar, legend, type Unlabelled } from './html-bar.ts';
import { html, type Markup } from './markup.ts';
import { isLost, type ReportData, type ReportImage, type Side } from './model.ts';
import { imageName, notesOf, phasesText, resultOf, time } from './words.ts';

interface Scale {
  /** Bytes of the largest image, and seconds of the whole run: what a full bar stands for. */
  readonly bytes: number;
  readonly seconds: number;
}

export function imageTable({ command, images, target }: ReportData): Markup {
  const scale: Scale = {
    bytes: Math.max(
      1,
      ...images.map(({ bytes, saved, wireBytes }) => (wireBytes ?? bytes) + saved.compression + saved.layers),
    ),
    seconds: Math.max(0.001, ...images.map(({ startedAt, seconds }) => (startedAt ?? 0) + seconds)),
  };
  const local = command === 'copy';
  const pushed = images.some(({ phases }) => phases.push !== null);
  const waits = images.some((image) => waited(image) > scale.seconds / 200);
  return html`<section aria-labelledby="images">
<h2 id="images">Images</h2>
${legend(
  [
    { kind: 'wire', label: local ? 'copied' : 'on the wire' },
    !local && { kind: 'zip', label: 'compressed away' },
    { kind: 'there', label: 'was there' },
  ],
  'Bytes',
)}
${legend(
  [
    { kind: 'transfer', label: 'transfer' },
    { kind: 'load', label: 'load' },
    pushed && { kind: 'push', label: 'push' },
    waits && { kind: 'waited', label: 'waited' },
  ],
  'Time',
)}
<table role="table">
<thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">Image</th><th scope="col" role="columnheader">Result</th><th scope="col" role="columnheader">Bytes</th>
<th scope="col" role="columnheader">Time, from 0 to ${time(scale.seconds)}</th></tr></thead>
<tbody role="rowgroup">
${images.map((image) => row(image, scale, target))}</tbody>
</table>
</section>`;
}

function row(image: ReportImage, scale: Scale, target: Side): Markup {
  const { id, platform, status, targetId } = image;
  // Why it has not moved stands above, once for all that it happened to.
  const notes = isLost(image) ? [] : notesOf(image);
  return html`<tr role="row">
<th scope="row" role="rowheader"><span class="name">${imageName(image)}</span> <span class="id">${short(targetId ?? id)} ${platform}</span>${notes.map(
    ({ kind, text }) => html`<span class="note ${kind}">${text}</span>`,
  )}</th>
<td role="cell"><span class="status ${status}">${resultOf(image, target)}</span></td>
<td role="cell" class="bytes">${bytesCell(image, scale)}</td>
<td role="cell" class="time">${timeCell(image, scale)}</td>
</tr>
`;
}

function bytesCell(image: ReportImage, { bytes: whole }: Scale): Markup {
  const { bytes, saved, size: full, wireBytes } = image;
  const pieces: readonly Unlabelled[] = [
    { kind: 'wire', amount: wireBytes ?? bytes },
    { kind: 'zip', amount: saved.compression },
    { kind: 'there', amount: saved.layers },
  ];
  const parts = [
    bytes > 0 && `${size(bytes)} moved${wireBytes === null ? '' : ` as ${size(wireBytes)}`}`,
    saved.layers > 0 && `${size(saved.layers)} there`,
  ];
  const text = parts.filter(Boolean).join(', ') || `nothing of ${size(full)}`;
  return html`${bar(pieces, whole)}<span>${text}</span>`;
}

/** Where an image was tried more than once its phases are drawn in a row, and what it waited behind them. */
function timeCell(image: ReportImage, { seconds: whole }: Scale): Markup {
  const { phases, startedAt } = image;
  if (startedAt === null) return html`<span>none</span>`;
  const pieces: readonly Unlabelled[] = [
    { kind: 'before', amount: startedAt },
    { kind: 'transfer', amount: phases.transfer },
    { kind: 'load', amount: phases.load },
    { kind: 'push', amount: phases.push ?? 0 },
    { kind: 'waited', amount: waited(image) },
  ];
  return html`${bar(pieces, whole)}<span>${phasesText(image) || 'none'}</span>`;
}

function waited({ phases: { transfer, load, push }, seconds }: ReportImage): number {
  // Each of these was rounded to milliseconds.
  return Math.max(0, Math.round((seconds - transfer - load - (push ?? 0)) * 1000) / 1000);
}
