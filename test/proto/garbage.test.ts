import { expect, it } from 'vitest';
import { countGarbage } from '../../proto/garbage.ts';

const MIB = 1024 * 1024;

it('frees buffers that are counted long before V8 would', () => {
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let count = 0; count < 60; count++) {
    countGarbage(Buffer.allocUnsafeSlow(MIB).fill(1));
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  expect(most).toBeLessThan(8 * MIB);
});
