import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { UnpackedDigest } from '../../../agent/docker/unpacked-digest.ts';
import { digestOf } from '../../../agent/oci/metadata.ts';

describe('what is in a layer', () => {
  it.each([
    ['as it is', (bytes: Buffer) => bytes],
    ['compressed', (bytes: Buffer) => gzipSync(bytes)],
  ])('is looked at, %s', async (_how, packed) => {
    const bytes = Buffer.from('what is in the layer');
    const seen: Buffer[] = [];
    using unpacked = new UnpackedDigest({ look: (some) => void seen.push(some) });
    await unpacked.add(packed(bytes));
    expect(await unpacked.digest()).toBe(digestOf(bytes));
    expect(Buffer.concat(seen)).toEqual(bytes);
  });

  it.each([
    ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0, 0])],
    ['bzip2', Buffer.from('BZh91AY&')],
  ])('cannot be looked at by whoever does not read %s, as engines do', async (name, head) => {
    using unpacked = new UnpackedDigest();
    await expect(unpacked.add(head)).rejects.toMatchObject({
      code: 'integrity',
      message: `a layer that is compressed with ${name}, which imgmv does not read`,
    });
  });
});
