/**
 * docs/SECURITY.md is true: the tests that it names as proof exist, and each of its sentences is one that
 * `npm run test:mutations` makes false, to see that a test notices.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { HELD_OTHERWISE } from '../mutations/held-otherwise.ts';
import { MUTATIONS } from '../mutations/list.ts';
import { mutatedFile } from '../mutations/mutation.ts';
import { promisesOf, promisesThatBegin } from '../mutations/promises.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const markdown = readFileSync(`${ROOT}docs/SECURITY.md`, 'utf8');
const text = markdown.replaceAll(/\n {2}/g, ' ');
const promises = promisesOf(markdown);

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

function expectTest(file: string, title: string): void {
  expect(existsSync(`${ROOT}${file}`), `${file} does not exist`).toBe(true);
  const known = titlesOf(file).some((pattern) => pattern.test(title));
  expect(known, `${file} has no test “${title}”`).toBe(true);
}

describe('the document', () => {
  test('names tests for every kind of attacker', () => {
    const sections = text.split(/^### /m).slice(1);
    expect(sections).toHaveLength(15);
    for (const section of sections) expect(section).toMatch(/^- `test\/[^`]+\.test\.ts`: “/m);
    expect(quoted.length).toBeGreaterThan(40);
  });

  test.each(quoted)('%s has “%s”', expectTest);

  test('names every file of hostile peers', () => {
    const files = readdirSync(`${ROOT}test/hostile`).filter((file) => file.endsWith('.test.ts'));
    for (const file of files) expect(text).toContain(`test/hostile/${file}`);
  });
});

describe('its sentences', () => {
  const held = [...MUTATIONS.flatMap(({ says }) => says), ...HELD_OTHERWISE.map(({ says }) => says)];

  test.each(promises.map(({ section, sentence }) => [section, sentence]))(
    '%s: “%s”',
    (_section, sentence) => {
      expect(
        held.filter((says) => sentence.startsWith(says)),
        'no edit makes this sentence false: add one to test/mutations/list/, with a test that notices; if the sentence ' +
          'has only been reworded, change the beginning that the entries quote',
      ).not.toEqual([]);
    },
  );

  test('are where the heading says', () => {
    expect(promises.length).toBeGreaterThan(30);
    expect(new Set(promises.map(({ section }) => section)).size).toBe(15);
  });

  test.each(HELD_OTHERWISE.map((one) => [one.says, one] as const))(
    'without an edit: “%s”',
    (says, { test: shown }) => {
      expect(promisesThatBegin(promises, says)).toHaveLength(1);
      expect(MUTATIONS.some((mutation) => mutation.says.includes(says))).toBe(false);
      if (shown) expectTest(shown.file, shown.title);
    },
  );
});

describe('the edit', () => {
  test.each(MUTATIONS.map((mutation) => [mutation.name, mutation] as const))('%s', (_name, mutation) => {
    expect(() => mutatedFile(ROOT, mutation)).not.toThrow();
    for (const file of mutation.tests.files)
      expect(existsSync(`${ROOT}${file}`), `${file} does not exist`).toBe(true);
    expect(mutation.says).not.toEqual([]);
    for (const says of mutation.says)
      expect(
        promisesThatBegin(promises, says).map(({ sentence }) => sentence),
        `want one sentence of docs/SECURITY.md that begins with “${says}”`,
      ).toHaveLength(1);
  });

  test('has a name of its own', () => {
    const names = MUTATIONS.map(({ name }) => name);
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
  });
});
