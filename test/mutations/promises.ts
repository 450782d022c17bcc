/** The sentences of docs/SECURITY.md that promise something, so that each can be asked for its tests. */

export interface Promised {
  /** Title of the section: "Against bombs". */
  readonly section: string;
  readonly sentence: string;
}

/**
 * The sentences below "What is promised", without the lists of tests that stand behind them. White space counts as
 * one blank; marks of Markdown stay.
 */
export function promisesOf(markdown: string): readonly Promised[] {
  const [, promised = ''] = /^## What is promised\n([\s\S]*?)^## /m.exec(markdown) ?? [];
  return promised
    .split(/^### /m)
    .slice(1)
    .flatMap((part) => {
      const [section = '', ...lines] = part.split('\n');
      return paragraphs(lines.join('\n')).flatMap((paragraph) =>
        sentences(paragraph).map((sentence) => ({ section, sentence })),
      );
    });
}

function paragraphs(text: string): readonly string[] {
  return text.split(/\n{2,}/).filter((paragraph) => paragraph.trim() !== '' && !/^\s*- `/.test(paragraph));
}

function sentences(paragraph: string): readonly string[] {
  return paragraph
    .replaceAll(/\s+/g, ' ')
    .trim()
    .split(/(?<=[.?!]) (?=[A-Z`“])/);
}

/** The promises that begin with `beginning`. */
export function promisesThatBegin(promises: readonly Promised[], beginning: string): readonly Promised[] {
  return promises.filter(({ sentence }) => sentence.startsWith(beginning));
}
