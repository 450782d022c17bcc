import { expect, it } from 'vitest';
import type { Digest } from '../../../agent/model/image.ts';
import type { Pushed } from '../../../agent/model/sink.ts';
import { pushedFromWire, pushedToWire } from '../../../agent/peer/pushed.ts';
import { PushError } from '../../../agent/push/failure.ts';
import { NAMES_PER_IMAGE_MAX, REFERENCE_MAX_BYTES } from '../../../proto/limits.ts';
import { decodeMessage, encodeMessage, PUSH_PROBLEMS } from '../../../proto/messages.ts';

const DIGEST: Digest = `sha256:${'ab'.repeat(32)}`;

it('fits one message, however many names there are and whatever is said of them', () => {
  // JSON makes six bytes of each of these.
  const text = '\u0001'.repeat(5_000);
  const names = Array.from({ length: NAMES_PER_IMAGE_MAX }, (_, at) => {
    const end = `:${at}`;
    return 'a'.repeat(REFERENCE_MAX_BYTES - end.length) + end;
  });
  const error = new PushError('denied', text, { hint: text });
  const pushed = names.map((target): Pushed => ({ target, warning: text, error, problem: 'denied' }));
  const wire = encodeMessage({
    type: 'pushed',
    item: 9_999,
    pushed: pushedToWire(pushed, DIGEST, DIGEST),
  });
  expect(decodeMessage(wire.subarray(4))).toMatchObject({ pushed: names.map((target) => ({ target })) });
});

it('tells the other host the kind of problem, and nothing that a registry or a file of this host says', () => {
  const said = 'SECRET-WORDS of http://127.0.0.1:9200/_cat';
  const error = new PushError('not-a-registry', said, { hint: 'see /root/.docker/config.json' });
  const wire = pushedToWire(
    [
      { target: 'r.example/a:1', error, problem: 'not-a-registry' },
      { target: 'r.example/b:1', digest: DIGEST, warning: 'w' },
    ],
    DIGEST,
    DIGEST,
  );
  expect(wire).toEqual([
    { target: 'r.example/a:1', problem: 'not-a-registry' },
    { target: 'r.example/b:1', digest: DIGEST, warning: 'w' },
  ]);
  expect(pushedFromWire(wire, 'host-b')).toMatchObject([
    {
      target: 'r.example/a:1',
      error: {
        code: 'push-failed',
        message: 'on host-b: r.example/a:1 was not pushed: what answers there is not a registry',
        hint: 'what the registry said is shown on host-b',
        host: 'host-b',
      },
    },
    { target: 'r.example/b:1', digest: DIGEST, warning: 'on host-b: w' },
  ]);
});

it('calls an image without a name by as much of its id as the other host may know', () => {
  const error = new PushError('no-registry-named', 'no');
  const pushed: Pushed[] = [{ target: DIGEST, error, problem: 'no-registry-named' }];
  expect(pushedToWire(pushed, DIGEST, 'abababababab')).toEqual([
    { target: 'abababababab', problem: 'no-registry-named' },
  ]);
});

it.each(PUSH_PROBLEMS)('%s is told as what its reader acts on', (problem) => {
  const [told] = pushedFromWire([{ target: 'r.example/a:1', problem }], 'host-b');
  expect(told?.error?.code).toBe(problem === 'stopped' ? 'peer-stopped' : 'push-failed');
  expect(told?.error?.message).toMatch(/^on host-b: r\.example\/a:1 was not pushed: \S/);
  expect(told?.error?.hint ?? told?.error?.about).toMatch(/\S/);
});
