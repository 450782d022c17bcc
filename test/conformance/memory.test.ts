import type { Digest } from '../../agent/model/image.ts';
import { MemorySink, MemorySource } from '../memory.ts';
import { conformance } from './conformance.ts';

for (const store of ['classic', 'containerd'] as const) {
  conformance(`memory, ${store}`, async () => {
    const sink = new MemorySink();
    return {
      store,
      source: async (images) => new MemorySource(images),
      sink: async () => sink,
      held: async () => Object.fromEntries(sink.names) as Record<string, Digest>,
      async [Symbol.asyncDispose]() {},
    };
  });
}
