/** What is done, step by step, for whoever looks: nobody most of the time. A step never holds a secret. */
import { channel } from 'node:diagnostics_channel';

export interface Step {
  readonly area: 'connection' | 'session' | 'engine' | 'layers' | 'ssh';
  /** One step in words. What comes from elsewhere in it is not escaped. */
  readonly text: string;
}

const STEPS = channel('imgmv.steps');

/** `text` is asked for only if somebody looks. */
export function step(area: Step['area'], text: () => string): void {
  if (STEPS.hasSubscribers) STEPS.publish({ area, text: text() } satisfies Step);
}

/** Tells `look` of each step from now on. */
export function watchSteps(look: (step: Step) => void): void {
  STEPS.subscribe((message) => look(message as Step));
}
