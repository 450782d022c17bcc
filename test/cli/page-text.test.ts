/** Pages of the documentation, as `imgmv help PAGE` shows them. */
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { PAGES } from '../../cli/help.ts';
import { pageText } from '../../cli/page-text.ts';

const PAGE = `# A heading
A paragraph of
two lines that fill one.

- an item that goes
  on in a second line
- another

| a | table |
|---|---|

    code   as it is, however long its line may be

\`\`\`
- code
  in a fence
\`\`\`
`;

it('fills the columns with paragraphs and items, and leaves code alone', () => {
  expect(pageText(PAGE, 30)).toBe(`# A heading
A paragraph of two lines that
fill one.

- an item that goes on in a
  second line
- another

| a | table |
|---|---|

    code   as it is, however long its line may be

\`\`\`
- code
  in a fence
\`\`\`
`);
});

it('leaves the page as it is where there is no terminal', () => {
  expect(pageText(PAGE, Number.POSITIVE_INFINITY)).toBe(PAGE);
});

it('makes no line longer than can be read', () => {
  const words = 'word '.repeat(60).trim();
  const lines = pageText(words, 400).split('\n');
  expect(Math.max(...lines.map(({ length }) => length))).toBe(99);
});

it.each(PAGES)('%s has all of its words', async (page) => {
  const markdown = await readFile(new URL(`../../docs/${page}.md`, import.meta.url), 'utf8');
  const words = (text: string) => text.split(/\s+/).join(' ');
  expect(words(pageText(markdown, 100))).toBe(words(markdown));
});
