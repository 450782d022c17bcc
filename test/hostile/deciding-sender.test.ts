/** A sender that asks before it sends, and what it may say then. PROTOCOL.md section 6, `proceed`. */
import { expect, test, vi } from 'vitest';
import { DECISION_MAX_MS } from '../../proto/limits.ts';
import { MemorySink, testImage } from '../memory.ts';
import { receiver, ScriptedSender, sendBlobs, statuses } from './hosts.ts';

vi.mock(import('../../proto/code.ts'), async (original) => ({
  ...(await original()),
  ...(await import('../proto/cheap-stretching.ts')),
}));

const OTHER = `sha256:${'ab'.repeat(32)}` as const;
const FINISH = { type: 'finish' };
const PROCEED = { type: 'proceed' };

async function paired(hello: object, sink = new MemorySink()) {
  const host = await receiver(sink);
  const script = await ScriptedSender.pairBy(host.port, await host.pairing.psk, hello);
  return { host, script, sink, [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() };
}

test.each([
  ['plan', 0, []],
  ['move', 16, ['refused refused']],
])('finish after the answer to a %s: it ends with %i and nothing moves', async (purpose, exit, ends) => {
  await using scene = await paired({ purpose, asks: true });
  const { host, script, sink } = scene;
  await script.offer([await testImage()]);
  await script.say(FINISH);
  await script.end();
  const run = await host.run;
  expect([run.ledger?.exit, statuses(run)]).toEqual([exit, ends]);
  expect([sink.images.size, sink.names.size]).toEqual([0, 0]);
});

test.each(['plan', 'move'])('after proceed another answer comes, and a %s goes on', async (purpose) => {
  await using scene = await paired({ purpose, asks: true });
  const { host, script, sink } = scene;
  const image = await testImage();
  const first = await script.offer([image]);
  await script.say(PROCEED);
  expect(await script.hear('answer')).toEqual(first);
  const lane = await script.lane();
  await sendBlobs(lane, 0, image.blobs);
  expect(await script.hear('result')).toMatchObject({ status: 'loaded' });
  await script.say(FINISH);
  await Promise.all([script.end(), lane.end()]);
  expect(statuses(await host.run)).toEqual(['loaded']);
  expect([...sink.names.keys()]).toEqual(['web:1.0']);
});

test('what goes beyond the first answer is refused in the second, and what was refused stays so', async () => {
  let full = true;
  const refusal = ({ names }: { readonly names: readonly { readonly target: string }[] }) =>
    full && names[0]?.target === 'full:1' ? 'no room' : undefined;
  await using scene = await paired({ purpose: 'plan', asks: true }, new MemorySink({ refusal }));
  const { script, sink } = scene;
  const images = await Promise.all(['taken:1', 'full:1', 'free:1'].map((name) => testImage({ name })));
  const first = await script.offer(images);
  expect(first.items.map(({ action }) => action)).toEqual(['send', 'refuse', 'send']);
  sink.names.set('taken:1', OTHER);
  full = false;
  await script.say(PROCEED);
  const { items } = await script.hear('answer');
  expect(items.map(({ action, reason }) => reason ?? action)).toEqual([
    'taken:1 is a different image now than when the plan was shown',
    'no room',
    'send',
  ]);
  expect(JSON.stringify(items)).not.toContain(OTHER.slice(7, 19));
});

test.each<readonly [string, object, readonly object[]]>([
  ['proceed of a sender that did not ask', {}, [PROCEED]],
  ['proceed of a plan that did not ask', { purpose: 'plan' }, [PROCEED]],
  ['proceed twice', { asks: true }, [PROCEED, PROCEED]],
  [
    'another try before proceed',
    { asks: true },
    [{ type: 'retry', items: [0], attempt: 1, waitMs: 0 }, PROCEED],
  ],
  ['proceed after finish', { asks: true }, [FINISH, PROCEED]],
])('%s is a violation', async (_what, hello, says) => {
  await using scene = await paired(hello);
  const { host, script, sink } = scene;
  await script.offer([await testImage()]);
  for (const message of says) await script.say(message);
  expect(await script.closed()).toBe('4213 protocol-violation');
  await host.run;
  expect([sink.images.size, sink.names.size]).toEqual([0, 0]);
});

test('blobs that come before proceed reach nothing', async () => {
  await using scene = await paired({ purpose: 'plan', asks: true });
  const { host, script, sink } = scene;
  const image = await testImage();
  await script.offer([image]);
  const lane = await script.lane();
  await sendBlobs(lane, 0, image.blobs);
  await script.say(FINISH);
  await Promise.all([script.end(), lane.end()]);
  expect(statuses(await host.run)).toEqual([]);
  expect([sink.images.size, sink.names.size]).toEqual([0, 0]);
});

test('a sender that never decides is given up after 15 minutes', async () => {
  const timeouts = vi.spyOn(globalThis, 'setTimeout');
  await using scene = await paired({ asks: true });
  const { host, script } = scene;
  await script.offer([await testImage()]);
  const late = timeouts.mock.calls.find(([, ms]) => ms === DECISION_MAX_MS)?.[0];
  timeouts.mockRestore();
  (late as () => void)();
  expect((await host.run).error).toMatchObject({
    code: 'no-answer',
    message: expect.stringMatching(/decided within 15 minutes whether to send$/),
  });
});
