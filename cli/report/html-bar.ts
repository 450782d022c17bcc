/** Bars of pieces whose lengths are in proportion to their amounts. What they show stands beside them as text. */
import { html, type Markup } from './markup.ts';

export interface Piece {
  /** Its colour. */
  readonly kind: 'wire' | 'zip' | 'there' | 'transfer' | 'load' | 'push' | 'waited' | 'before';
  readonly amount: number;
  readonly label: string;
}

export type Unlabelled = Omit<Piece, 'label'>;

/** `whole` is what the full width stands for. */
export function bar(pieces: readonly Unlabelled[], whole: number, classes = 'bar'): Markup {
  const width = (amount: number) => (whole > 0 ? Math.min(100, (amount / whole) * 100).toFixed(3) : '0');
  return html`<div class="${classes}" aria-hidden="true">${pieces
    .filter(({ amount }) => amount > 0)
    .map(({ amount, kind }) => html`<i class="${kind}" style="width:${width(amount)}%"></i>`)}</div>`;
}

type LegendEntry = Omit<Piece, 'amount'> & { readonly value?: string };

/** `of` is what all of them are pieces of, where that is not plain. */
export function legend(entries: readonly (LegendEntry | false)[], of?: string): Markup {
  return html`<ul class="legend">
${of && html`<li class="of">${of}</li>`}${entries.map(
  (entry) =>
    entry &&
    html`<li><i class="${entry.kind}" aria-hidden="true"></i>${entry.label}${entry.value && html`: <b>${entry.value}</b>`}</li>
`,
)}</ul>`;
}
