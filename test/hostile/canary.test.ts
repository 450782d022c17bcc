/** All that is on the wire of a whole transfer, searched for what must not be readable there. */
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { generateCode } from '../../proto/code.ts';
import { MemorySink, MemorySource, testImage } from '../memory.ts';
import { tcpServer } from '../proto/wire.ts';
import { receiver, sender, statuses } from './hosts.ts';

const NAME = 'canary-registry.example/canary-team/canary-name:canary-tag';
const CONTENT = 'canary content of a file';
const PATH = 'canary/path';

test('no name, path, content, digest or code is on the wire, and the transfer is', async () => {
  const sink = new MemorySink();
  await using host = await receiver(sink);
  const wire: Buffer[] = [];
  await using proxy = await tcpServer((near) => {
    const far = connect(host.port, '127.0.0.1');
    far.on('error', () => near.destroy());
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (bytes: Buffer) => {
        wire.push(bytes);
        to.write(bytes);
      });
      from.on('close', () => to.destroy());
    }
  });
  // Bytes that do not shrink, so that zstd leaves the text as it is: encryption alone hides it.
  const image = await testImage({
    name: NAME,
    layers: [{ [PATH]: CONTENT.repeat(3), random: { bytes: 3 * 1024 * 1024, seed: 7 } }],
  });
  const run = await sender(proxy.port, host.code, new MemorySource([image]));
  expect(statuses(run)).toEqual(['loaded']);
  expect(statuses(await host.run)).toEqual(['loaded']);
  expect(sink.names.get(NAME)).toBe(image.image.id);

  const all = Buffer.concat(wire);
  expect(all.length).toBeGreaterThan(3 * 1024 * 1024);
  const digests = image.blobs.map(({ digest }) => digest.slice('sha256:'.length));
  // Two words in a row: a short one alone stands somewhere in three million random bytes.
  const words = host.code.reveal().split('-');
  const pairs = words.slice(1).map((word, at) => `${words[at]}-${word}`);
  const texts = ['canary', CONTENT, 'sha256', 'amd64', 'test host', ...pairs, ...digests];
  const middle = image.blobs[0]?.bytes.subarray(2_000_000, 2_000_016);
  const canaries = [
    ...texts.map((text) => Buffer.from(text)),
    ...digests.map((digest) => Buffer.from(digest, 'hex')),
    // Of what does not shrink.
    middle ?? Buffer.alloc(0),
  ];
  for (const canary of canaries) expect(canary.length).toBeGreaterThan(4);
  for (const canary of canaries) expect(`${canary} at ${all.indexOf(canary)}`).toBe(`${canary} at -1`);

  // The search itself finds what is there in clear.
  expect(all.indexOf('imgmv.2')).toBeGreaterThan(0);
  expect(all.indexOf(host.pairing.salt)).toBeGreaterThan(0);
  expect(generateCode().reveal()).not.toBe(host.code.reveal());
});
