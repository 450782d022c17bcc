/** docs/SECURITY.md names tests as proof: each of them exists, in the file that it names. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const text = readFileSync(`${ROOT}docs/SECURITY.md`, 'utf8').replaceAll(/\n {2}/g, ' ');

/** File, then the titles that stand behind it in curly quotes. */
const quoted = [...text.matchAll(/^- `(test\/[^`]+)`: (.*)$/gm)].flatMap(([, file = '', titles = '']) =>
  [...titles.matchAll(/“([^”]+)”/g)].map(([, title = '']) => [file, title] as const),
);

/** Titles as they are in the source: what a run fills in stands for anything, in the quotation for itself. */
function titlesOf(file: string): readonly RegExp[] {
  const source = readFileSync(`${ROOT}${file}`, 'utf8');
  const literals = [...source.matchAll(/'((?:[^'\\\n]|\\.)+)'|`((?:[^`\\]|\\.)+)`/g)];
  return literals
    .map(([, plain, template]) => plain ?? template ?? '')
    .filter((literal) => literal.replaceAll(/\$\{[^}]+\}|%[sidj]/g, '').length > 8)
    .map((literal) => {
      const parts = literal
        .split(/\$\{[^}]+\}|%[sidj]/)
        .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
      return new RegExp(`^${parts.join('.+')}$`);
    });
}

test('it names tests for every promise', () => {
  const promises = text.split(/^### /m).slice(1);
  expect(promises).toHaveLength(12);
  for (const promise of promises) expect(promise).toMatch(/^- `test\/[^`]+\.test\.ts`: “/m);
  expect(quoted.length).toBeGreaterThan(40);
});

test.each(quoted)('%s has “%s”', (file, title) => {
  expect(existsSync(`${ROOT}${file}`)).toBe(true);
  expect(titlesOf(file).filter((known) => known.test(title)).length).toBeGreaterThan(0);
});

test('every file of hostile peers is named', () => {
  const files = readdirSync(`${ROOT}test/hostile`).filter((file) => file.endsWith('.test.ts'));
  for (const file of files) expect(text).toContain(`test/hostile/${file}`);
});
