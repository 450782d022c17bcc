import { expect, it } from 'vitest';
import type { Event } from '../../../agent/model/events.ts';
import type { Answer, ImageWriter, Pushable } from '../../../agent/model/sink.ts';
import { move } from '../../../agent/move/move.ts';
import { EVERY_NAME, type PushPolicy } from '../../../agent/push/policy.ts';
import type { PushName } from '../../../agent/push/push.ts';
import { PushingSink } from '../../../agent/push/pushing-sink.ts';
import { deferred } from '../../../proto/deferred.ts';
import { ImgmvError } from '../../../proto/errors.ts';
import { MemorySink, MemorySource, testImage } from '../../memory.ts';

const DIGEST = `sha256:${'12'.repeat(32)}` as const;
const FAILED = new ImgmvError('push-failed', 'no', { hint: 'do' });

async function pushed(
  names: readonly string[],
  push: PushName,
  { signal = new AbortController().signal, sink = new MemorySink(), policy = EVERY_NAME } = {},
) {
  const events: Event[] = [];
  const emit = (event: Event) => events.push(event);
  const images = await Promise.all(
    names.map((name) => testImage({ name, names: name === '' ? [] : [{ source: 'here:1', target: name }] })),
  );
  const ledger = await move(new MemorySource(images), new PushingSink(sink, { push, policy, emit }), {
    signal,
    emit,
    jobs: 4,
    retries: 0,
    wireBytes: () => 0,
  });
  return { ledger, events, sink, told: events.filter(({ event }) => event === 'image') };
}

it('pushes each image once it is there, one after another', async () => {
  const sink = new MemorySink();
  let at = 0;
  let most = 0;
  const { ledger, told } = await pushed(
    ['r.example/a:1', 'r.example/b:1', 'r.example/c:1'],
    async (name) => {
      expect(sink.names.has(name)).toBe(true);
      most = Math.max(most, ++at);
      await new Promise((resolve) => setTimeout(resolve, 20));
      at--;
      return { digest: DIGEST, warning: 'w' };
    },
    { sink },
  );
  expect(most).toBe(1);
  expect(ledger.exit).toBe(0);
  expect(told).toMatchObject(
    ['a', 'b', 'c'].map((name) => ({
      status: 'loaded',
      pushed: [{ ref: `r.example/${name}:1`, digest: DIGEST, warning: 'w', error: null }],
    })),
  );
});

/** A sink that says this of what may be pushed. */
const sinkThatSays = (pushable: () => Promise<Pushable>) =>
  new (class extends MemorySink {
    override async writer(answer: Answer, signal: AbortSignal): Promise<ImageWriter> {
      const writer = await super.writer(answer, signal);
      return {
        ...writer,
        commit: async () => {
          const end = await writer.commit();
          return 'missing' in end ? end : { ...end, pushable };
        },
      };
    }
  })();

it.each([
  ['has given the name to another image', 'moved', 'another image has this name by now'],
  ['takes long to say which image has the name', 'slow', 'the engine takes so long to say'],
] as const)('pushes nothing where an engine %s', async (_what, name, message) => {
  const sink = sinkThatSays(async () => ({ foreign: [], name }));
  const push: PushName = async (_name, { platform }) => {
    await platform();
    return { digest: DIGEST };
  };
  const { told } = await pushed(['r.example/a:1'], push, { sink });
  expect(told).toMatchObject([
    { pushed: [{ digest: null, error: { message: expect.stringContaining(message) } }] },
  ]);
});

it.each<readonly [string, Omit<Pushable, 'foreign'>, PushPolicy, string | undefined]>([
  [
    'would push a file of its host',
    { withheld: '"a/x" is a link' },
    EVERY_NAME,
    'one of the image: "a/x" is a link',
  ],
  ['may do so, for what others send', { unseen: true }, { ...EVERY_NAME, trusts: false }, 'from here'],
  ['may do so, for what its user chose', { unseen: true }, EVERY_NAME, undefined],
])('an engine that %s', async (_what, says, policy, message) => {
  const sink = sinkThatSays(async () => ({ foreign: [], ...says }));
  const push: PushName = async (_name, { platform }) => {
    await platform();
    return { digest: DIGEST };
  };
  const { told } = await pushed(['r.example/a:1'], push, { sink, policy });
  const want =
    message === undefined
      ? { digest: DIGEST, error: null }
      : { digest: null, error: { message: expect.stringContaining(message) } };
  expect(told).toMatchObject([{ pushed: [want] }]);
});

it('looks at what may be pushed when it is the turn of that push, and pushes nothing with what is not of it', async () => {
  const log: string[] = [];
  const foreign = [[], [DIGEST]];
  const sink = sinkThatSays(async () => {
    log.push('look');
    return { foreign: foreign.shift() ?? [] };
  });
  const push: PushName = async (name, { platform }) => {
    log.push(name);
    await platform();
    return { digest: DIGEST };
  };
  const { ledger, told } = await pushed(['r.example/a:1', 'r.example/b:1'], push, { sink });
  expect(log).toEqual(['r.example/a:1', 'look', 'r.example/b:1', 'look']);
  expect(ledger.exit).toBe(17);
  expect(told).toMatchObject([
    { status: 'loaded', pushed: [{ digest: DIGEST, error: null }] },
    {
      status: 'loaded',
      pushed: [
        {
          digest: null,
          error: { message: expect.stringContaining(`did not come with it, such as ${DIGEST}`) },
        },
      ],
    },
  ]);
});

