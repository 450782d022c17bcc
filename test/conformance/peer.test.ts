/** The peer's ends over a session on the loopback device, with memory at the far end. */
import { vi } from 'vitest';
import type { Digest } from '../../agent/model/image.ts';
import { move } from '../../agent/move/move.ts';
import { dialSession } from '../../agent/peer/dialler.ts';
import { Listener } from '../../agent/peer/listener.ts';
import { PeerSink } from '../../agent/peer/peer-sink.ts';
import { PeerSource } from '../../agent/peer/peer-source.ts';
import type { Hello } from '../../proto/messages.ts';
import { MemorySink, MemorySource } from '../memory.ts';
import { conformance } from './conformance.ts';

vi.mock(import('../../proto/code.ts'), async (original) => ({
  ...(await original()),
  ...(await import('../proto/cheap-stretching.ts')),
}));

const HELLO: Omit<Hello, 'type' | 'role'> = {
  software: 'imgmv/test',
  name: 'far',
  engine: { kind: 'docker', version: '0', store: 'classic', os: 'linux', architecture: 'amd64' },
  capabilities: [],
};
const emit = () => {};

for (const store of ['classic', 'containerd'] as const) {
  conformance(`peer, ${store}`, async () => {
    const far = new MemorySink();
    return {
      store,
      tellsShortIds: true,
      async source(images) {
        const { source, sink, close } = await pair();
        const sent = moved(new MemorySource(images), sink).finally(() => sink[Symbol.asyncDispose]());
        return disposedWith(source, async () => {
          await sent;
          await close();
        });
      },
      async sink() {
        const { source, sink, close } = await pair();
        const received = moved(source, far).finally(() => source[Symbol.asyncDispose]());
        return disposedWith(sink, async () => {
          await received;
          await close();
        });
      },
      held: async () => Object.fromEntries(far.names) as Record<string, Digest>,
      async [Symbol.asyncDispose]() {},
    };
  });
}

/** Both ends of a session of its own. */
async function pair(): Promise<{ source: PeerSource; sink: PeerSink; close: () => Promise<void> }> {
  const listener = await Listener.listen({
    address: '127.0.0.1',
    port: 0,
    role: 'receiver',
    hello: () => HELLO,
    emit,
  });
  const pairing = listener.newPairing(60_000);
  const accepting = listener.accept(pairing, new AbortController().signal);
  const url = `ws://127.0.0.1:${listener.port}`;
  const dialled = await dialSession({ url, code: pairing.code, role: 'sender', hello: HELLO, emit });
  const accepted = await accepting;
  return {
    sink: new PeerSink({ session: dialled.session, openLane: (lane) => dialled.openLane(lane) }),
    source: new PeerSource(accepted.session, accepted.lane),
    close: () => listener.close(),
  };
}

function moved(source: PeerSource | MemorySource, sink: PeerSink | MemorySink): Promise<unknown> {
  return move(source, sink, {
    signal: new AbortController().signal,
    emit,
    wireBytes: () => 0,
    jobs: 2,
    retries: 0,
  });
}

/** `end`, whose disposal also waits for the far end to be done. */
function disposedWith<E extends PeerSource | PeerSink>(end: E, after: () => Promise<void>): E {
  const dispose = end[Symbol.asyncDispose].bind(end);
  return Object.assign(end, {
    async [Symbol.asyncDispose]() {
      await dispose();
      await after();
    },
  });
}
