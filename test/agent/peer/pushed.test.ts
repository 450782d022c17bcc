import { expect, it } from 'vitest';
import type { Digest, Pushed } from '../../../agent/image.ts';
import { pushedFromWire, pushedToWire } from '../../../agent/peer/pushed.ts';
import { ImgmvError } from '../../../proto/errors.ts';
import { NAMES_PER_IMAGE_MAX, REFERENCE_MAX_BYTES, TEXT_MAX_CHARACTERS } from '../../../proto/limits.ts';
import { decodeMessage, encodeMessage } from '../../../proto/messages.ts';

const DIGEST: Digest = `sha256:${'ab'.repeat(32)}`;

it('fits one message, however many names there are and whatever is said of them', () => {
  // JSON makes six bytes of each of these.
  const text = '\u0001'.repeat(5_000);
  const names = Array.from({ length: NAMES_PER_IMAGE_MAX }, (_, at) => {
    const end = `:${at}`;
    return 'a'.repeat(REFERENCE_MAX_BYTES - end.length) + end;
  });
  const error = new ImgmvError('push-failed', text, { hint: text });
  const pushed = names.map((target): Pushed => ({ target, warning: text, error }));
  const wire = encodeMessage({
    type: 'result',
    image: 9_999,
    status: 'loaded',
    targetId: DIGEST,
    refs: names.map((target) => ({ source: target, target, replaced: DIGEST })),
    pushed: pushedToWire(pushed),
  });
  expect(decodeMessage(wire.subarray(4))).toMatchObject({ pushed: names.map((target) => ({ target })) });
});

it('says all of a few names, and where it was', () => {
  const error = new ImgmvError('push-failed', 'm'.repeat(TEXT_MAX_CHARACTERS), { hint: 'h' });
  const told = pushedFromWire(
    pushedToWire([
      { target: 'r.example/a:1', error },
      { target: 'r.example/b:1', digest: DIGEST, warning: 'w' },
    ]),
    'host-b',
  );
  expect(told).toMatchObject([
    {
      target: 'r.example/a:1',
      error: { code: 'push-failed', message: `on host-b: ${error.message}`, hint: 'hint from host-b: h' },
    },
    { target: 'r.example/b:1', digest: DIGEST, warning: 'on host-b: w' },
  ]);
});

it('is no stop of this side where the other one was stopped', () => {
  const stopped = new ImgmvError('sigint', 'stopped');
  const [told] = pushedFromWire(pushedToWire([{ target: 'r.example/a:1', error: stopped }]), 'host-b');
  expect(told?.error?.code).toBe('peer-stopped');
});
