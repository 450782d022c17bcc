/** HTML that is escaped by construction: what is put into a template is text, unless it was made by one. */
import { escapeText } from '../escape.ts';

export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What is not there shows as nothing. */
type Part = Markup | readonly (Markup | false)[] | string | number | false | null | undefined;

/** Attributes are to be in double quotes. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(String.raw({ raw: strings }, ...parts.map(shown)));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function shown(part: Part): string {
  if (part instanceof Markup) return part.text;
  if (part === false || part === null || part === undefined) return '';
  if (typeof part === 'number') return String(part);
  if (typeof part !== 'string') return part.map(shown).join('');
  return escapeText(part).replace(/[&<>"']/g, (sign) => ENTITIES[sign] ?? sign);
}
