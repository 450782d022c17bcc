import { expect, it } from 'vitest';
import { ByteRing } from '../../proto/byte-ring.ts';

const KIB = 1024;

/** The byte that belongs at an offset: no two neighbours of a ring's length look alike. */
const byteAt = (offset: number) => (offset * 31 + Math.floor(offset / 251)) & 0xff;

const ALL = Buffer.from(Uint8Array.from({ length: 8 * 1024 * KIB }, (_, offset) => byteAt(offset)));

function bytes(from: number, length: number): Buffer {
  return ALL.subarray(from, from + length);
}

function all(sent: ByteRing, offset: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = offset; at < sent.to; at += parts.at(-1)?.length ?? 1)
    parts.push(Buffer.from(sent.read(at, 10_000)));
  return Buffer.concat(parts);
}

it('keeps what was added and not released, while it grows and goes round', () => {
  const sent = new ByteRing(300 * KIB);
  for (let round = 0; round < 200; round++) {
    const length = Math.min(sent.free, 1 + ((round * 7919) % 50_000));
    sent.add(bytes(sent.to, length));
    const offset = sent.from + Math.floor((sent.to - sent.from) / 3);
    expect(all(sent, offset).equals(bytes(offset, sent.to - offset))).toBe(true);
    if (round % 3 === 0) sent.release(offset);
  }
  expect(sent.to).toBeGreaterThan(600 * KIB);
});

it('is full at its limit', () => {
  const sent = new ByteRing(100);
  sent.add(bytes(0, 100));
  expect(sent.free).toBe(0);
  sent.release(40);
  expect(sent.free).toBe(40);
  sent.add(bytes(100, 40));
  expect(all(sent, 40).equals(bytes(40, 100))).toBe(true);
});

it('gives nothing at its end, nor while it is empty', () => {
  const sent = new ByteRing(100);
  expect(sent.read(0, 10).length).toBe(0);
  sent.add(bytes(0, 5));
  expect(sent.read(5, 10).length).toBe(0);
});

it('does not release backwards', () => {
  const sent = new ByteRing(100);
  sent.add(bytes(0, 50));
  sent.release(30);
  sent.release(10);
  expect(sent.from).toBe(30);
});
