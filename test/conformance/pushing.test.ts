/** A sink that pushes what another one takes is a sink like any. */
import type { Digest } from '../../agent/model/image.ts';
import { EVERY_NAME } from '../../agent/push/policy.ts';
import { PushingSink } from '../../agent/push/pushing-sink.ts';
import { MemorySink, MemorySource } from '../memory.ts';
import { conformance } from './conformance.ts';

conformance('memory, pushed on', async () => {
  const sink = new MemorySink();
  const push = async () => ({ digest: `sha256:${'0'.repeat(64)}` as const });
  return {
    store: 'classic',
    source: async (images) => new MemorySource(images),
    sink: async () => new PushingSink(sink, { push, policy: EVERY_NAME, emit: () => {} }),
    held: async () => Object.fromEntries(sink.names) as Record<string, Digest>,
    async [Symbol.asyncDispose]() {},
  };
});
