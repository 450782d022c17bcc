/** The first frame of zstd that holds something, and the window that it needs. RFC 8878 section 3.1. */

import { integrity } from './errors.ts';
import { isSkippableFrame } from './magic.ts';

/** Magic number, descriptor, window, dictionary id and content size, each as long as it can be. */
const HEADER_MAX_BYTES = 4 + 14;
const SKIPPABLE_HEADER_BYTES = 8;

export interface FirstFrame {
  /** 0 where no frame has a header that can be read: decompressing says what is wrong. */
  readonly windowBytes: number;
  /** All but the skippable frames in front. */
  readonly frames: AsyncGenerator<Buffer>;
}

/** Takes from `source` what it looks at. Throws integrity for an end inside a skippable frame. */
export async function firstFrame(source: AsyncGenerator<Buffer>): Promise<FirstFrame> {
  let head: Buffer = Buffer.alloc(0);
  const fill = async (bytes: number) => {
    while (head.length < bytes) {
      const next = await source.next();
      if (next.done) return false;
      head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
    }
    return true;
  };
  while ((await fill(SKIPPABLE_HEADER_BYTES)) && isSkippableFrame(head)) {
    let left = SKIPPABLE_HEADER_BYTES + head.readUInt32LE(4);
    // It may say 4 GiB.
    while (left > 0) {
      if (!(await fill(1))) throw integrity('compressed bytes end inside a zstd frame');
      const skipped = Math.min(left, head.length);
      head = head.subarray(skipped);
      left -= skipped;
    }
  }
  await fill(HEADER_MAX_BYTES);
  const frames = async function* () {
    if (head.length > 0) yield head;
    yield* source;
  };
  return { windowBytes: windowOf(head), frames: frames() };
}

/** Section 3.1.1.1: a frame of a single segment has its content as its window. */
function windowOf(head: Buffer): number {
  const descriptor = head[4];
  if (descriptor === undefined) return 0;
  const isSingle = (descriptor & 0x20) !== 0;
  if (!isSingle) {
    const byte = head[5] ?? 0;
    const base = 2 ** (10 + (byte >> 3));
    return base + (base / 8) * (byte & 7);
  }
  const at = 5 + ([0, 1, 2, 4][descriptor & 3] as number);
  switch (descriptor >> 6) {
    case 0:
      return head[at] ?? 0;
    case 1:
      return head.length < at + 2 ? 0 : head.readUInt16LE(at) + 256;
    case 2:
      return head.length < at + 4 ? 0 : head.readUInt32LE(at);
    default:
      return head.length < at + 8 ? 0 : Number(head.readBigUInt64LE(at));
  }
}
