/** How the page looks: narrow and wide, light and dark, on paper. Text has at least 4.5 to 1 against what is behind it. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --raised: #ffffff; --ink: #1d1f23; --soft: #5a6069; --line: #e0ddd7; --track: #efede8;
  --wire: #14609f; --zip: #7db4de; --there: #b4cdb9; --transfer: #1f7a80; --load: #c98114; --push: #8256b8; --waited: #a7a49d;
  --good: #1b6b3a; --good-back: #def1e3; --warn: #7d4e00; --warn-back: #fbecca; --bad: #a3201b; --bad-back: #fbe3e0;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #141619; --raised: #1b1e22; --ink: #e9e7e2; --soft: #a4a9b2; --line: #31353b; --track: #25292e;
    --wire: #5ba8e8; --zip: #2e6495; --there: #48654f; --transfer: #4fb3b8; --load: #e0a03c; --push: #a988dd; --waited: #6a6e75;
    --good: #86d6a0; --good-back: #17331f; --warn: #f0c46b; --warn-back: #3a2c0d; --bad: #ff9d94; --bad-back: #431a18;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main, footer { max-width: 68rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2.5rem); }
main { padding-top: clamp(1.5rem, 5vw, 3.5rem); }
p, h1, h2, ul, dl, dd { margin: 0; padding: 0; }
ul { list-style: none; }
section { margin-top: 2.75rem; }
h1 { font-size: clamp(1.5rem, 1.1rem + 2vw, 2.25rem); line-height: 1.2; font-weight: 650; letter-spacing: -0.015em; }
h2 { font-size: 1.05rem; font-weight: 650; margin-bottom: 0.75rem; }
.kind { color: var(--soft); font-size: 0.875rem; margin-bottom: 0.25rem; }
.verdict { margin-top: 0.9rem; font-size: 1.05rem; }
.when { color: var(--soft); font-size: 0.875rem; margin-top: 0.4rem; }
.pill, .status { display: inline-block; border-radius: 1em; font-weight: 600; white-space: nowrap; }
.pill { padding: 0.05em 0.75em 0.1em; margin-right: 0.35em; }
.status { padding: 0.05em 0.6em; font-size: 0.8125rem; background: var(--track); color: var(--ink); }
.done, .loaded, .present { background: var(--good-back); color: var(--good); }
.partial, .stopped, .unfinished, .skipped { background: var(--warn-back); color: var(--warn); }
.failed, .refused { background: var(--bad-back); color: var(--bad); }
.problem { margin-top: 1rem; padding: 0.75rem 1rem; border-left: 4px solid var(--bad); background: var(--bad-back); border-radius: 0 6px 6px 0; }
.hint { color: var(--soft); }
.problem .hint { color: var(--ink); margin-top: 0.25rem; }
.figures { display: flex; flex-wrap: wrap; gap: 1px; margin-top: 2rem; background: var(--line); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.figures div { flex: 1 1 8.5rem; background: var(--raised); padding: 0.8rem 1rem 0.9rem; }
.figures dt, .ends dt { color: var(--soft); font-size: 0.8125rem; }
.figures b { display: block; white-space: nowrap; font-size: 1.5rem; line-height: 1.25; font-weight: 620; letter-spacing: -0.01em; }
.figures span { color: var(--soft); font-size: 0.8125rem; }
.bar { display: flex; height: 0.6rem; background: var(--track); border-radius: 3px; overflow: hidden; }
.bar.big { height: 1.75rem; border-radius: 6px; }
.bar i { flex: none; }
i.wire { background: var(--wire); }
i.transfer { background: var(--transfer); }
i.zip { background: var(--zip); }
i.there { background: var(--there); }
i.load { background: var(--load); }
i.push { background: var(--push); }
i.waited { background: repeating-linear-gradient(135deg, var(--waited) 0 2px, var(--track) 2px 5px); }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin-top: 0.6rem; font-size: 0.875rem; color: var(--soft); }
.legend + .legend { margin-top: 0.1rem; }
.legend .of { min-width: 2.75rem; }
.legend b { color: var(--ink); font-weight: 600; }
.legend i { display: inline-block; width: 0.75em; height: 0.75em; border-radius: 2px; margin-right: 0.45em; }
table { width: 100%; border-collapse: collapse; margin-top: 0.9rem; table-layout: fixed; }
th, td { text-align: left; vertical-align: top; padding: 0.6rem 1rem 0.65rem 0; font-weight: 400; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: 0.8125rem; border-bottom: 1px solid var(--ink); padding-top: 0; }
tbody tr { border-bottom: 1px solid var(--line); break-inside: avoid; }
thead th:nth-child(1) { width: 34%; }
thead th:nth-child(2) { width: 7.5rem; }
.name { font-weight: 600; }
.id { display: block; color: var(--soft); font: 0.78125rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.note { display: block; font-size: 0.8125rem; color: var(--soft); }
.note.error { color: var(--bad); }
.note.warning { color: var(--warn); }
.note.change, .note.pushed { color: var(--ink); }
td .bar { margin: 0.4rem 0 0.25rem; }
td span:not(.status) { font-size: 0.8125rem; color: var(--soft); }
.failures b + b::before { content: ", "; font-weight: 400; }
.failures li { padding: 0.7rem 0 0.75rem 1rem; border-left: 4px solid var(--bad); }
.failures li + li { margin-top: 0.5rem; }
.failures .note { font-size: 0.9375rem; }
.ends { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1rem 2.5rem; }
footer { margin-top: 3rem; padding-bottom: 2.5rem; color: var(--soft); font-size: 0.8125rem; }
footer p { border-top: 1px solid var(--line); padding-top: 0.9rem; max-width: none; }
@media (max-width: 46rem) {
  table, tbody, tr, th, td { display: block; width: auto; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  tbody tr { padding: 0.9rem 0 1rem; }
  tbody tr { display: grid; grid-template-columns: 1fr auto; gap: 0 0.75rem; }
  tbody th, tbody td { padding: 0.1rem 0; }
  td.bytes, td.time { grid-column: 1 / -1; }
  tbody tr:first-child { border-top: 1px solid var(--ink); }
}
@media print {
  :root { --paper: #ffffff; --raised: #ffffff; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 10.5pt; }
  main { padding-top: 0; }
  thead { display: table-header-group; }
  h2 { break-after: avoid; }
  .failures li, .figures, .problem { break-inside: avoid; }
}
`;
