/** Who wants which name, over all plans of a session: a peer may have some of its images planned once more. */
import type { Image } from './image.ts';
import { clashes } from './plan.ts';

export class NameClaims {
  /** Each image that was planned, once. */
  #all: readonly Image[] = [];

  /** As `clashes`, with what was planned before: nobody gets a name that another image of the session wants. */
  clashes(images: readonly Image[]): readonly (string | undefined)[] {
    const again = new Set(images.map(({ id }) => id));
    this.#all = [...images, ...this.#all.filter(({ id }) => !again.has(id))];
    return clashes(this.#all).slice(0, images.length);
  }
}
