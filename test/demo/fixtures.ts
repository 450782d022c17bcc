/** The demo without docker: the same protocol over a real connection, between two ends in memory. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Emit, Event } from '../../agent/model/events.ts';
import { move } from '../../agent/move/move.ts';
import { dialSession } from '../../agent/peer/dialler.ts';
import { type AcceptedSession, Listener } from '../../agent/peer/listener.ts';
import { Pairing } from '../../agent/peer/pairing.ts';
import { PeerSink } from '../../agent/peer/peer-sink.ts';
import { SinkServer } from '../../agent/peer/sink-server.ts';
import { MemorySink, MemorySource, testImage } from '../memory.ts';
import { proved, say, size, title } from './say.ts';

const NAME = 'demo/hello:1.0';
const ADDRESS = '127.0.0.1';
const CODE_TTL_MS = 60_000;

export async function fixtureDemo(): Promise<void> {
  say(`Making ${NAME} of two files of this machine, ${process.execPath} and this one …`);
  const sent = await testImage({
    name: NAME,
    layers: [
      { 'opt/node': await readFile(process.execPath) },
      { 'srv/fixtures.ts': await readFile(new URL(import.meta.url)) },
    ],
  });
  await using store = new MemorySink();
  const seen: Event[] = [];
  const emit: Emit = (event) => void seen.push(event);

  title('Moving it over a real WebSocket, Noise-encrypted and paired by a one-time code');
  const listener = await Listener.listen({
    address: ADDRESS,
    port: 0,
    role: 'receiver',
    hello: () => hello('target'),
    emit,
  });
  try {
    const pairing = new Pairing(CODE_TTL_MS);
    say(`the receiver listens on ${ADDRESS}:${listener.port}`);
    const { signal } = new AbortController();
    const receiving = receive(listener.accept(pairing, signal), store);
    const url = `ws://${ADDRESS}:${listener.port}`;
    const session = await dialSession({
      url,
      code: pairing.code,
      role: 'sender',
      hello: hello('source'),
      emit,
    });
    say('paired: both have proven the code');
    const sending = async () => {
      await using source = new MemorySource([sent]);
      await using sink = new PeerSink({ session });
      return await move(source, sink, {
        signal: session.signal,
        emit,
        wireBytes: () => session.wireBytes,
        jobs: 2,
        retries: 0,
      });
    };
    const [given, taken] = await Promise.all([sending(), receiving]);

    const done = seen.find((event) => event.event === 'done');
    say(`${size(done?.bytes ?? 0)} of image, ${size(done?.wireBytes ?? 0)} on the wire, ${done?.seconds} s`);
    title('What came of it');
    const failure = given.outcomes.find(({ error }) => error)?.error;
    if (failure) throw new Error(`the image did not move: ${failure.message}`, { cause: failure });
    proved('both ends report success', given.exit === 0 && taken === 0);
  } finally {
    await listener.close();
  }

  const got = store.images.get(sent.image.id);
  proved(`the target has the image under the same id: ${sent.image.id}`, got !== undefined);
  proved(`${NAME} is its name there`, store.names.get(NAME) === sent.image.id);
  for (const { kind, digest, bytes } of sent.blobs) {
    const blob = got?.blobs.find((one) => one.digest === digest);
    const hash = createHash('sha256')
      .update(blob?.bytes ?? '')
      .digest('hex');
    proved(
      `${kind} ${digest}: ${size(bytes.length)}, equal byte for byte`,
      `sha256:${hash}` === digest && bytes.equals(blob?.bytes ?? Buffer.alloc(0)),
    );
  }
}

async function receive(accepting: Promise<AcceptedSession>, store: MemorySink): Promise<number> {
  const { session } = await accepting;
  await using server = new SinkServer(session);
  return (await server.serve(store, { emit: () => {} })).exit;
}

function hello(name: string) {
  const engine = {
    kind: 'docker',
    version: 'none',
    store: 'classic',
    os: 'linux',
    architecture: 'amd64',
  } as const;
  return { software: 'imgmv/demo', name, engine, capabilities: [] };
}
