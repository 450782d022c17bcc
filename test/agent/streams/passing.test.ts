/** What reads streams of bytes, or looks at them as they pass by. */
import { describe, expect, it } from 'vitest';
import { peek } from '../../../agent/streams/peek.ts';
import { readAll } from '../../../agent/streams/read-all.ts';
import { tap } from '../../../agent/streams/tap.ts';
import { verify } from '../../../agent/streams/verify.ts';
import { Hasher } from '../../../proto/hasher.ts';

const ABC = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';

/** Gives `pieces`, and says how it was left. */
function source(...pieces: readonly string[]) {
  const seen = { given: 0, ended: false };
  const stream = (async function* () {
    try {
      for (const piece of pieces) {
        seen.given++;
        yield Buffer.from(piece);
      }
    } finally {
      seen.ended = true;
    }
  })();
  return { stream, seen };
}

const textOf = async (stream: AsyncIterable<Buffer>) =>
  (await readAll(stream, 100, () => new Error('too much'))).toString();

describe('readAll', () => {
  it('gives all of it, up to the bound', async () => {
    expect(await textOf(source('ab', '', 'c').stream)).toBe('abc');
    expect(await textOf(source().stream)).toBe('');
    expect((await readAll(source('ab', 'c').stream, 3, () => new Error('never'))).toString()).toBe('abc');
  });

  it('reads no further than the bound, and ends the stream', async () => {
    const { stream, seen } = source('ab', 'cd', 'ef');
    await expect(readAll(stream, 3, () => new Error('too much'))).rejects.toThrow('too much');
    expect(seen).toEqual({ given: 2, ended: true });
  });
});

describe('peek', () => {
  it('takes no more than it needs, and gives the whole', async () => {
    const { stream, seen } = source('ab', 'cd', 'ef');
    const { head, whole } = await peek(stream, 3);
    expect([head.toString(), seen.given]).toEqual(['abcd', 2]);
    expect(await textOf(whole)).toBe('abcdef');
    expect(seen.ended).toBe(true);
  });

  it('has less where there is no more', async () => {
    const { head, whole } = await peek(source('ab').stream, 8);
    expect([head.toString(), await textOf(whole)]).toEqual(['ab', 'ab']);
    const nothing = await peek(source().stream, 8);
    expect([nothing.head.length, await textOf(nothing.whole)]).toEqual([0, '']);
  });

  it('lets others go on behind the head', async () => {
    const { stream } = source('ab', 'cd');
    await peek(stream, 1);
    expect(await textOf(stream)).toBe('cd');
  });

  it('ends the stream when the whole is left', async () => {
    const { stream, seen } = source('ab', 'cd');
    const { whole } = await peek(stream, 1);
    for await (const _ of whole) break;
    expect(seen).toEqual({ given: 1, ended: true });
  });
});

it('tap shows each piece before it goes on, and stops at what that throws', async () => {
  const { stream, seen } = source('ab', 'cd');
  const shown: string[] = [];
  const tapped = tap(stream, (chunk) => {
    shown.push(chunk.toString());
    if (shown.length === 2) throw new Error('enough');
  });
  expect((await tapped.next()).value?.toString()).toBe('ab');
  await expect(tapped.next()).rejects.toThrow('enough');
  expect([shown, seen.ended]).toEqual([['ab', 'cd'], true]);
});

it('a hasher counts, and knows the digest', () => {
  const hasher = new Hasher();
  for (const piece of ['a', '', 'bc']) hasher.add(Buffer.from(piece));
  expect([hasher.bytes, hasher.digest()]).toEqual([3, ABC]);
});

describe('verify', () => {
  const differs = (came: string, bytes: number) => new Error(`${came.slice(7, 11)} of ${bytes}`);

  it('lets through what is right', async () => {
    expect(await textOf(verify(source('a', 'bc').stream, { digest: ABC, size: 3 }, differs))).toBe('abc');
  });

  it.each([
    ['other bytes', ['abd'], 'a52d of 3'],
    ['fewer', ['ab'], 'fb8e of 2'],
    ['more', ['abc', 'd'], '88d4 of 4'],
  ])('throws for %s', async (_what, pieces, told) => {
    const verified = verify(source(...pieces).stream, { digest: ABC, size: 3 }, differs);
    await expect(textOf(verified)).rejects.toThrow(told);
  });

  it('gives no byte beyond the size, and reads on no further', async () => {
    const { stream, seen } = source('abc', 'd', 'e');
    const given: string[] = [];
    const reading = async () => {
      for await (const chunk of verify(stream, { digest: ABC, size: 3 }, differs))
        given.push(chunk.toString());
    };
    await expect(reading()).rejects.toThrow('of 4');
    expect([given, seen.given]).toEqual([['abc'], 2]);
  });
});
