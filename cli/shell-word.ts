/** Words as a shell takes them, for people to copy. */
import { escapeText } from './escape.ts';

const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** Joined by blanks. What a terminal would act on is written as `$'\u001b'`, which bash, zsh and ksh read. */
export function shellWords(words: readonly string[]): string {
  return words.map(shellWord).join(' ');
}

function shellWord(word: string): string {
  if (PLAIN.test(word)) return word;
  if (escapeText(word) === word) return `'${word.replaceAll("'", "'\\''")}'`;
  return `$'${escapeText(word.replaceAll(/[\\']/g, '\\$&'))}'`;
}

/** Of this program. No option takes a secret; but a proxy may be given one in the query of its URL, which is left out. */
export function commandLine(args: readonly string[]): string {
  return shellWords(['imgmv', ...args.map((word) => word.replace(/(wss?:\/\/[^?#]*)\?.*$/is, '$1?…'))]);
}
