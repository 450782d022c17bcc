/** A place that images go to, of which nobody is told anything. */
import type { SinkEndpoint } from '../agent/ends/endpoint.ts';
import { type SinkEnd, type SinkEndOptions, sinkEnd } from '../agent/ends/sink-end.ts';

export function quietEnd(endpoint: SinkEndpoint, options: Partial<SinkEndOptions> = {}): SinkEnd {
  return sinkEnd(endpoint, {
    overwrite: false,
    noReplace: false,
    ignoreSpace: false,
    stdout: async () => {},
    signal: new AbortController().signal,
    pushes: false,
    pushPolicy: () => undefined,
    emit: () => {},
    ...options,
  });
}
