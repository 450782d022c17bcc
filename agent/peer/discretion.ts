/**
 * What a receiver tells of its images: a digest in full only if the sender has offered it. Whoever knows the digest of a
 * blob can ask for things to be built on it, so of images that are merely here the sender gets 12 digits, as people do.
 */
import { ImgmvError } from '../../proto/errors.ts';
import { digestsOf, type Image } from '../model/image.ts';

const DIGITS_SHOWN = 12;
/** A text may have been cut within a digest; what has fewer digits, and no prefix, may be a size. */
const DIGEST = /sha256:[0-9a-f]{13,}|(?<![0-9a-f])[0-9a-f]{24,}/g;

export class Discretion {
  readonly #offered: ReadonlySet<string>;

  /** `images` as they were offered. */
  constructor(images: readonly Image[]) {
    this.#offered = new Set(images.flatMap((image) => [...digestsOf(image)]));
  }

  /** The digest, or 12 digits of it. */
  id(digest: string): string {
    return this.#offered.has(digest) ? digest : shortId(digest);
  }

  error({ code, message, forPeer = message, hint, noRoom }: ImgmvError): ImgmvError {
    return new ImgmvError(code, this.text(forPeer), { hint: hint && this.text(hint), noRoom });
  }

  /** The text with each digest in it so. */
  text(text: string): string {
    return text.replace(DIGEST, (found) => {
      const digest = `sha256:${found.replace('sha256:', '')}`;
      return this.#offered.has(digest) ? found : shortId(digest);
    });
  }
}

export function shortId(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, DIGITS_SHOWN);
}
