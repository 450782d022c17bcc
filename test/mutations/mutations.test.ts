/** The runner of mutations is right about what it says; test/hostile/security-document.test.ts looks at its list. */
import { describe, expect, it } from 'vitest';
import { mutate, tests } from './mutation.ts';
import { promisesOf, promisesThatBegin } from './promises.ts';
import { usesProgram } from './uses-program.ts';
import { verdictOf } from './verdict.ts';

const ROOT = new URL('../..', import.meta.url).pathname;

const DOCUMENT = `# Security

Not promised here. Nor here.

## What is promised

### Against one

It holds, as \`--this\` has it,
in two lines. A second
one (with 13, too) holds.

- \`test/a.test.ts\`: “a title. Not a sentence.”
- \`test/b.test.ts\`: “another”,
  “and one more”

More holds.

### Against another

“All” holds.

## What is not promised

Nothing.
`;

describe('the promises of a document', () => {
  it('are the sentences of its sections, without the tests', () => {
    expect(promisesOf(DOCUMENT)).toEqual([
      { section: 'Against one', sentence: 'It holds, as `--this` has it, in two lines.' },
      { section: 'Against one', sentence: 'A second one (with 13, too) holds.' },
      { section: 'Against one', sentence: 'More holds.' },
      { section: 'Against another', sentence: '“All” holds.' },
    ]);
  });

  it('are found by how they begin', () => {
    expect(promisesThatBegin(promisesOf(DOCUMENT), 'A second one')).toHaveLength(1);
    expect(promisesThatBegin(promisesOf(DOCUMENT), 'Nothing')).toEqual([]);
  });
});

describe('an edit', () => {
  const edit = {
    name: 'it',
    file: 'a.ts',
    find: 'two',
    replace: '$& three',
    tests: tests('a.test.ts'),
    says: [],
  };

  it('replaces its text, and takes nothing in it for a pattern', () => {
    expect(mutate('one two three', edit)).toBe('one $& three three');
  });

  it.each(['one', 'two two'])('does not fit %j', (text) => {
    expect(() => mutate(text, edit)).toThrow(/"it": want its text exactly once in a\.ts, got it [02] times/);
  });

  it('that changes nothing is none', () => {
    expect(() => mutate('one two', { ...edit, replace: 'two' })).toThrow('changes nothing');
  });
});

describe('a verdict', () => {
  const failure = (message: string) => ({ title: 'a test', message });

  it.each([
    ['killed', [failure('AssertionError: expected 1 to be 2')]],
    ['killed', [failure('TypeError: x is not a function'), failure('Error: timed out')]],
    ['SURVIVED', []],
    ['unusable', [failure('TypeError: x is not a function')]],
    ['unusable', [failure('ReferenceError: x is not defined')]],
  ])('is %s after %j', (verdict, failures) => {
    expect(verdictOf({ passed: 1, failures }).verdict).toBe(verdict);
  });

  it('is none where tests did not come to their end', () => {
    expect(verdictOf({ passed: 1, failures: [failure('Error')], broken: 'it hung' })).toEqual({
      verdict: 'unusable',
      detail: 'it hung',
    });
  });
});

it.each([
  ['test/e2e/hosts.test.ts', true],
  ['test/hostile/built-text.test.ts', true],
  ['test/proto/lane.test.ts', false],
  ['test/hostile/evil-sender.test.ts', false],
])('%s needs the built program: %s', (file, needs) => {
  expect(usesProgram(ROOT, file)).toBe(needs);
});
