/** A sink behind rules of its own for names: what images are to be called is changed on the way in. */

import { counted } from '../../proto/counted.ts';
import { toImgmvError } from '../../proto/errors.ts';
import { NAMES_PER_IMAGE_MAX } from '../../proto/limits.ts';
import { unique } from '../choose/meant.ts';
import type { Renaming } from '../choose/rename.ts';
import { ForwardingSink, planOthers } from '../model/forwarding-sink.ts';
import type { Image, Name } from '../model/image.ts';
import type { Planned, Sink } from '../model/sink.ts';

export class RenamingSink extends ForwardingSink {
  readonly #renaming: Renaming;
  readonly #warn: (message: string) => void;

  /** Calls `warn` for each rule that matches no name. */
  constructor(inner: Sink, renaming: Renaming, warn: (message: string) => void = () => {}) {
    super(inner);
    this.#renaming = renaming;
    this.#warn = warn;
  }

  /** An image of whose name a rule makes none is refused. Answers are about the images as they came. */
  override async plan(images: readonly Image[]): Promise<readonly Planned[]> {
    const names = images.map((image) => this.#renamed(image));
    for (const warning of this.#renaming.warnings()) this.#warn(warning);
    const renamed = images.map((image, at) => {
      const own = names[at];
      return typeof own === 'string' || own === undefined ? image : { ...image, names: own };
    });
    const reasons = names.map((own) => (typeof own === 'string' ? own : undefined));
    const planned = await planOthers(renamed, reasons, (others) => super.plan(others));
    return planned.map((one, at) => ({
      answer: { ...one.answer, image: images[at] as Image },
      open: (signal) => one.open(signal),
    }));
  }

  #renamed(image: Image): readonly Name[] | string {
    try {
      const names = unique(
        image.names.flatMap(({ source, target: offered }) =>
          this.#renaming.apply(offered).map((target) => ({ source, target, offered })),
        ),
      );
      return names.length > NAMES_PER_IMAGE_MAX
        ? `it would have ${counted(names.length, 'name')}, more than ${NAMES_PER_IMAGE_MAX}`
        : names;
    } catch (error) {
      const { code, message } = toImgmvError(error);
      if (code !== 'usage') throw error;
      return message;
    }
  }
}
