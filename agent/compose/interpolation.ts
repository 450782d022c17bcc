/**
 * Interpolation of the compose spec (12-interpolation.md): `$VAR`, `${VAR}`, and with braces `:-` and `-` (default),
 * `:?` and `?` (required), `:+` and `+` (alternative), whose text is interpolated in turn. `$$` is a dollar sign.
 * In what the spec leaves open (a dollar sign before anything else stays, how braces are paired) it does as
 * compose-go's template package does, which is what people's files were tried with.
 */
import { INTERPOLATED_MAX_CHARS, INTERPOLATION_DEPTH_MAX } from '../choose/limits.ts';
import { type Position, usageAt } from './position.ts';

export interface Variables {
  /** Undefined for one that is not set, which is another thing than an empty one. */
  get(name: string): string | undefined;
  /** Told of one that is not set and was taken as empty for want of anything else. */
  unset(name: string, at: Position): void;
}

/** Braces reach to the last one of their line; which of them ends the variable is looked for then. */
const DOLLAR = /\$(?:(\$)|([_a-z][_a-z0-9]*)|\{(?:([_a-z][_a-z0-9]*(?::?[-+?][^\n]*)?)\}|))/gi;
const BRACED = /^([_a-z][_a-z0-9]*)(?:(:?)([-+?])([^\n]*))?$/i;

/** Throws usage for what is no interpolation, for a required variable that is not set, and beyond the bounds. */
export function interpolate(template: string, variables: Variables, at: Position, depth = 0): string {
  if (depth > INTERPOLATION_DEPTH_MAX)
    throw usageAt(at, `variables are nested more than ${INTERPOLATION_DEPTH_MAX} deep`);
  let text = '';
  let end = 0;
  const append = (more: string) => {
    text += more;
    if (text.length > INTERPOLATED_MAX_CHARS)
      throw usageAt(
        at,
        `a text is longer than ${INTERPOLATED_MAX_CHARS} characters once its variables are filled in`,
      );
  };
  for (const match of template.matchAll(DOLLAR)) {
    const [whole, escaped, named, braced] = match;
    append(template.slice(end, match.index));
    end = match.index + whole.length;
    if (escaped !== undefined) append('$');
    else if (named !== undefined) append(plainValue(named, variables, at));
    else if (braced !== undefined) append(fromBraces(whole, variables, at, depth));
    else
      throw usageAt(at, `invalid interpolation in ${JSON.stringify(template)}`, 'write $$ for a dollar sign');
  }
  append(template.slice(end));
  return text;
}

/** `text` begins with `${` and ends with the last brace of its line. */
function fromBraces(text: string, variables: Variables, at: Position, depth: number): string {
  const close = closingBrace(text);
  const [, name = '', colon, operator, word = ''] = BRACED.exec(text.slice(2, close)) ?? [];
  const rest = interpolate(text.slice(close + 1), variables, at, depth + 1);
  const nested = () => interpolate(word, variables, at, depth + 1);
  const value = variables.get(name);
  const given = value !== undefined && (colon !== ':' || value !== '');
  switch (operator) {
    case '-':
      return (given ? value : nested()) + rest;
    case '+':
      return (given ? nested() : (value ?? '')) + rest;
    case '?': {
      if (given) return value + rest;
      const reason = nested();
      const message = `the variable ${name} is required, but has no value${reason === '' ? '' : `: ${reason}`}`;
      throw usageAt(at, message, 'set it in the environment or in .env');
    }
    default:
      return plainValue(name, variables, at) + rest;
  }
}

/** The brace that ends the variable; the last one where they do not pair. */
function closingBrace(text: string): number {
  let open = 0;
  for (let index = 0; index < text.length; index++) {
    if (text[index] === '}' && --open === 0) return index;
    // What follows an opening brace is not looked at, as compose does not.
    if (text[index] === '{') {
      open++;
      index++;
    }
  }
  return text.length - 1;
}

function plainValue(name: string, variables: Variables, at: Position): string {
  const value = variables.get(name);
  if (value === undefined) variables.unset(name, at);
  return value ?? '';
}
