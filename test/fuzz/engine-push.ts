/** What an engine answers to a push, line by line. docs/push.md. */
import fc from 'fast-check';
import { PushAnswer } from '../../agent/push/push-answer.ts';
import { bytesLike, cut, cuts } from './bytes.ts';
import { holds } from './refusal.ts';
import { target } from './target.ts';
import { type Json, jsonLike, nastyText } from './text.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

const line: fc.Arbitrary<Json> = fc.oneof(
  fc.record({
    status: fc.constantFrom('Preparing', 'Pushing', 'Pushed', 'Layer already exists'),
    progressDetail: fc.record({ current: fc.nat(), total: fc.nat() }),
    id: fc.constantFrom('0123456789ab', 'ba9876543210'),
  }) as fc.Arbitrary<Json>,
  fc.constantFrom<Json>(
    { status: 'The push refers to repository [r.example/web]' },
    { status: `1.0: digest: ${DIGEST} size: 733` },
    { progressDetail: {}, aux: { Tag: '1.0', Digest: DIGEST, Size: 733 } },
    { progressDetail: {}, aux: { manifestPushedInsteadOfIndex: true } },
    { errorDetail: { message: 'denied' }, error: 'denied' },
  ),
  nastyText.map((status): Json => ({ status })),
);

const answer = fc
  .array(jsonLike(line), { maxLength: 5 })
  .map((lines) => Buffer.concat(lines.flatMap((json) => [json, Buffer.from('\r\n')])));

const pushes = target<{ bytes: Buffer; cutAt: readonly number[] }>({
  name: 'engine/push',
  share: 10,
  input: fc.record({ bytes: bytesLike(answer), cutAt: cuts }),
  check: async ({ bytes, cutAt }) => {
    const read = (lengths: readonly number[]) => {
      const pushed = new PushAnswer('1.0');
      const decoder = new TextDecoder();
      for (const piece of cut(bytes, lengths)) pushed.read(decoder.decode(piece, { stream: true }));
      pushed.read(decoder.decode());
      pushed.end();
      const { digest, failure, partOfIndex, progress } = pushed;
      return { digest, failure, partOfIndex, progress };
    };
    const [cutUp, atOnce] = [read(cutAt), read([bytes.length])];
    holds(JSON.stringify(cutUp) === JSON.stringify(atOnce), 'where it is cut does not matter');
    const { digest, progress } = cutUp;
    holds(digest === undefined || /^sha256:[0-9a-f]{64}$/.test(digest), 'a digest is a digest');
    holds(
      Number.isSafeInteger(progress.bytesTotal) && progress.bytes <= progress.bytesTotal,
      'a progress is one',
    );
  },
});

export const pushTargets = [pushes];
