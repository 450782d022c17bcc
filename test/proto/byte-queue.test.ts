import { expect, test } from 'vitest';
import { ByteQueue } from '../../proto/byte-queue.ts';

/** The same bytes each run, of lengths around the borders of what is copied together. */
function* pieces(count: number): Generator<Buffer> {
  const lengths = [1, 7, 48, 4095, 4096, 4097, 65_510, 0, 13];
  for (let at = 0; at < count; at++)
    yield Buffer.alloc(lengths[(at * at) % lengths.length] ?? 0, `piece ${at} `);
}

test('gives what was pushed, in order, whenever it is taken', () => {
  const queue = new ByteQueue();
  const pushed: Buffer[] = [];
  const taken: Buffer[] = [];
  const kept: (readonly [Buffer, Buffer])[] = [];
  for (const [at, piece] of [...pieces(3_000)].entries()) {
    queue.push(piece);
    pushed.push(piece);
    if (at % 5 !== 0) continue;
    const part = queue.shift();
    if (!part) continue;
    taken.push(part);
    kept.push([part, Buffer.from(part)]);
  }
  for (let part = queue.shift(); part; part = queue.shift()) taken.push(part);
  expect(queue.empty).toBe(true);
  expect(Buffer.concat(taken).equals(Buffer.concat(pushed))).toBe(true);
  // What was handed out is never written again.
  for (const [part, copy] of kept) expect(part.equals(copy)).toBe(true);
});

test('small pieces are copied together, large ones are not copied', () => {
  const queue = new ByteQueue();
  for (let at = 0; at < 100_000; at++) queue.push(Buffer.of(at & 0xff));
  let parts = 0;
  while (queue.shift()) parts++;
  expect(parts).toBe(2);
  const large = Buffer.alloc(4096);
  queue.push(large);
  expect(queue.shift()).toBe(large);
});
