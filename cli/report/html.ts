/** A report as one page, on its own: no script, nothing from elsewhere, and a policy in it that allows neither. */

import { readings } from '../readings.ts';
import { size } from '../sizes.ts';
import { bar, legend, type Piece } from './html-bar.ts';
import { imageTable } from './html-images.ts';
import { STYLE } from './html-style.ts';
import { html, Markup } from './markup.ts';
import type { ReportData } from './model.ts';
import {
  headlineOf,
  imageName,
  type Loss,
  losses,
  moment,
  percent,
  sideText,
  time,
  titleOf,
  type Verdict,
  verdictOf,
} from './words.ts';

const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
/** In a page of ours, which may be replaced, near its beginning. */
export const HTML_MARK = '<meta name="generator" content="imgmv ';

const VERDICTS: Readonly<Record<Verdict, readonly [sign: string, word: string]>> = {
  done: ['✓', 'Done'],
  partial: ['!', 'Partly done'],
  failed: ['✕', 'Failed'],
  stopped: ['■', 'Stopped'],
};

export function htmlReport(report: ReportData): string {
  const { command, imgmv, images, source, target } = report;
  const lost = losses(report);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
${new Markup(HTML_MARK)}${imgmv}">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>imgmv ${command}: ${titleOf(report)}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<main>
${header(report)}
${images.length > 0 && figures(report)}
${images.length > 0 && bytes(report)}
${lost.length > 0 && failures(lost)}
${images.length > 0 && imageTable(report)}
<section aria-labelledby="ends">
<h2 id="ends">From and to</h2>
<dl class="ends">
<div><dt>From</dt><dd>${sideText(source)}</dd></div>
<div><dt>To</dt><dd>${sideText(target)}</dd></div>
</dl>
${readings(images).map((line) => html`<p>${line}</p>`)}
</section>
</main>
<footer><p>Sizes are before compression, unless they are of the wire. A rate is what moved in a second of transfer.
Made by imgmv ${imgmv}.</p></footer>
</body>
</html>
`.text;
}

function header(report: ReportData): Markup {
  const { command, commandLine, endedAt, error, exit, seconds, startedAt } = report;
  const verdict = verdictOf(report);
  const [sign, word] = VERDICTS[verdict];
  return html`<header>
<p class="kind">imgmv ${command}</p>
<h1>${titleOf(report)}</h1>
<p class="verdict"><span class="pill ${verdict}"><span aria-hidden="true">${sign}</span> ${word}</span>
${headlineOf(report)}</p>
${error && html`<div class="problem" role="note"><p>${error.message}</p>${error.hint && html`<p class="hint">${error.hint}</p>`}</div>`}
<p class="when"><time datetime="${startedAt}">${moment(startedAt)}</time> to <time datetime="${endedAt}">${
    endedAt.slice(0, 10) === startedAt.slice(0, 10) ? endedAt.slice(11, 19) : moment(endedAt)
  }</time>, took ${time(seconds)}, exit status ${exit}</p>
${commandLine !== null && html`<p class="command"><code>${commandLine}</code></p>`}
</header>`;
}

function figures({ command, reconnections, seconds, totals }: ReportData): Markup {
  const there = totals.loaded + totals.present;
  const { compression, layers: skipped } = totals.saved;
  const whole = Math.max(1, skipped + compression + (totals.wireBytes ?? totals.bytes));
  const shareOf = (bytes: number) => (bytes > 0 ? `${percent(bytes / whole)} of all` : '');
  const figure = (name: string, value: string, more = '') =>
    html`<div><dt>${name}</dt><dd><b>${value}</b>${more && html` <span>${more}</span>`}</dd></div>`;
  return html`<dl class="figures">
${figure('Images', `${there} of ${totals.images}`, totals.present > 0 ? `${totals.present} there already` : '')}
${totals.wireBytes === null ? figure('Copied', size(totals.bytes)) : figure('On the wire', size(totals.wireBytes))}
${figure('Skipped', size(skipped), skipped > 0 ? `${shareOf(skipped)}, there already` : '')}
${command !== 'copy' && figure('Compressed away', size(compression), shareOf(compression))}
${figure('Time', time(seconds), reconnections > 0 ? `connection lost ${reconnections}×` : '')}
${totals.rate !== null && figure('Rate', `${size(totals.rate)}/s`)}
</dl>`;
}

function bytes({ command, totals }: ReportData): Markup | undefined {
  const local = command === 'copy';
  const pieces: readonly Piece[] = [
    { kind: 'wire', amount: totals.wireBytes ?? totals.bytes, label: local ? 'copied' : 'on the wire' },
    ...(totals.wireBytes === null
      ? []
      : [{ kind: 'zip', amount: totals.saved.compression, label: 'saved by compression' } as const]),
    { kind: 'there', amount: totals.saved.layers, label: 'skipped: there already' },
  ];
  const whole = pieces.reduce((sum, { amount }) => sum + amount, 0);
  if (whole === 0) return undefined;
  return html`<section aria-labelledby="bytes">
<h2 id="bytes">${local ? 'Copied and saved' : 'Sent and saved'}</h2>
${bar(pieces, whole, 'bar big')}
${legend(pieces.map((piece) => ({ ...piece, value: `${size(piece.amount)}, ${percent(piece.amount / whole)}` })))}
</section>`;
}

function failures(lost: readonly Loss[]): Markup {
  return html`<section aria-labelledby="failures">
<h2 id="failures">Not moved</h2>
<ul class="failures">
${lost.map(
  ({
    images,
    notes,
    result,
    status,
  }) => html`<li><p>${images.map((image) => html`<b>${imageName(image)}</b>`)}
<span class="status ${status}">${result}</span></p>
${notes.map(({ kind, text }) => html`<p class="note ${kind}">${text}</p>`)}</li>
`,
)}</ul>
</section>`;
}
