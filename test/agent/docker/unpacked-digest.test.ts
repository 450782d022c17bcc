import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { UnpackedDigest } from '../../../agent/docker/unpacked-digest.ts';
import { digestOf } from '../../../agent/oci/metadata.ts';

it.each([
  ['as it is', (bytes: Buffer) => bytes],
  ['compressed', (bytes: Buffer) => gzipSync(bytes)],
])('the diffID of a layer, %s', async (_how, packed) => {
  const bytes = Buffer.from('what is in the layer');
  using unpacked = new UnpackedDigest();
  await unpacked.add(packed(bytes));
  expect(await unpacked.digest()).toBe(digestOf(bytes));
});