it('tells for how long a push has not moved', async () => {
  const push: PushName = async (_name, { onProgress }) => {
    onProgress({ bytes: 3, bytesTotal: 9 });
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    return { digest: DIGEST };
  };
  const { events } = await pushed(['r.example/a:1'], push);
  const stalls = events.flatMap((one) => (one.event === 'progress' ? [one] : []));
  expect(stalls.at(-1)).toMatchObject({ phase: 'push', bytes: 3, bytesTotal: 9 });
  expect(stalls.at(-1)?.stalledSeconds).toBeGreaterThanOrEqual(1);
});

it('takes nothing back where a push fails, and the run ends with 17', async () => {
  const push: PushName = async (name) => {
    if (name.includes('bad')) throw FAILED;
    return { digest: DIGEST };
  };
  const { ledger, sink, told } = await pushed(['r.example/bad:1', 'r.example/good:1'], push);
  expect(ledger.exit).toBe(17);
  expect([...sink.names.keys()]).toEqual(['r.example/bad:1', 'r.example/good:1']);
  expect(told).toMatchObject([
    {
      status: 'loaded',
      error: null,
      pushed: [{ digest: null, error: { code: 'push-failed', message: 'no', hint: 'do' } }],
    },
    { status: 'loaded', pushed: [{ digest: DIGEST, error: null }] },
  ]);
});

it('pushes what is there already', async () => {
  const sink = new MemorySink();
  const push: PushName = async () => ({ digest: DIGEST });
  await pushed(['r.example/a:1'], push, { sink });
  const { told } = await pushed(['r.example/a:1'], push, { sink });
  expect(told).toMatchObject([{ status: 'present', pushed: [{ ref: 'r.example/a:1', digest: DIGEST }] }]);
});

it('does not try names that name no registry, nor images without a name', async () => {
  const tried: string[] = [];
  const push: PushName = async (name) => {
    tried.push(name);
    return { digest: DIGEST };
  };
  const { ledger, told } = await pushed(['web:1.0', '', 'team/web:1.0', 'docker.io/library/x:1'], push);
  expect(tried).toEqual(['team/web:1.0']);
  expect(ledger.exit).toBe(17);
  const messages = told
    .flatMap((event) => ('pushed' in event ? (event.pushed ?? []) : []))
    .map(({ error }) => error?.message);
  expect(messages).toEqual([
    'web:1.0 cannot be pushed: it names no registry',
    'an image without a name cannot be pushed',
    undefined,
    'docker.io/library/x:1 cannot be pushed: it names no registry',
  ]);
});

it('pushes nothing of an image that failed', async () => {
  const tried: string[] = [];
  const sink = new MemorySink({
    beforeChunk: () => Promise.reject(new ImgmvError('engine-refused', 'full')),
  });
  const { ledger, told } = await pushed(
    ['r.example/a:1'],
    async (name) => {
      tried.push(name);
      return { digest: DIGEST };
    },
    { sink },
  );
  expect(tried).toEqual([]);
  expect(ledger.exit).toBe(14);
  expect(told).toMatchObject([{ status: 'failed' }]);
  expect(told[0]).not.toHaveProperty('pushed');
});

it('ends what is left with the reason of a stop, and leaves the images', async () => {
  const stop = new AbortController();
  const begun = deferred<void>();
  const tried: string[] = [];
  const running = pushed(
    ['r.example/a:1', 'r.example/b:1'],
    (name, { signal }) => {
      tried.push(name);
      begun.resolve();
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('x'))));
    },
    { signal: stop.signal },
  );
  await begun.promise;
  // The second image is there as well, and stands in line.
  await new Promise((resolve) => setTimeout(resolve, 50));
  stop.abort(new ImgmvError('sigint', 'stopped'));
  const { ledger, sink, told } = await running;
  expect(tried).toEqual(['r.example/a:1']);
  expect(ledger.exit).toBe(130);
  expect(sink.names.size).toBe(2);
  expect(told).toMatchObject(
    ['a', 'b'].map((name) => ({
      status: 'loaded',
      pushed: [{ ref: `r.example/${name}:1`, error: { code: 'sigint' } }],
    })),
  );
});

it('tells how far a push is, and that it is tried again', async () => {
  const { events } = await pushed(['r.example/a:1'], async (_name, { onProgress, onRetry }) => {
    onRetry(FAILED, 1, 2_000);
    onProgress({ bytes: 5, bytesTotal: 10 });
    await new Promise((resolve) => setTimeout(resolve, 700));
    return { digest: DIGEST };
  });
  expect(events).toContainEqual(
    expect.objectContaining({ event: 'progress', phase: 'push', bytes: 5, bytesTotal: 10, bottleneck: null }),
  );
  expect(events).toContainEqual(
    expect.objectContaining({
      event: 'retrying',
      phase: 'push',
      refs: [{ source: 'here:1', target: 'r.example/a:1' }],
      attempt: 1,
      waitSeconds: 2,
      error: { code: 'push-failed', message: 'no', hint: 'do' },
    }),
  );
});
