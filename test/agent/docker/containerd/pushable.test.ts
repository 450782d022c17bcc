import { describe, expect, it } from 'vitest';
import { pushableOf } from '../../../../agent/docker/containerd/pushable.ts';
import type { Engine } from '../../../../agent/docker/engine.ts';
import type { Digest } from '../../../../agent/model/image.ts';
import type { Child } from '../../../../agent/oci/metadata.ts';
import { testImage } from '../../../memory.ts';

const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;
type Named = Child['platform'];
const ARM64: Named = { os: 'linux', architecture: 'arm64' };
const child = (digit: string, kind: Child['kind'] = 'manifest', platform: Named = ARM64): Child => ({
  kind,
  mediaType: '',
  digest: digest(digit),
  size: 9,
  platform,
});
const [HERE, COMING, ELSEWHERE, OWN] = ['1', '2', '3', '4'];
const AMD64 = { os: 'linux', architecture: 'amd64' };

/** Of an image that came, with an index that names these besides. */
async function pushable(
  absent: readonly Child[],
  {
    pushesPlatforms = true,
    showsBlobs = true,
    came = [child(OWN, 'manifest', AMD64)],
    platform = AMD64,
  } = {},
) {
  const image = { ...(await testImage({ store: 'containerd' })).image, platform };
  const content = { info: async (asked: Digest) => (asked === digest(HERE) ? {} : undefined) };
  const engine = {
    info: { pushesPlatforms },
    content: async () => (showsBlobs ? content : undefined),
  } as unknown as Engine;
  return pushableOf(engine, {
    image,
    targetId: image.id,
    sent: { manifests: new Set(), named: [...came, ...absent], absent },
    mayCome: (asked) => asked === digest(COMING),
  });
}

describe('an image that came', () => {
  it('is pushed whole where all that its index names came with it', async () => {
    const whole = { foreign: [] };
    expect(await pushable([])).toEqual(whole);
    expect(await pushable([], { pushesPlatforms: false })).toEqual(whole);
    expect(await pushable([], { showsBlobs: false })).toEqual(whole);
  });

  it('is pushed for its own platform where manifests of others are missing', async () => {
    expect(await pushable([child(ELSEWHERE)])).toEqual({ foreign: [], platform: AMD64 });
  });

  it.each([
    ['a manifest that is here', child(HERE)],
    ['a manifest that may still come', child(COMING)],
    ['an index that is missing', child(ELSEWHERE, 'index')],
    ['an index that is here', child(HERE, 'index')],
  ])('is not pushed with %s', async (_what, one) => {
    const { foreign } = await pushable([child(ELSEWHERE), one]);
    expect(foreign).toEqual([one.digest]);
  });

  it.each([
    ['cannot push one platform', { pushesPlatforms: false }],
    ['does not show its blobs', { showsBlobs: false }],
  ])('is not pushed in part by an engine that %s', async (_what, engine) => {
    const { foreign } = await pushable([child(ELSEWHERE)], engine);
    expect(foreign).toEqual([digest(ELSEWHERE)]);
  });

  it.each<readonly [string, Named]>([
    ['its own', AMD64],
    ['its own in another spelling', { os: 'Linux', architecture: 'x86_64' }],
    ['its own with a variant', { ...AMD64, variant: 'v3' }],
    ['an unknown architecture', { os: 'linux', architecture: 'unknown' }],
    ['none', undefined],
  ])(
    'is not pushed where a manifest that is missing may be for the platform: %s',
    async (_what, platform) => {
      const { foreign } = await pushable([{ ...child(ELSEWHERE), platform }]);
      expect(foreign).toEqual([digest(ELSEWHERE)]);
    },
  );

  it('is not pushed where the one for its platform is missing, and what came says another one', async () => {
    const lie = [child(OWN, 'manifest', ARM64)];
    const { foreign } = await pushable([child(ELSEWHERE, 'manifest', AMD64)], { came: lie });
    expect(foreign).toEqual([digest(ELSEWHERE)]);
    const { image } = await testImage({ store: 'containerd' });
    expect((await pushable([child(ELSEWHERE)], { came: lie })).foreign).toEqual([image.id]);
  });

  it.each(['x86_64', 'AMD64', 'aarch64'])(
    'is not pushed in part where its own platform is spelled %s, which may be any to an engine',
    async (architecture) => {
      const platform = { os: 'linux', architecture };
      const came = [child(OWN, 'manifest', { os: 'linux', architecture: 'of nobody' })];
      const { foreign } = await pushable([child(ELSEWHERE, 'manifest', AMD64)], { platform, came });
      expect(foreign).toEqual([digest(ELSEWHERE)]);
    },
  );

  it('is pushed beside an attestation that is missing', async () => {
    const attestation = child(ELSEWHERE, 'manifest', { os: 'unknown', architecture: 'unknown' });
    expect(await pushable([attestation])).toEqual({ foreign: [], platform: AMD64 });
  });
});
