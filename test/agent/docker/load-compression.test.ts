/** In what a load goes to an engine of another host. */
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../../agent/docker/engine.ts';
import { loadCompression } from '../../../agent/docker/load-compression.ts';
import { Decompressor } from '../../../proto/compression.ts';

const CHUNKS = Array.from({ length: 40 }, (_, at) => Buffer.alloc(100_000, `chunk ${at} `));
const TAR = Buffer.concat(CHUNKS);

const engineOf = (address: string, version: string, kind = 'docker') =>
  ({ endpoint: { address }, info: { version, kind } }) as Engine;

async function* tar(): AsyncGenerator<Buffer> {
  yield* CHUNKS;
}

/** What goes out, and the chunks that were given back. */
async function packed(engine: Engine, waitedMs: () => number = () => 0) {
  const released: Buffer[] = [];
  const compress = loadCompression(engine);
  const bytes = await buffer(
    compress?.(tar(), { waitedMs, release: (chunk) => released.push(chunk) }) ?? tar(),
  );
  return { bytes, released };
}

async function unzstd(bytes: Buffer): Promise<Buffer> {
  const source = (async function* () {
    yield bytes;
  })();
  const parts: Buffer[] = [];
  for await (const part of new Decompressor().decompress(source, TAR.length)) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

describe('a load', () => {
  it('goes to an engine of this host as it is', () => {
    expect(loadCompression(engineOf('unix:///var/run/docker.sock', '28.0.0'))).toBeUndefined();
  });

  it.each([
    ['ssh://host-b', '20.10.24+dfsg1', 'docker', gunzipSync],
    ['tcp://host-b:2375', '22.0.0', 'docker', gunzipSync],
    ['ssh://host-b', '23.0.0', 'docker', unzstd],
    ['ssh://host-b', '4.3.1', 'podman', unzstd],
  ])('goes to %s, version %s of %s, compressed as that takes it', async (address, version, kind, unpack) => {
    const { bytes, released } = await packed(engineOf(address, version, kind));
    expect(bytes.length).toBeLessThan(TAR.length / 20);
    expect((await unpack(bytes)).equals(TAR)).toBe(true);
    expect(released).toEqual(CHUNKS);
  });

  it('that is given up ends without a word', async () => {
    for (const version of ['20.10.0', '28.0.0']) {
      const compress = loadCompression(engineOf('ssh://host-b', version));
      const link = { waitedMs: () => 0, release: () => {} };
      for await (const _ of compress?.(tar(), link) ?? []) break;
    }
  });

  it('fails with the tar', async () => {
    for (const version of ['20.10.0', '28.0.0']) {
      const broken = (async function* () {
        yield TAR;
        throw new Error('the tar ends here');
      })();
      const compress = loadCompression(engineOf('ssh://host-b', version));
      const bytes = compress?.(broken, { waitedMs: () => 0, release: () => {} }) ?? tar();
      await expect(buffer(bytes)).rejects.toThrow('the tar ends here');
    }
  });
});
