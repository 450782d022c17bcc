/** A sink that sets only names that were allowed: an image that would get another one is refused in the plan. */
import { matchesTarget, type TargetPattern } from '../choose/target-pattern.ts';
import { ForwardingSink, planOthers } from '../model/forwarding-sink.ts';
import type { Image } from '../model/image.ts';
import { shownName } from '../model/plan.ts';
import type { Planned, Sink } from '../model/sink.ts';

export class AcceptingSink extends ForwardingSink {
  readonly #patterns: readonly TargetPattern[];

  /** What renames has to stand before this one: it looks at the names that would be set. */
  constructor(inner: Sink, patterns: readonly TargetPattern[]) {
    super(inner);
    this.#patterns = patterns;
  }

  override plan(images: readonly Image[]): Promise<readonly Planned[]> {
    const reasons = images.map((image) => this.#refusal(image));
    return planOthers(images, reasons, (others) => super.plan(others));
  }

  /** An image without a name sets none, and is let through. */
  #refusal({ names }: Image): string | undefined {
    const other = names.find(({ target }) => !this.#patterns.some((one) => matchesTarget(one, target)));
    return other && `${shownName(other)} is not a name that --accept allows`;
  }
}
