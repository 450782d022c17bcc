/** What is typed as a pairing code. */
import fc from 'fast-check';
import { generateCode, parseCode } from '../../proto/code.ts';
import { ImgmvError } from '../../proto/errors.ts';
import { decoded, holds } from './refusal.ts';
import { target } from './target.ts';
import { textLike } from './text.ts';

/** Of the list, so that changes of one may give another. */
const WORDS = ['abandon', 'ability', 'able', 'zebra', 'zone', 'zoo', 'act', 'action', 'actor', 'actress'];
const typed = fc
  .tuple(
    fc.array(fc.constantFrom(...WORDS), { minLength: 5, maxLength: 7 }),
    fc.constantFrom('-', ' ', '\n', ' – ', '\u3000', '--'),
    fc.nat(8),
    fc.boolean(),
  )
  .map(([words, between, letters, loud]) => {
    const text = words.map((word) => word.slice(0, letters < 3 ? undefined : letters)).join(between);
    return loud ? text.toUpperCase() : text;
  });

const codes = target({
  name: 'code/typed',
  share: 20,
  input: textLike(typed),
  check: (text) => {
    let shown = '';
    const code = decoded(['bad-code'], () => {
      try {
        return parseCode(text);
      } catch (error) {
        if (error instanceof ImgmvError) shown = `${error.message} ${error.hint ?? ''}`;
        throw error;
      }
    });
    if (code === undefined) {
      holds(/^[\x20-\x7e]+$/.test(shown), 'what was typed is not repeated');
      return;
    }
    const words = code.reveal().split('-');
    holds(words.length === 6 && words.every((word) => /^[a-z]{3,8}$/.test(word)), 'a code is six words');
    holds(parseCode(code.reveal()).reveal() === code.reveal(), 'a whole code is itself');
    const short = words.map((word) => word.slice(0, 4)).join(' ');
    holds(parseCode(short).reveal() === code.reveal(), 'four letters are enough');
    holds(
      `${code} ${JSON.stringify({ code })}` === '[secret] {"code":"[secret]"}',
      'a code shows in no text',
    );
  },
});

const made = generateCode();
holds(parseCode(made.reveal()).reveal() === made.reveal(), 'a code that was made is read');

export const codeTargets = [codes];
