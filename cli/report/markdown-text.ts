/** Text from elsewhere in Markdown, in a table or not: it shows as it is and means nothing. */
import { escapeText } from '../escape.ts';

/** What neither ends a code span nor a cell of a table. */
const PLAIN_CODE = /^[^\s`|\\]+(?: [^\s`|\\]+)*$/;
/** Words of prose that no Markdown takes for more. */
const PLAIN_WORD = /^[\p{L}\p{N},.;:'"()/=%+→-]+$/u;
/** What is made a link, or a mention of somebody, even where its signs are escaped. */
const LIVE_WORD = /@|:\/\/|^\W*www\./i;

/** A name, an id: what is typed. */
export function code(text: string): string {
  const shown = escapeText(text);
  return PLAIN_CODE.test(shown) ? `\`${shown}\`` : `<code>${entities(shown)}</code>`;
}

/** A sentence, which does not begin a line. */
export function prose(text: string): string {
  return escapeText(text).split(' ').map(word).join(' ');
}

function word(text: string): string {
  if (LIVE_WORD.test(text)) return code(text);
  return PLAIN_WORD.test(text) ? text : entities(text);
}

/** Signs that are written so are never markup (CommonMark 6.2), nor the end of a cell. */
function entities(text: string): string {
  return text.replace(/[^\p{L}\p{N} ,.;:'"()/=%+→-]/gu, (sign) => `&#${sign.codePointAt(0)};`);
}
