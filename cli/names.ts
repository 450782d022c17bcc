/** How images are called in what people read. */

import { counted } from '../proto/counted.ts';
import { escapeText } from './escape.ts';

interface Named {
  readonly refs: readonly { readonly source: string; readonly target: string }[];
  readonly id: string;
}

/** Under which name an image goes, or its id; of several names the first, and how many there are besides. */
export function nameOf({ refs, id }: Named): string {
  const [first, ...others] = refs;
  if (!first) return short(id);
  const more = others.length === 0 ? '' : ` (and ${counted(others.length, 'more name')})`;
  const { source, target } = first;
  return `${source === target ? target : `${shortSource(source)} as ${target}`}${more}`;
}

/** What it is called at its source, in short. */
export function sourceNameOf({ refs, id }: Named): string {
  const [first] = refs;
  return first ? shortSource(first.source) : short(id);
}

/** What of its names `sourceNameOf` does not say, line by line. */
export function namingLines({ refs, id }: Named): readonly string[] {
  const shown = sourceNameOf({ refs, id });
  return refs.flatMap(({ source, target }) => {
    const name = shortSource(source);
    if (source !== target) return [`${name === shown ? '' : `${name} `}becomes ${target}`];
    return name === shown ? [] : [`also ${target}`];
  });
}

/** A source that is no name but an id, as docker shows it. */
export function shortSource(source: string): string {
  return source.startsWith('sha256:') ? short(source) : source;
}

/** As docker shows ids: 12 digits. An engine may say what is no id: it is text then. */
export function short(id: string): string {
  return escapeText(id.replace(/^sha256:/, '').slice(0, 12));
}
