/** How busy the processors of this host are. */
import { cpus } from 'node:os';

export class Processors {
  #before = totals();

  /** Share of their time since the last call, or since this was made, in which they had nothing to do: 0 to 1. */
  idleShare(): number {
    const now = totals();
    const { idle, all } = this.#before;
    this.#before = now;
    return now.all === all ? 1 : (now.idle - idle) / (now.all - all);
  }
}

/** Milliseconds since the start of the host, of all processors. */
function totals(): { readonly idle: number; readonly all: number } {
  let idle = 0;
  let all = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    all += times.idle + times.user + times.nice + times.sys + times.irq;
  }
  return { idle, all };
}
