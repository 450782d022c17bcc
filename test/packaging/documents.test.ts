/** What holds for the documents as a whole. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../packaging/program.ts';

const README_MAX_LINES = 200;
const DOCUMENTS = [
  'README.md',
  'CHANGELOG.md',
  'proto/PROTOCOL.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];
const PLACEHOLDER = 'github.com/OWNER/imgmv';

const textOf = (document: string) => readFileSync(join(ROOT, document), 'utf8');

describe('the documents', () => {
  it('begin with a README that is read in a few minutes', () => {
    expect(textOf('README.md').split('\n').length - 1).toBeLessThanOrEqual(README_MAX_LINES);
  });

  it('are all listed in it, or in the page for developers', () => {
    const lists = textOf('README.md') + textOf('docs/development.md').replaceAll('](', '](docs/');
    for (const document of DOCUMENTS.slice(2)) expect(lists).toContain(`](${document}`);
  });

  it.each(DOCUMENTS)('%s links only to what is there', (document) => {
    const links = [...textOf(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
    const broken = links.filter((link) => !/^https?:/.test(link) && !leadsSomewhere(document, link));
    expect(broken).toEqual([]);
  });

  it('say where the address of the repository goes, which package.json lacks', () => {
    expect(textOf('package.json')).toContain(PLACEHOLDER);
    expect(DOCUMENTS.filter((document) => textOf(document).includes(PLACEHOLDER))).toEqual([
      'docs/development.md',
    ]);
  });
});

function leadsSomewhere(document: string, link: string): boolean {
  const [file = '', anchor] = link.split('#');
  const target = file === '' ? document : join(dirname(document), file);
  if (!existsSync(join(ROOT, target)) || !statSync(join(ROOT, target)).isFile()) return false;
  return anchor === undefined || anchorsOf(textOf(target)).includes(anchor);
}

/** As the pages of a forge name their headings. */
function anchorsOf(text: string): readonly string[] {
  const headings = text.replaceAll(/^```[\s\S]*?^```/gm, '').match(/^#+ .*$/gm) ?? [];
  return headings.map((heading) =>
    heading
      .replace(/^#+ /, '')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
