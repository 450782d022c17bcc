/**
 * A sink whose first plan is only shown to somebody, who decides whether it is carried out. What is planned after that
 * must be what was shown: an image that was refused stays refused, and one that would do anything more is refused.
 */
import { ForwardingSink, planOthers } from '../model/forwarding-sink.ts';
import type { Image } from '../model/image.ts';
import { refusal } from '../model/plan.ts';
import type { Planned } from '../model/sink.ts';
import { Agreement } from './agreement.ts';

export class ShownSink extends ForwardingSink {
  #shown: Agreement | undefined;
  readonly #refused = new Map<string, string>();

  override async plan(images: readonly Image[]): Promise<readonly Planned[]> {
    const shown = this.#shown;
    if (shown) {
      const reasons = images.map(({ id }) => this.#refused.get(id));
      const planned = await planOthers(images, reasons, (others) => super.plan(others));
      return planned.map((one) => shown.hold(one));
    }
    const planned = await super.plan(images);
    const answers = planned.map(({ answer }) => answer);
    for (const answer of answers)
      if (answer.action === 'refuse') this.#refused.set(answer.image.id, refusal(answer).message);
    this.#shown = new Agreement(answers, 'the plan was shown');
    return planned;
  }
}
