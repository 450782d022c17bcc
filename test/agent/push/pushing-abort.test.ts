/** What is committed stays, whatever becomes of its pushes. */
import { expect, it } from 'vitest';
import type { Answer, Digest, Sink } from '../../../agent/model/image.ts';
import { EVERY_NAME } from '../../../agent/push/policy.ts';
import { PushingSink } from '../../../agent/push/pushing-sink.ts';
import { ImgmvError } from '../../../proto/errors.ts';
import { testImage } from '../../memory.ts';

it('is not undone by an abort behind the commit, and is by one before', async () => {
  const { image } = await testImage({ name: 'r.example/a:1' });
  const answer: Answer = { image, action: 'send', refs: image.names };
  const aborted: string[] = [];
  const inner = {
    writer: async () => ({
      commit: async () => ({ targetId: image.id, refs: image.names }),
      abort: async (error: ImgmvError) => void aborted.push(error.message),
    }),
  } as unknown as Sink & { readonly finish?: never };
  const digest: Digest = `sha256:${'12'.repeat(32)}`;
  const push = async () => ({ digest });
  const sink = new PushingSink(inner, { push, policy: EVERY_NAME, emit: () => {} });
  const { signal } = new AbortController();
  const committed = await sink.writer(answer, signal);
  await committed.commit();
  await committed.abort(new ImgmvError('sigint', 'after'));
  expect(aborted).toEqual([]);
  await (await sink.writer(answer, signal)).abort(new ImgmvError('sigint', 'before'));
  expect(aborted).toEqual(['before']);
});
