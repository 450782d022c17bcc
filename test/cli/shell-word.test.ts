/** What a shell makes of the words is what they were. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { commandLine, shellWords } from '../../cli/shell-word.ts';
import { SEED } from '../fuzz/seed.ts';
import { run } from '../rig/command.ts';
import { UNSAFE } from '../unsafe-text.ts';

it('quotes what needs it, and nothing else', () => {
  expect(shellWords(['web:1.0', 'team/*', "it's", '', '--retag', 'a=b'])).toBe(
    `web:1.0 'team/*' 'it'\\''s' '' --retag a=b`,
  );
});

it('is read by bash as it was', async () => {
  const unit = fc.constantFrom(...'ab \'"\\$`!*?\n\t\u001b\u202eé~#&|;<>(){}[]=');
  const words = fc.sample(fc.string({ unit, maxLength: 12 }), { numRuns: 300, seed: SEED });
  const line = shellWords(words);
  expect(line).not.toMatch(UNSAFE);
  const read = await run(['bash', '-c', `printf '%s\\0' ${line}`], { env: { LC_ALL: 'C.UTF-8' } });
  expect(read.split('\0').slice(0, -1)).toEqual(words);
});

it('leaves out the query of a URL', () => {
  const url = 'wss://proxy.example/to/b?token=secret';
  expect(commandLine(['send', '--to', url, `--to=${url}`])).toBe(
    "imgmv send --to 'wss://proxy.example/to/b?…' '--to=wss://proxy.example/to/b?…'",
  );
});
