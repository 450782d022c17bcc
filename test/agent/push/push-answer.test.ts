import { describe, expect, it } from 'vitest';
import { PushAnswer } from '../../../agent/push/push-answer.ts';

const DIGEST = `sha256:${'12'.repeat(32)}`;

function read(...pieces: readonly string[]): PushAnswer {
  const answer = new PushAnswer('1.0');
  for (const piece of pieces) answer.read(piece);
  answer.end();
  return answer;
}

const line = (value: unknown) => `${JSON.stringify(value)}\r\n`;
const aux = (value: object) => line({ progressDetail: {}, aux: value });
const pushing = (id: string, current: number, total: number) =>
  line({ status: 'Pushing', id, progressDetail: { current, total }, progress: '[=>]' });

describe('the answer to a push', () => {
  it('has its digest from a classic engine, and from one with a containerd store', () => {
    expect(read(aux({ Tag: '1.0', Digest: DIGEST, Size: 733 })).digest).toBe(DIGEST);
    expect(read(line({ status: `1.0: digest: ${DIGEST} size: 550` })).digest).toBe(DIGEST);
  });

  it.each([
    ['another tag', aux({ Tag: '2.0', Digest: DIGEST })],
    ['no tag', aux({ Digest: DIGEST })],
    ['another shape', aux({ Tag: '1.0', Digest: 'sha256:12' })],
    ['another algorithm', aux({ Tag: '1.0', Digest: DIGEST.replace('256', '512') })],
    ['a line of a layer', line({ id: 'a', status: `1.0: digest: ${DIGEST} size: 550` })],
    ['a line of another tag', line({ status: `2.0: digest: ${DIGEST} size: 550` })],
    ['a line with more', line({ status: `1.0: digest: ${DIGEST} size: 550 and more` })],
  ])('takes no digest from %s', (_name, text) => {
    expect(read(text).digest).toBeUndefined();
  });

  it('counts bytes as the engine does, of all layers', () => {
    const answer = read(pushing('a', 512, 1), pushing('b', 100, 3_000), pushing('b', 1_000, 3_000));
    expect(answer.progress).toEqual({ bytes: 1_512, bytesTotal: 3_512 });
    answer.read(line({ status: 'Pushed', progressDetail: {}, id: 'b' }));
    answer.read(line({ status: 'Layer already exists', progressDetail: {}, id: 'c' }));
    expect(answer.progress).toEqual({ bytes: 3_512, bytesTotal: 3_512 });
  });

  it('tells the first error, also beside what is odd', () => {
    const answer = read(
      line({ error: 'denied', errorDetail: { message: 'denied' }, progressDetail: { current: -1 }, aux: 7 }),
      line({ error: 'later' }),
    );
    expect(answer.failure).toBe('denied');
  });

  it('tells that one manifest went in place of an index', () => {
    expect(read(aux({ manifestPushedInsteadOfIndex: true, originalIndex: {} })).partOfIndex).toBe(true);
    expect(read(aux({ Tag: '1.0', Digest: DIGEST })).partOfIndex).toBe(false);
  });

  it('is the same wherever it is cut, and needs no end of line', () => {
    const text = pushing('a', 1, 2) + aux({ Tag: '1.0', Digest: DIGEST }).trim();
    for (let at = 0; at <= text.length; at++) {
      const { digest, progress } = read(text.slice(0, at), text.slice(at));
      expect({ digest, progress }).toEqual({ digest: DIGEST, progress: { bytes: 1, bytesTotal: 2 } });
    }
  });

  it('passes over what is no JSON, no object, or too long, and reads on', () => {
    const long = JSON.stringify({ error: 'x'.repeat(70_000) });
    const answer = read(
      'nonsense\n',
      '[1]\n',
      'null\n',
      long.slice(0, 69_000),
      `${long.slice(69_000)}\n`,
      aux({ Tag: '1.0', Digest: DIGEST }),
    );
    expect({ failure: answer.failure, digest: answer.digest }).toEqual({
      failure: undefined,
      digest: DIGEST,
    });
  });

  it('keeps no more layers than an image can have', () => {
    const answer = read();
    for (let layer = 0; layer < 10_000; layer++) answer.read(pushing(`${layer}`, 1, 1));
    expect(answer.progress.bytesTotal).toBe(4_000);
  });
});
