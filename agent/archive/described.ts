/**
 * What the documents of an archive describe: its images, and what is set aside because it is no image that an engine
 * could use. Charts, signatures and other artifacts lie beside images, and are no reason to refuse those.
 */
import { ImgmvError } from '../../proto/errors.ts';
import { familiar, parseReference, withDefaultTag } from '../model/reference.ts';
import type { ArchivedImage } from './archived-image.ts';

export interface SetAside {
  /** What the archive calls it: names, its digest, or its place. At least one. */
  readonly called: readonly string[];
  /** With the code integrity. */
  readonly why: ImgmvError;
}

export interface Described {
  readonly images: readonly ArchivedImage[];
  readonly setAside: readonly SetAside[];
  /** What of the images does not come along, such as a name that no engine could set. */
  readonly warnings: readonly string[];
}

/** What it is called, names as docker shows them. */
export function callings({ called }: SetAside): readonly string[] {
  return called.map(familiarly);
}

/** A name as docker shows it; what is none as it is. */
export function familiarly(text: string): string {
  const parsed = parseReference(text);
  return parsed ? familiar(withDefaultTag(parsed)) : text;
}

/** Whatever `read` gives; what it finds wrong with this one entry is kept instead. Throws all but integrity. */
export function setAsideUnless<T>(
  called: readonly string[],
  setAside: SetAside[],
  read: () => T,
): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ImgmvError) || error.code !== 'integrity') throw error;
    setAside.push({ called, why: error });
    return undefined;
  }
}
