/** Names inside archives: relative, downwards, and one spelling for each. */
import type { ImgmvError } from '../../../proto/errors.ts';
import { integrity } from '../../streams/errors.ts';

/** `./a//b/` as `a/b`. Throws integrity for what is absolute, climbs, or is no name; '' is the archive's own folder. */
export function entryName(written: string): string {
  if (written.startsWith('/')) throw leads(written);
  const parts = written.split('/').filter((part) => part !== '' && part !== '.');
  // No tool writes it: `x/../manifest.json` is one more manifest to one reader, and another file to the next.
  if (parts.includes('..')) throw leads(written);
  return parts.join('/');
}

/** What the link `name` leads to, which may climb, but not out of the archive. */
export function linkTarget(name: string, link: string): string {
  if (link.startsWith('/') || link === '') throw leads(link, name);
  const parts = name.split('/').slice(0, -1);
  for (const part of link.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) throw leads(link, name);
  }
  return parts.join('/');
}

function leads(path: string, from?: string): ImgmvError {
  const where = from === undefined ? 'an entry named' : `the link ${JSON.stringify(from)} to`;
  return integrity(`${where} ${JSON.stringify(path)} leads out of the archive`);
}
