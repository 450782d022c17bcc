/** The other host as a sink over a session on the loopback device, with memory at the far end. */
import { vi } from 'vitest';
import { ShownSink } from '../../agent/ends/shown-sink.ts';
import type { Digest, Image } from '../../agent/model/image.ts';
import { dialSession } from '../../agent/peer/dialler.ts';
import { Listener } from '../../agent/peer/listener.ts';
import { Pairing } from '../../agent/peer/pairing.ts';
import { PeerSink } from '../../agent/peer/peer-sink.ts';
import { SinkServer } from '../../agent/peer/sink-server.ts';
import type { Role } from '../../proto/channel.ts';
import type { Hello } from '../../proto/messages.ts';
import { MemorySink } from '../memory.ts';
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

const CASES = [
  ['classic', 'sender', false],
  ['containerd', 'sender', false],
  ['classic', 'receiver', false],
  ['classic', 'sender', true],
] as const;

for (const [store, dialler, asks] of CASES) {
  conformance(`peer, ${store}, dialled by the ${dialler}${asks ? ', who asks' : ''}`, async () => {
    const far = new MemorySink();
    return {
      store,
      tellsShortIds: true,
      source: undefined,
      async sink() {
        const { server, sink, close } = await pair(dialler, asks);
        const shown = asks ? new ShownSink(far) : undefined;
        const received = server
          .serve(shown ?? far, { emit, shown })
          .finally(() => server[Symbol.asyncDispose]());
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
async function pair(
  dialler: Role,
  asks: boolean,
): Promise<{ server: SinkServer; sink: PeerSink; close: () => Promise<void> }> {
  const listener = await Listener.listen({
    address: '127.0.0.1',
    port: 0,
    role: dialler === 'sender' ? 'receiver' : 'sender',
    hello: () => HELLO,
    emit,
  });
  const pairing = new Pairing(60_000);
  const accepting = listener.accept(pairing, new AbortController().signal);
  const url = `ws://127.0.0.1:${listener.port}`;
  const dialled = await dialSession({ url, code: pairing.code, role: dialler, hello: HELLO, emit });
  const { session: accepted } = await accepting;
  const [sending, receiving] = dialler === 'sender' ? [dialled, accepted] : [accepted, dialled];
  return {
    sink: asks
      ? proceeding(new PeerSink({ session: sending, planOnly: true }))
      : new PeerSink({ session: sending }),
    server: new SinkServer(receiving),
    close: () => listener.close(),
  };
}

/** `end`, whose first plan is shown to somebody who says yes. */
function proceeding(end: PeerSink): PeerSink {
  const plan = end.plan.bind(end);
  let shown = false;
  return Object.assign(end, {
    async plan(images: readonly Image[]) {
      if (!shown) {
        shown = true;
        await plan(images);
        await end.proceed();
      }
      return plan(images);
    },
  });
}

/** `end`, whose disposal also waits for the far end to be done. */
function disposedWith(end: PeerSink, after: () => Promise<void>): PeerSink {
  const dispose = end[Symbol.asyncDispose].bind(end);
  return Object.assign(end, {
    async [Symbol.asyncDispose]() {
      await dispose();
      await after();
    },
  });
}
