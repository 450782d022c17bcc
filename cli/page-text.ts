/** A page of the documentation as a terminal shows it: its paragraphs and list items fill the columns. */
import { wrap } from './wrap.ts';

/** Longer lines are hard to read. */
const COLUMNS_MAX = 100;
const FENCE = /^ *```/;
const ITEM = /^ *([-*]|[0-9]+\.) /;
/** An empty line, a heading, a row of a table: a line by itself. */
const BY_ITSELF = /^($|#|\|)/;

/** `markdown` is one of docs/. Code stays as it is, however long its lines are; and so does all of it where no columns are. */
export function pageText(markdown: string, columns: number): string {
  if (columns === Number.POSITIVE_INFINITY) return markdown;
  const width = Math.min(columns, COLUMNS_MAX);
  return blocksOf(markdown)
    .map(({ text, isCode }) => (isCode ? text : wrap(text, width, ITEM.test(text) ? 2 : 0)))
    .join('\n');
}

interface Block {
  text: string;
  readonly isCode: boolean;
  /** Whether the line behind it may go on with it. */
  readonly isOpen: boolean;
}

function blocksOf(markdown: string): readonly Block[] {
  const blocks: Block[] = [];
  let inFence = false;
  for (const line of markdown.split('\n')) {
    const isFence = FENCE.test(line);
    const last = blocks.at(-1);
    const isCode = isFence || inFence || (line.startsWith('    ') && !last?.isOpen);
    if (isFence) inFence = !inFence;
    if (last?.isOpen && !isCode && !ITEM.test(line) && !BY_ITSELF.test(line)) last.text += ` ${line.trim()}`;
    else blocks.push({ text: line, isCode, isOpen: !isCode && !BY_ITSELF.test(line) });
  }
  return blocks;
}
